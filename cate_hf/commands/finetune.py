"""`cate finetune`: a predictor of accuracy, or of any other label, from a table of labelled architectures."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def finetune(
    space: Annotated[str, typer.Option(help="Search space: a name, or a YAML file.", show_default=False)],
    output_dir: Annotated[Path, typer.Option(help="Folder to write.", show_default=False)],
    train_size: Annotated[
        int, typer.Option(min=1, help="Labelled architectures to learn from, drawn at random.", show_default=False)
    ],
    table: Annotated[
        str | None,
        typer.Option(
            help="File of labels (Parquet, CSV or JSON Lines): of the space's own benchmark, or table=FILE for your "
            "own table. Without it, the benchmark that needs no file, such as nasbench201's.",
            show_default=False,
        ),
    ] = None,
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder when it exists.")] = False,
) -> None:
    """Fine-tune an encoder to predict a label of architectures, and measure it on others.

    Kendall's rank correlation is that with the labels of architectures that were not trained on. The folder holds a
    checkpoint like any other, with its card; cate_hf.predictor.load_predictor reads all of it, and transformers'
    AutoModelForSequenceClassification the fine-tuned ensemble.

    Examples:

      cate finetune --space nasbench201 --train-size 100 --output-dir accuracy-201

      cate finetune --space nasbench101 --table cells.parquet --train-size 424 --output-dir accuracy-101

      cate finetune --space my_space.yaml --table results.csv --model my-encoder --train-size 50 --output-dir mine
    """
    facts = finetune_to_folder(
        space,
        output_dir,
        train_size,
        table=table,
        model=model,
        fields=field or (),
        members=members,
        statistics=statistics,
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
    typer.echo(f"wrote {output_dir}: {facts['labels']:,} labels, {facts['seconds']:.1f} s to fit")


def finetune_to_folder(
    space: str,
    output_dir: str | Path,
    train_size: int,
    table: str | None = None,
    model: str | None = None,
    fields: "list[str] | tuple[str, ...]" = (),
    seed: int = 0,
    test_size: int = 20_000,
    keep_labels: bool = True,
    overwrite: bool = False,
    progress: bool = False,
    command: str | None = None,
    **settings,
) -> dict:
    """Fit a predictor to labels of a table, measure it on others, and write its folder; returns its facts.

    Args:
        table: as `cate_hf.benchmarks.find_benchmark` takes it.
        fields: of the table; its own choice when empty. Architectures without one of them are left out.
        test_size: architectures that are drawn from those that were not trained on.
        settings: of `cate_hf.predictor.fit_predictor`.

    Raises:
        ValueError: a table, a field or a size that does not fit, or as `fit_predictor`.
        FileExistsError: the folder exists and overwrite was not asked for, or holds something else.
    """
    import numpy as np

    from cate_hf.benchmarks import find_benchmark
    from cate_hf.core.files import check_output
    from cate_hf.graphs.table import ArchitectureTable
    from cate_hf.hub.layout import OWN_FILES
    from cate_hf.predictor.files import EXTRA_FILES
    from cate_hf.predictor.fit import fit_predictor
    from cate_hf.predictor.labels import LEAST_LABELS
    from cate_hf.predictor.report import report
    from cate_hf.spaces import get_space

    check_output(output_dir, overwrite, (*OWN_FILES, *EXTRA_FILES))
    search_space = get_space(space)
    benchmark = find_benchmark(search_space, table)
    names = list(fields) or [benchmark.default_field]
    oracles = [benchmark.oracle(name) for name in names]  # an unknown field is refused before any work
    candidates = benchmark.candidates(progress=progress)
    if not isinstance(candidates, ArchitectureTable):
        raise ValueError(
            f"{benchmark.name}: labels of pairs of cells; a predictor is of single cells (see bench/predictor_pairs.py)"
        )
    columns = {name: benchmark.query_many(candidates, name, missing="nan") for name in names}
    known = np.flatnonzero(~np.isnan(list(columns.values())).any(axis=0))
    most = len(known) - 2
    if not LEAST_LABELS <= train_size <= most:
        raise ValueError(
            f"train-size must be {LEAST_LABELS} to {most:,}, not {train_size:,}: {len(known):,} architectures of "
            f"{benchmark.name} have {', '.join(names)}, and at least 2 are held out"
        )
    order = np.random.default_rng([seed, train_size]).permutation(known)
    rows, held_out = order[:train_size], np.sort(order[train_size : train_size + test_size])
    bare = candidates.replace_columns({})
    predictor = fit_predictor(
        bare[rows],
        {name: values[rows] for name, values in columns.items()},
        encoder=model,
        space=search_space,
        seed=seed,
        progress=progress,
        **settings,
    )
    labels = {name: values[held_out] for name, values in columns.items()}
    predictor.facts |= {
        "report": report(predictor, bare[held_out], labels, progress=progress),
        "oracle": "; ".join(oracles),
        "command": command,
    }
    predictor.save(output_dir, overwrite, keep_labels)
    return predictor.facts
