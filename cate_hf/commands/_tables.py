"""`cate enumerate` and `cate pairs`: a search space as files."""

from typing import Annotated

import typer

from cate_hf.commands._options import Output, OutputDir, Overwrite

Space = Annotated[
    str, typer.Argument(help="Name of a search space, such as nasbench101, or a YAML file.", show_default=False)
]


def enumerate_space(
    space: Space,
    output: Output,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Write this many random architectures.", show_default="all")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write all unique architectures of a search space, each once, sorted by hash; or a random sample of them.

    Columns: hash, operations, adjacency and the space's costs. A whole space is computed the first time (seconds) and
    then kept in the cache folder. Of a space too large for that, give --sample.

    Examples:

      cate enumerate nasbench101 --output cells.parquet

      cate enumerate darts --sample 10000 --output cells.parquet
    """
    from cate_hf.graphs.io import check_parquet_output, write_parquet
    from cate_hf.spaces import get_space
    from cate_hf.spaces.sampling import different

    space_object = get_space(space)
    check_parquet_output(output, overwrite)
    if sample is None:
        table = space_object.enumerate(progress=True)
    else:
        table = different(space_object, sample, seed, progress=True)
    write_parquet(table, output, overwrite, class_labels=True)
    typer.echo(
        f"wrote {output}: {len(table):,} architectures of {space_object.name}, columns operations, adjacency, "
        f"{', '.join(table.columns)}"
    )


def pairs(
    space: Space,
    output: OutputDir,
    cost: Annotated[
        str | None, typer.Option(help="Pair by this cost, such as flops.", show_default="the space's own")
    ] = None,
    window: Annotated[
        float | None,
        typer.Option(
            help="Largest difference within a pair, in units of the cost.",
            show_default="the space's own, or a quarter of the interquartile range",
        ),
    ] = None,
    partners: Annotated[
        int | None, typer.Option(help="Most earlier partners of each architecture.", show_default="the space's own")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice of partners and of the split.")] = 0,
    where: Annotated[
        str | None, typer.Option(help='Architectures to pair, such as "nodes<=6,edges<=7".', show_default="all")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write computation-aware pairs: architectures that cost about the same, for pre-training.

    The folder holds the table of architectures, train and validation pairs as row numbers (columns first, second), and
    a card that describes it; with your own space, also its description.

    Examples:

      cate pairs nasbench101 --output pairs

      cate pairs nasbench101 --cost flops --window 500000000 --partners 1 --output pairs-by-flops
    """
    from cate_hf.data.pairs import default_settings, write_pairs

    settings = default_settings(space, cost=cost, window=window, partners=partners, seed=seed, where=where)
    facts = write_pairs(space, output, settings, overwrite=overwrite, progress=True)
    typer.echo(
        f"wrote {output}: {facts['train_pairs']:,} training and {facts['validation_pairs']:,} validation pairs of "
        f"{facts['architectures']:,} architectures; {facts['without_partner']:,} found no partner"
    )
