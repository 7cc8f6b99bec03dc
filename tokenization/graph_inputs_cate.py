"""What the tokenizer takes for an architecture, and its checks.

`cate_hf.Architecture` makes the same checks; this file travels with every checkpoint and cannot use the package.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

__all__ = []


def as_items(architectures: Any) -> tuple[list, bool]:
    """A list of architectures and dicts, and whether it was one of them alone."""
    if hasattr(architectures, "operations"):
        return [architectures], True
    if isinstance(architectures, Mapping):
        operations: Any = architectures.get("operations")
        adjacency: Any = architectures.get("adjacency")
        is_batch = isinstance(operations, (list, tuple)) and operations and isinstance(operations[0], (list, tuple))
        if is_batch and hasattr(adjacency, "__len__"):
            if len(operations) != len(adjacency):
                raise ValueError(f"{len(operations)} lists of operations but {len(adjacency)} adjacency matrices")
            pairs = zip(operations, adjacency, strict=True)
            return [{"operations": names, "adjacency": matrix} for names, matrix in pairs], False
        return [architectures], True
    if isinstance(architectures, (str, bytes)) or not isinstance(architectures, Iterable):
        raise ValueError(f"expected architectures, or dicts of operations and adjacency, got {architectures!r:.80}")
    return list(architectures), False


def check_graph(item: Any, name: str) -> tuple[list[str], np.ndarray]:
    """Operations (L names) and adjacency (L, L) of an architecture or dict; `name` is what the errors call it.

    Raises ValueError in one line that names what is wrong.
    """
    if isinstance(item, Mapping):
        if missing := [key for key in ("operations", "adjacency") if key not in item]:
            raise ValueError(f"{name}: field {missing[0]!r} is missing")
        operations, adjacency = item["operations"], item["adjacency"]
    elif hasattr(item, "operations") and hasattr(item, "adjacency"):
        operations, adjacency = item.operations, item.adjacency
    else:
        raise ValueError(f"{name}: expected an Architecture or a dict of operations and adjacency, got {item!r:.80}")
    if isinstance(operations, (str, bytes)) or not isinstance(operations, Iterable):
        raise ValueError(f"{name}: operations must be a list of names, got {operations!r:.80}")
    operations = list(operations)
    n = len(operations)
    if n < 2:
        raise ValueError(f"{name}: at least 2 nodes are needed, input and output, got {n}")
    try:
        matrix = np.asarray(adjacency)
    except (ValueError, TypeError):
        matrix = np.empty(0)  # rows of several lengths
    if matrix.shape != (n, n):
        shape = " x ".join(map(str, matrix.shape)) if matrix.ndim > 1 else "something else"
        raise ValueError(f"{name}: {n} operations need a square adjacency matrix, {n} x {n}, got {shape}")
    if matrix.dtype.kind not in "bui" and not (matrix.dtype.kind == "f" and np.isin(matrix, (0, 1)).all()):
        raise ValueError(f"{name}: adjacency must hold integers 0 and 1 (no NaN, no floats), got dtype {matrix.dtype}")
    if (wrong := np.argwhere((matrix != 0) & (matrix != 1))).size:
        i, j = wrong[0]
        raise ValueError(f"{name}: adjacency[{i}][{j}] is {matrix[i, j]}, expected 0 or 1")
    if (lower := np.argwhere(np.tril(matrix))).size:
        i, j = lower[0]
        raise ValueError(f"{name}: edge {i} -> {j} goes backward, expected nodes in topological order (and no cycle)")
    return operations, matrix


def let_pipelines_pad_graphs() -> None:
    """Teach transformers' pipelines, where they are imported, to pad adjacency (1, L, L) along both axes when they make
    a batch of single items; by themselves they pad one axis only. Everything else is padded as before.
    """
    base = sys.modules.get("transformers.pipelines.base")
    pad = getattr(base, "_pad", None)
    if base is None or pad is None or pad.__name__ == "_pad_graphs":
        return

    def _pad_graphs(items: list, key: str, padding_value: Any, padding_side: str) -> Any:
        if key != "adjacency" or getattr(items[0][key], "ndim", 0) != 3:
            return pad(items, key, padding_value, padding_side)
        matrices = [item[key] for item in items]
        longest = max(matrix.shape[-1] for matrix in matrices)
        batch = matrices[0].new_zeros(len(matrices), longest, longest)
        for row, matrix in zip(batch, matrices, strict=True):
            row[: matrix.shape[1], : matrix.shape[2]] = matrix[0]
        return batch

    setattr(base, "_pad", _pad_graphs)  # noqa: B010 - a private name
