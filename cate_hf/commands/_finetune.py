"""`cate finetune`: a predictor of accuracy, or of any other label, from a table of labelled architectures."""

import shlex
import sys
from typing import Annotated

import typer

from cate_hf.commands._options import OutputDir, Overwrite, Results, Space


def finetune(
    space: Space,
    output_dir: OutputDir,
    train_size: Annotated[
        int, typer.Option(min=1, help="Labelled architectures to learn from, drawn at random.", show_default=False)
    ],
    table: Results = None,
    model: Annotated[
        str | None,
        typer.Option(help="Encoder to start from: a checkpoint's name or folder.", show_default="the space's bundled"),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(help="Column of labels; repeat it for several.", show_default="the table's accuracy"),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Encoders in the ensemble; 0 for a Gaussian process and trees alone.",
            show_default="5, or 3 with more than 1,000 labels",
        ),
    ] = None,
    statistics: Annotated[
        str,
        typer.Option(
            help="Statistics that trees see with the encoding: structure, both (adds those at initialisation) or none."
        ),
    ] = "structure",
    auxiliary: Annotated[
        str | None,
        typer.Option(
            help="File of architectures with columns of numbers that may help, such as latencies on other devices; "
            "those named as a label are left out.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the labels.", show_default="depends on their number")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn labels, of the heads and of the order.")] = 0,
    test_size: Annotated[
        int, typer.Option(min=2, help="At most this many held-out architectures to measure it on.")
    ] = 20_000,
    keep_labels: Annotated[
        bool, typer.Option(help="Write the labels into the folder, so that the predictor can be updated.")
    ] = True,
    overwrite: Overwrite = False,
) -> None:
    """Fine-tune an encoder to predict a label of architectures, and measure it on others.

    Kendall's rank correlation is that with the labels of architectures that were not trained on. The folder holds a
    checkpoint like any other, with its card; cate_hf.predictor.load_predictor reads all of it, and transformers'
    AutoModelForSequenceClassification the fine-tuned ensemble.

    Examples:

      cate finetune --space nasbench201 --train-size 100 --output-dir accuracy-201

      cate finetune --space nasbench101 --table cells.parquet --train-size 424 --output-dir accuracy-101

      cate finetune --space nasbench201 --table table=latency.parquet --field pixel3 --train-size 20 --output-dir pixel3
          --auxiliary latency.parquet

      cate finetune --space my_space.yaml --table results.csv --model my-encoder --train-size 50 --output-dir mine
    """
    from cate_hf.predictor.finetune import finetune_to_folder

    facts = finetune_to_folder(
        space,
        output_dir,
        train_size,
        table=table,
        model=model,
        fields=field or (),
        members=members,
        statistics=statistics,
        auxiliary=auxiliary,
        epochs=epochs,
        seed=seed,
        test_size=test_size,
        keep_labels=keep_labels,
        overwrite=overwrite,
        progress=True,
        command=shlex.join(["cate", *(word for word in sys.argv[1:] if word != "--overwrite")]),
    )
    for name, measured in facts["report"].items():
        tau = measured["kendall_tau"]
        typer.echo(
            f"{name}: Kendall tau {'undefined' if tau is None else f'{tau:.4f}'}, RMSE {measured['rmse']:.4g}, on "
            f"{measured['rows']:,} held-out architectures; {100 * measured['coverage_90']:.0f} % within 90 % intervals"
        )
    for name, columns in (facts.get("auxiliary") or {}).items():
        best = sorted(columns, key=lambda column: -abs(columns[column]["share"]))[:5]
        typer.echo(f"{name} follows " + ", ".join(f"{column} ({columns[column]['share']:.0%})" for column in best))
    typer.echo(f"wrote {output_dir}: {facts['labels']:,} labels, {facts['seconds']:.1f} s to fit")
