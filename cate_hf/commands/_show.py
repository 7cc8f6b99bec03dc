"""`cate show`: one architecture, as a table and as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cate_hf.commands._listing import print_json
from cate_hf.commands._options import Json, Overwrite

if TYPE_CHECKING:
    from rich.table import Table

    from cate_hf.graphs.architecture import Architecture

_LEAST_WIDTH = 100  # of the tables, where the output is no terminal or a narrow one


def show(
    arch: Annotated[
        str,
        typer.Argument(
            help="A file (.json, .jsonl, .parquet, .dot, .onnx), JSON, or with --space a hash or the space's notation.",
            show_default=False,
        ),
    ],
    space: Annotated[
        str | None,
        typer.Option(help="Its search space: a name, such as nasbench101, or a YAML file.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Picture to write: .svg, .png or .pdf.", show_default=False)
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the hash alone.")] = False,
) -> None:
    """Show an architecture: operations, edges, hash, costs and its space's notation.

    Of a file with several architectures, the first is shown. Of a normal and a reduction cell, both are, and the names
    of their pictures end in -normal and -reduction.

    Examples:

      cate show 02e5a0247bbdcf2860b7e96f74961594 --space nasbench101 --output cell.svg

      cate show my_network.onnx --output network.png
    """
    from cate_hf.core._files import check_output
    from cate_hf.graphs import draw
    from cate_hf.graphs.drawing import check_picture
    from cate_hf.graphs.formats.read import read_architecture
    from cate_hf.spaces import get_space
    from cate_hf.spaces.facts import facts

    search_space = None if space is None else get_space(space)
    if output is not None:
        check_picture(output)
        check_output(output, overwrite)
    found = read_architecture(arch, search_space)
    cells = {"": found} if hasattr(found, "operations") else {"normal": found.normal, "reduction": found.reduction}
    pictures = {}
    if output is not None:
        pictures = {name: output.with_stem(f"{output.stem}-{name}" if name else output.stem) for name in cells}
        for path in pictures.values():
            check_output(path, overwrite)
    known = facts(found, search_space)
    if json:
        print_json(known | (cells[""].to_dict() if "" in cells else {n: cell.to_dict() for n, cell in cells.items()}))
    elif quiet:
        typer.echo(known["hash"])
    else:
        _print(cells, known)
    for name, path in pictures.items():
        draw(cells[name], path)
        if not (json or quiet):
            typer.echo(f"wrote {path}")


def _print(cells: "dict[str, Architecture]", known: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cate_hf.spaces.facts import in_words

    console = Console(width=max(Console().width, _LEAST_WIDTH))
    for name, cell in cells.items():
        size = f"{cell.num_nodes} nodes, {cell.num_edges} edges"
        console.print(_nodes(cell, f"{name} cell: {size}" if name else size))
    view = Table.grid(padding=(0, 2))
    long = {}
    for name, text in in_words(known).items():
        if len(name) + 2 + len(text) < console.width:
            view.add_row(Text(name), Text(text))
        else:  # in one piece, so that it can be copied
            long[name] = text
    console.print(view)
    for name, text in long.items():
        typer.echo(f"{name}\n{text}")


def _nodes(cell: "Architecture", title: str) -> "Table":
    from rich.table import Table
    from rich.text import Text

    view = Table(title=title, title_justify="left")
    view.add_column("node", justify="right")
    for name in ("operation", "from", "to"):
        view.add_column(name)
    for node, operation in enumerate(cell.operations):
        before, after = cell.adjacency[:, node].nonzero()[0], cell.adjacency[node].nonzero()[0]
        # Text, because a name may have what rich takes for markup.
        view.add_row(str(node), Text(operation), ", ".join(map(str, before)), ", ".join(map(str, after)))
    return view
