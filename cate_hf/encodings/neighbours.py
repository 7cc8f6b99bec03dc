"""Nearest neighbours among encodings."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.encodings._nearest import nearest
from cate_hf.graphs.table import ArchitectureTable

if TYPE_CHECKING:
    from cate_hf.spaces import Space

__all__ = ["nearest_architectures", "neighbours_in", "print_neighbours"]


@dataclass(frozen=True)
class Neighbours:
    """The result of `nearest_architectures`.

    Attributes:
        query: the given architecture as a table of one row, with columns hash and the costs.
        found: the neighbours, nearest first, with columns hash, the costs, distance, and edit_distance where it is
            quickly known exactly.
        costs: names of the costs.
    """

    query: ArchitectureTable
    found: ArchitectureTable
    costs: tuple[str, ...]


def nearest_architectures(
    model: str | os.PathLike | None = None,
    hash: str | None = None,
    input: Any = None,
    k: int = 10,
    encodings: str | os.PathLike | None = None,
    batch_size: int = 1024,
    progress: bool = False,
    space: "str | os.PathLike | Space | None" = None,
) -> Neighbours:
    """What `cate neighbours` shows: the architectures of the checkpoint's space, or of a file of encodings, that are
    nearest to one, itself left out.

    Args:
        model: name of a bundled checkpoint, or a folder; when None the one bundled for the space, or "universal".
        hash, input: one of the two: one of the architectures by its hash; or the first row of a file, or of
            architectures in any form that `Space.table` takes.
        encodings: a file of `cate encode` by this model; without it all of the space, or its pool, is encoded.
        space: of the architectures; the checkpoint's when None, needed where the model is "universal".

    Raises:
        ValueError: no architecture of that hash, or bad input.
    """
    from cate_hf.encodings.cate import load_encoder
    from cate_hf.encodings.defaults import default_encoder
    from cate_hf.encodings.files import read_encoded
    from cate_hf.encodings.inputs import rows_for
    from cate_hf.encodings.universal import UniversalEncoder
    from cate_hf.spaces import get_space
    from cate_hf.spaces.mixed import SEPARATOR

    wanted = None if space is None else get_space(space)
    if model is None:
        if wanted is None:
            raise ValueError("give a model or a space")
        model = default_encoder(wanted.name)
    encoder = load_encoder(model)
    if isinstance(encoder, UniversalEncoder):
        if wanted is None:
            raise ValueError(f"{model} is of no space: give the space to find neighbours in")
        space = wanted
    else:
        space = encoder.search_space
        if wanted is not None and wanted.name not in (space.name, *space.name.split(SEPARATOR)):
            raise ValueError(f"{model} is a checkpoint of {space.name}, not of {wanted.name}")
    if encodings is not None:
        table, matrix = read_encoded(encodings, space, progress)
        if matrix.shape[1] != encoder.dim:
            raise ValueError(
                f"{encodings}: encodings of {matrix.shape[1]} numbers; those of {model} have {encoder.dim}"
            )
    else:
        table, matrix = space.pool(progress=progress), None
    if hash is not None:
        rows = np.flatnonzero(table.columns["hash"] == hash)[:1]
        if not len(rows):
            where = space.name if encodings is None else encodings
            raise ValueError(f"no architecture of {where} has the hash {hash!r}")
        query = table[rows]
    else:
        given = rows_for(space, model, None, input)
        first = next(given.parts(0, min(len(given), 1), 1)).architectures
        assert isinstance(first, ArchitectureTable)  # `rows_for` refuses pairs here
        if not len(first):
            raise ValueError(f"{input}: no architecture in it")
        query = space.with_costs(first.replace_columns({"hash": first.columns["hash"]}))
    if matrix is None:
        matrix = encoder.encode(table, batch_size, progress)
    return neighbours_in(space, table, matrix, query, encoder.encode(query)[0], k)


def neighbours_in(
    space: "Space",
    table: ArchitectureTable,
    encodings: np.ndarray,
    query: ArchitectureTable,
    vector: np.ndarray,
    k: int,
) -> Neighbours:
    """The k rows of a table nearest to a vector (D,), without the query itself, which is known by its hash."""
    from cate_hf.graphs.algorithms import MAX_EXACT_EDIT_NODES

    rows, distances = nearest(encodings, vector, k + 1)
    kept = table.columns["hash"][rows] != query.columns["hash"][0]
    rows, distances = rows[kept][:k], distances[kept][:k]
    found = table[rows]
    found = found.with_columns(distance=distances)
    if space.max_nodes - space.num_inputs - 1 <= MAX_EXACT_EDIT_NODES:
        cell = query[0]
        edits = [cell.edit_distance(other, space.num_inputs) for other in found]
        found = found.with_columns(edit_distance=np.array(edits, dtype=np.int64))
    return Neighbours(query, found, space.cost_names)


def print_neighbours(neighbours: Neighbours) -> None:
    """Print the table of `cate neighbours`, the given architecture on top."""
    from rich.console import Console
    from rich.table import Table

    view = Table(title=f"nearest to {neighbours.query.columns['hash'][0]}", show_header=True)
    view.add_column("hash", no_wrap=True)
    edits = "edit_distance" in neighbours.found.columns
    costs = [name.replace("flops", "FLOPs") for name in neighbours.costs]
    for name in ("distance", *costs, *(["edit distance"] if edits else [])):
        view.add_column(name, justify="right", no_wrap=True)
    for table in (neighbours.query, neighbours.found):
        for row in range(len(table)):
            column = {name: values[row] for name, values in table.columns.items()}
            view.add_row(
                column["hash"],
                f"{column.get('distance', 0):.4f}",
                *(f"{column[name]:,}" for name in neighbours.costs),
                *([f"{column.get('edit_distance', 0)}"] if edits else []),
            )
        view.add_section()
    Console(width=max(Console().width, 110)).print(view)  # a hash that is cut off is of no use
