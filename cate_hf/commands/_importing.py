"""`cate import`: published results, or your own, as one Parquet file."""

from pathlib import Path
from typing import Annotated

import typer

from cate_hf.commands._options import Output, Overwrite


def import_file(
    output: Output,
    file: Annotated[
        Path | None, typer.Argument(help="File or folder to read; none for nasbench201.", show_default=False)
    ] = None,
    format: Annotated[str | None, typer.Option(help="One of <formats>.", show_default="by the file's suffix")] = None,
    space: Annotated[
        str | None, typer.Option(help="Search space of a table: a name or a YAML file.", show_default=False)
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write results as a Parquet file: architectures with their hash, costs and all metrics.

    Formats: the published files of NAS-Bench-101 (.tfrecord), NAS-Bench-201 (files, or without one those of an
    installed package) and NAS-Bench-301 (labels); text with one DARTS genotype in each line, or a log, of which the
    last is taken; and your own tables (CSV, JSON, Parquet; as pandas and NAS-Bench-101 write them, too) with columns
    operations and adjacency, or architecture, or hash, and any numbers. Isomorphic
    rows are merged into their mean.

    Examples:

      cate import nasbench_only108.tfrecord --output nasbench101.parquet

      cate import my_results.csv --space my_space.yaml --output results.parquet

      cate import --format nasbench201 --output nasbench201.parquet
    """
    from cate_hf.benchmarks.importing import import_results

    found = import_results(file, output, format, space, overwrite=overwrite, progress=True)
    for remark in found.remarks:
        typer.echo(remark)
    typer.echo(
        f"wrote {output}: {len(found.architectures):,} architectures of {found.space.name}, columns "
        f"{', '.join(found.architectures.columns)}"
    )
