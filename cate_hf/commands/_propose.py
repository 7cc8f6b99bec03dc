"""`cate propose`: architectures that a predictor expects to be good."""

from pathlib import Path
from typing import Annotated

import typer

from cate_hf.commands._options import Overwrite


def propose(
    model: Annotated[str, typer.Argument(help="Predictor: a bundled one's name, a folder, or a repository.")],
    output: Annotated[Path, typer.Option(help="Parquet or CSV file to write.", show_default=False)],
    n: Annotated[int, typer.Option("--n", min=1, help="How many.")] = 10,
    where: Annotated[
        str | None,
        typer.Option(
            help="Conditions on nodes, edges, costs of the space and predicted labels: 'parameters<4e6,latency<5'.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="Label that is to be good; repeat it for several.", show_default="all of the predictor"),
    ] = None,
    diverse: Annotated[bool, typer.Option(help="No proposal is one step from another.")] = True,
    rounds: Annotated[int, typer.Option(min=0, help="Rounds of evolution.")] = 25,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all that is drawn.")] = 0,
    figure: Annotated[
        Path | None, typer.Option(help="Picture of the front of two predicted labels.", show_default=False)
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Propose architectures to train next: the best predicted ones of the whole space, none of which was labelled.

    Of several labels the best are those on the Pareto front. The file has the columns architecture (text that the
    space reads), hash, predictions, their deviations, and the costs that conditions are on.

    Examples:

      cate propose nasbench101-accuracy --n 20 --where "parameters<4e6" --output next.csv

      cate propose my-predictor --target accuracy --target latency --output front.csv --figure front.png
    """
    from cate_hf.predictor import load_predictor
    from cate_hf.search.propose import propose as run
    from cate_hf.search.propose import write_proposals

    predictor = load_predictor(model)
    names = target or predictor.target_names
    _check_files(output, figure, names)
    found = run(predictor, n=n, where=where, diverse=diverse, targets=names, seed=seed, rounds=rounds, progress=True)
    write_proposals(predictor.space, found, output, overwrite)
    if figure is not None:
        from cate_hf.search.figure import draw_front

        draw_front(predictor, found, names, figure)
    best = ", ".join(
        f"{name} {values[0]:.4g}" for name, values in found.columns.items() if name.startswith("predicted")
    )
    typer.echo(f"wrote {output}: {len(found)} architectures; of the first {best}")


def _check_files(output: Path, figure: Path | None, names: list[str]) -> None:
    """Raises ValueError for files of another kind, before any work."""
    if output.suffix not in (".parquet", ".csv"):
        raise ValueError(f"{output}: expected a name that ends with .parquet or .csv")
    if figure is not None and len(names) != 2:
        raise ValueError(f"--figure draws two labels, not {len(names)}; choose them with --target")
