"""`cate encode`, `cate neighbours` and `cate convert`: encodings by a checkpoint, and weights of the reference code."""

from pathlib import Path
from typing import Annotated

import typer

from cate_hf.commands._listing import print_listing
from cate_hf.commands._options import Input, Json, Output, Overwrite, Quiet

Model = Annotated[
    str | None,
    typer.Option(
        help="Name of a bundled checkpoint, such as nasbench101, a folder, owner/name on the Hub, or universal.",
        show_default="the space's, or universal",
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Architectures to encode at a time.")]


def encode(
    output: Output,
    model: Model = None,
    space: Annotated[
        str | None,
        typer.Option(help="Encode all architectures of this search space, or those of --input.", show_default=False),
    ] = None,
    input: Input = None,
    batch_size: BatchSize = 1024,
    precision: Annotated[
        str, typer.Option(help="One of <precisions>; bfloat16 is twice as fast, less exact.")
    ] = "float32",
    overwrite: Overwrite = False,
) -> None:
    """Write the encodings of architectures.

    Without --model, by the checkpoint of --space, or by universal, which computes an encoding of any architecture, with
    any operations. With --input and --space the architectures are read and hashed as that space's.

    Columns: hash, encoding (a fixed-size list of float32), then all other columns of the input; rows in its order.
    A row of the input has operations (a list of names) and adjacency (a list of rows of 0 and 1). For a table of DARTS'
    normal and reduction cells (columns normal and reduce, as cate import writes) the two encodings are concatenated.

    Examples:

      cate encode --space nasbench101 --model nasbench101 --output encodings.parquet

      cate encode --input my_cells.jsonl --model my_checkpoint --output encodings.parquet --overwrite

      cate encode --input any_graphs.jsonl --model universal --output encodings.parquet
    """
    from cate_hf.encodings.files import encode_to_parquet

    both = space is not None and input is not None and model in (None, "universal")
    if (space is None) == (input is None) and not both:
        raise ValueError("give either --space or --input")
    rows, dim = encode_to_parquet(model, output, space, input, batch_size, overwrite, True, precision)
    typer.echo(f"wrote {output}: {rows:,} encodings of {dim} numbers{f' by {model}' if model else ''}")


def neighbours(
    model: Model = None,
    space: Annotated[
        str | None,
        typer.Option(help="Their search space: a name, or a YAML file.", show_default="the checkpoint's"),
    ] = None,
    hash: Annotated[
        str | None,
        typer.Option("--hash", help="Hash of an architecture of the checkpoint's space.", show_default=False),
    ] = None,
    input: Annotated[
        Path | None,
        typer.Option(help="Parquet, JSON or CSV file, of which the first row is used.", show_default=False),
    ] = None,
    encodings: Annotated[
        Path | None,
        typer.Option(help="File of `cate encode --space`, instead of encoding the space again.", show_default=False),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of neighbours.")] = 10,
    batch_size: BatchSize = 1024,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the architectures whose encodings are nearest to that of a given one.

    Columns: distance, parameters, FLOPs (multiply-adds of one image) and edit distance to the given architecture.

    Examples:

      cate neighbours --model nasbench101 --hash 02e5a0247bbdcf2860b7e96f74961594

      cate neighbours --model nasbench101 --input my_cell.jsonl -k 20 --encodings encodings.parquet

      cate neighbours --space my_space.yaml --input my_cell.jsonl
    """
    from cate_hf.encodings.neighbours import nearest_architectures, print_neighbours

    if (hash is None) == (input is None):
        raise ValueError("give either --hash or --input")
    near = nearest_architectures(model, hash, input, k, encodings, batch_size, not quiet, space)
    columns = near.found.columns
    rows = [
        {name: values[i] for name, values in columns.items()} | near.found[i].to_dict() for i in range(len(near.found))
    ]
    print_listing(rows, "hash", json, quiet, lambda: print_neighbours(near))


def convert(
    file: Annotated[Path, typer.Argument(help="Checkpoint of the reference code (.pth.tar).", show_default=False)],
    output_dir: Annotated[Path, typer.Argument(help="Checkpoint folder to write.", show_default=False)],
    overwrite: Overwrite = False,
) -> None:
    """Convert weights of the paper's reference code to a checkpoint folder.

    The file is read weights-only. The folder is a checkpoint like any other, for AutoModel too.

    Example:

      cate convert model_best.pth.tar converted
    """
    from cate_hf.hub.convert import convert_reference

    facts = convert_reference(file, output_dir, overwrite=overwrite)
    typer.echo(
        f"wrote {output_dir}: a paper-preset checkpoint of {facts['space']}, {facts['layers']} layers and "
        f"{facts['cross_layers']} of the pair model"
    )
