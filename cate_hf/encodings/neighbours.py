"""Nearest neighbours among encodings."""

import os
from dataclasses import dataclass

import numpy as np

from cate_hf.spaces import get_space
from cate_hf.table import ArchitectureTable


def nearest(encodings: np.ndarray, query: int | np.ndarray, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """The rows whose encodings are nearest to a query in Euclidean distance, nearest first; ties by row.

    Args:
        encodings: (N, D).
        query: a row number, which is then left out of its own neighbours, or a vector (D,).
        k: how many.

    Returns:
        rows (k,) and distances (k,), with k cut to the number of rows there are.

    Raises:
        ValueError: a row that does not exist, a vector of another length, k below 1.
    """
    encodings = np.asarray(encodings)
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    own_row = int(query) if np.ndim(query) == 0 else None
    if own_row is not None and not 0 <= own_row < len(encodings):
        raise ValueError(f"row {own_row} of {len(encodings)} encodings")
    vector = np.asarray(encodings[own_row] if own_row is not None else query, dtype=np.float64)
    if vector.shape != encodings.shape[1:]:
        raise ValueError(f"the query has shape {vector.shape}, the encodings {encodings.shape[1:]}")
    # |x - q|^2 = |x|^2 - 2 x.q + |q|^2 by products picks candidates; the few that matter are then measured exactly,
    # because the difference of large numbers loses the distance of near ones.
    approximate = np.einsum("nd,nd->n", encodings, encodings) - 2.0 * (encodings @ vector.astype(encodings.dtype))
    approximate += vector @ vector
    if own_row is not None:
        approximate[own_row] = np.inf
    k = min(k, len(encodings) - (own_row is not None))
    if k == 0:
        return np.empty(0, dtype=np.intp), np.empty(0)
    error = 1e-5 * float(np.abs(approximate[np.isfinite(approximate)]).max() + vector @ vector)
    limit = np.partition(approximate, k - 1)[k - 1] + error
    candidates = np.flatnonzero(approximate <= limit)
    distances = np.linalg.norm(encodings[candidates].astype(np.float64) - vector, axis=1)
    order = np.argsort(distances, kind="stable")[:k]
    return candidates[order], distances[order]


@dataclass(frozen=True)
class Neighbours:
    """The result of `nearest_architectures`.

    Attributes:
        query: the given architecture as a table of one row, columns hash, parameters, flops.
        found: the neighbours, nearest first, with columns hash, parameters, flops, distance, edit_distance.
    """

    query: ArchitectureTable
    found: ArchitectureTable


def nearest_architectures(
    model: str | os.PathLike,
    hash: str | None = None,
    input: str | os.PathLike | None = None,
    k: int = 10,
    encodings: str | os.PathLike | None = None,
    batch_size: int = 1024,
    progress: bool = False,
) -> Neighbours:
    """What `cate neighbours` shows: the architectures of the checkpoint's space nearest to one, itself left out.

    Args:
        model: name of a bundled checkpoint, or a folder.
        hash, input: one of the two: an architecture of the space by its hash, or the first row of a file.
        encodings: a file of `cate encode --space` by this model; without it the whole space is encoded.

    Raises:
        ValueError: no architecture of that hash, or bad input.
    """
    from cate_hf.encodings.files import architectures_for, read_encodings
    from cate_hf.hub.checkpoints import load_encoder

    encoder = load_encoder(model)
    space = get_space(encoder.space)
    table = space.enumerate(progress=progress)
    if hash is not None:
        rows = np.flatnonzero(table.columns["hash"] == hash.encode())
        if not len(rows):
            raise ValueError(f"no architecture of {space.name} has the hash {hash!r}")
        query = table[rows]
    else:
        query = architectures_for(encoder, model, None, input)[:1]
        if not len(query):
            raise ValueError(f"{input}: no architecture in it")
        costs = {"parameters": space.parameters_many(query), "flops": space.flops_many(query)}
        query = query.with_columns(**costs)
    if encodings is not None:
        matrix = read_encodings(encodings, table)
    else:
        matrix = encoder.encode(table, batch_size, progress)
    return neighbours_in(table, matrix, query, encoder.encode(query)[0], k)


def neighbours_in(
    table: ArchitectureTable, encodings: np.ndarray, query: ArchitectureTable, vector: np.ndarray, k: int
) -> Neighbours:
    """The k rows of a table nearest to a vector (D,), without the query itself, which is known by its hash."""
    rows, distances = nearest(encodings, vector, k + 1)
    kept = table.columns["hash"][rows] != query.columns["hash"][0]
    rows, distances = rows[kept][:k], distances[kept][:k]
    found = table[rows]
    cell = query[0]
    edits = np.array([cell.edit_distance(other) for other in found], dtype=np.int64)
    return Neighbours(query, found.with_columns(distance=distances, edit_distance=edits))


def print_neighbours(neighbours: Neighbours) -> None:
    """Print the table of `cate neighbours`, the given architecture on top."""
    from rich.console import Console
    from rich.table import Table

    view = Table(title=f"nearest to {neighbours.query.columns['hash'][0].decode()}", show_header=True)
    view.add_column("hash", no_wrap=True)
    for name in ("distance", "parameters", "FLOPs", "edit distance"):
        view.add_column(name, justify="right", no_wrap=True)
    for table in (neighbours.query, neighbours.found):
        for row in range(len(table)):
            column = {name: values[row] for name, values in table.columns.items()}
            view.add_row(
                column["hash"].decode(),
                f"{column.get('distance', 0):.4f}",
                f"{column['parameters']:,}",
                f"{column['flops']:,}",
                f"{column.get('edit_distance', 0)}",
            )
        view.add_section()
    Console(width=max(Console().width, 110)).print(view)  # a hash that is cut off is of no use
