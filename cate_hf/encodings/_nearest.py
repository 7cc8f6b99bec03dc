"""The rows of a matrix that are nearest to a vector."""

import numpy as np


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
