"""Options that several verbs have."""

from pathlib import Path
from typing import Annotated

import typer

Space = Annotated[str, typer.Option(help="Search space: a name, or a YAML file.", show_default=False)]
Input = Annotated[Path | None, typer.Option(help="Parquet, JSON or CSV file of architectures.", show_default=False)]
Output = Annotated[Path, typer.Option(help="Parquet file to write.", show_default=False)]
OutputDir = Annotated[Path, typer.Option(help="Folder to write.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the names alone, one a line.")]
Silent = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output when it exists.")]
Results = Annotated[
    str | None,
    typer.Option(
        help="File of results: of the space's own benchmark, or table=FILE for your own table. Without it, the "
        "benchmark that needs no file, such as nasbench201's.",
        show_default=False,
    ),
]
Pool = Annotated[
    int | None, typer.Option(min=1, help="Take a random sample of this many architectures.", show_default="all")
]
