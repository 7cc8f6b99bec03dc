"""`cate statistics`: label-free numbers about architectures, as a file."""

from typing import Annotated

import typer

from cate_hf.commands._options import Input, Output, Overwrite


def statistics(
    output: Output,
    space: Annotated[
        str | None, typer.Option(help="Search space: a name, such as nasbench101, or a YAML file.", show_default=False)
    ] = None,
    input: Input = None,
    kind: Annotated[str, typer.Option(help="structure, initialisation or both.")] = "structure",
    sample: Annotated[
        int | None, typer.Option(min=1, help="Measure this many random architectures of the space.", show_default="all")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
    initialisations: Annotated[int, typer.Option(min=1, help="Networks to average over for each architecture.")] = 1,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes that measure networks.", show_default="processors")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write statistics of architectures that predict accuracy without a label.

    structure: how computation flows through the graph (operations, lengths of paths, degrees); seconds for a space.
    initialisation: the architecture's own small network before any training (gradients, ReLUs, features); some tens of
    milliseconds each. Measurements are kept: an interrupted command continues where it was.

    Columns: hash, operations, adjacency, any others of the input, and a column for each statistic.

    Examples:

      cate statistics --space nasbench101 --output structure.parquet

      cate statistics --space darts --sample 1000 --kind both --output statistics.parquet
    """
    from cate_hf.statistics.files import statistics_to_parquet
    from cate_hf.statistics.initialisation import InitialisationSettings

    settings = InitialisationSettings(initialisations=initialisations)
    found, rows, columns = statistics_to_parquet(
        output, kind, space, input, sample, seed, settings, jobs, overwrite, progress=True
    )
    typer.echo(f"wrote {output}: {len(columns)} statistics of {rows:,} architectures of {found.name}")
