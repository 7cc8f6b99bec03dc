"""What makes operations and an adjacency matrix one architecture: the checks of ``Architecture``'s constructor.

Each raises ValueError in one line that names the node, row, entry or edge, and what was expected there.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cate_hf.graphs.algorithms import find_cycle


def check_operations(operations: Any) -> tuple[str, ...]:
    """At least two non-empty names, as a tuple of str."""
    if isinstance(operations, (str, bytes)) or not hasattr(operations, "__iter__"):
        raise ValueError(f"architecture: operations must be a list of names, got {_short(operations)}")
    operations = tuple(operations)
    for node, name in enumerate(operations):
        if not isinstance(name, str) or not name:
            raise ValueError(f"architecture: operation of node {node} must be a name, got {_short(name)}")
    if len(operations) < 2:
        raise ValueError(f"architecture: at least 2 nodes are needed, input and output, got {len(operations)}")
    return tuple(map(str, operations))


def check_adjacency(adjacency: Any, size: int) -> np.ndarray:
    """A strictly upper triangular matrix of integers, booleans or floats 0 / 1, as (L, L) uint8, L = ``size``."""
    matrix = _square(adjacency.toarray() if hasattr(adjacency, "toarray") else adjacency, size)  # sparse ones too
    if matrix.dtype.kind not in "bui" and not (matrix.dtype.kind == "f" and np.isin(matrix, (0, 1)).all()):
        _refuse_non_integers(matrix)
    if (wrong := np.argwhere((matrix != 0) & (matrix != 1))).size:
        i, j = wrong[0]
        raise ValueError(f"architecture: adjacency[{i}][{j}] is {_short(matrix[i, j])}, expected 0 or 1")
    matrix = matrix.astype(np.uint8)
    lower = np.argwhere(np.tril(matrix))
    if not lower.size:
        return matrix
    loops = np.flatnonzero(np.diag(matrix))
    if loops.size:
        raise ValueError(f"architecture: node {loops[0]} has an edge to itself, {loops[0]} -> {loops[0]}")
    if cycle := find_cycle(matrix):
        raise ValueError(f"architecture: cycle {' -> '.join(map(str, cycle))}; the graph must be acyclic")
    i, j = lower[0]
    raise ValueError(f"architecture: edge {i} -> {j} goes backward, expected nodes in topological order")


def _refuse_non_integers(matrix: np.ndarray) -> None:
    """Name the entry of a matrix that is mostly a mistake (weights, a mean, NaN)."""
    entries = [(i, j, value) for (i, j), value in np.ndenumerate(matrix)]
    # The entry that a reader would call wrong comes first: 0.5 or NaN before 1.0.
    entries.sort(key=lambda entry: isinstance(entry[2], (int, float)) and entry[2] in (0, 1))
    for i, j, value in entries:
        value = value.item() if isinstance(value, np.generic) else value
        if not isinstance(value, int):
            kind = type(value).__name__
            raise ValueError(f"architecture: adjacency[{i}][{j}] is {_short(value)} ({kind}), expected integer 0 or 1")


def _square(adjacency: Any, size: int) -> np.ndarray:
    """As an (L, L) array of any dtype."""
    try:
        matrix = np.asarray(adjacency)
        if matrix.ndim == 1 and all(isinstance(row, np.ndarray) for row in matrix):  # of a column of a data frame
            matrix = np.stack(list(matrix))
    except (ValueError, TypeError, OverflowError):
        matrix = None  # ragged
    if matrix is not None and matrix.shape == (size, size):
        return matrix
    if matrix is None or matrix.ndim < 2:
        if not hasattr(adjacency, "__len__") or isinstance(adjacency, (str, bytes, Mapping)):
            raise ValueError(f"architecture: adjacency must be a list of rows, got {_short(adjacency)}")
        for i, row in enumerate(adjacency):
            if not hasattr(row, "__len__") or isinstance(row, (str, bytes)):
                raise ValueError(f"architecture: adjacency row {i} must be a list of 0 and 1, got {_short(row)}")
            if len(row) != len(adjacency):
                raise ValueError(f"architecture: adjacency row {i} has {len(row)} entries, expected {len(adjacency)}")
    shape = "irregular" if matrix is None else " x ".join(map(str, matrix.shape))
    raise ValueError(f"architecture: {size} operations need a {size} x {size} adjacency matrix, got {shape}")


def _short(value: Any) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
