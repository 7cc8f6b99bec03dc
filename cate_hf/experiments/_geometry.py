"""What lies near what in an encoding, without any predictor."""

from collections.abc import Callable

import numpy as np

from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space

PAIRS = 20_000  # drawn for correlations of distances
QUERIES = 1_000  # whose nearest neighbours are looked at
_EDIT_QUERIES = 40
_REDRAWN = 300


def geometry(
    space: Space,
    table: ArchitectureTable,
    vectors: np.ndarray,
    accuracy: np.ndarray,
    transform: Callable[[ArchitectureTable], np.ndarray] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Numbers of an encoding's geometry on a set of architectures.

    Args:
        table: N unique architectures with a hash column; vectors: (N, D); accuracy: (N,).
        transform: what gave the vectors, to encode other drawings; without it there is no `drawing_distance`.

    Returns:
        unique_share: distinct vectors, as a share of N (1: no two architectures share one).
        effective_dimension: (Σλ)² / Σλ² of the covariance's eigenvalues λ: how many directions are used evenly.
        distance_accuracy: Spearman's ρ between the L2 distance of random pairs and their difference in accuracy.
        neighbour_accuracy_gap: mean difference in accuracy to the nearest other architecture, over that of random
            pairs (below 1: neighbours are alike).
        equal_cost_distance: mean L2 of pairs of about equal cost (the space's pairing), over that of random pairs
            (figure 3 of Yan et al. compares these).
        edit_distance: Spearman's ρ between L2 and graph edit distance; NaN where the graphs are too large for it.
        drawing_distance: mean L2 between isomorphic drawings of an architecture, over that of random pairs (0: the
            encoding sees the graph, not the drawing).
    """
    from scipy.stats import spearmanr

    rng = np.random.default_rng(seed)
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    a, b = rng.integers(len(table), size=(2, PAIRS))
    a, b = a[a != b], b[a != b]
    distances = np.linalg.norm(vectors[a] - vectors[b], axis=1)
    scale = float(distances.mean()) or 1.0
    gaps = np.abs(accuracy[a] - accuracy[b])
    nearest, _ = _nearest(vectors, rng.choice(len(table), min(QUERIES, len(table)), replace=False))
    rows = nearest[:, 0]
    near_gap = np.abs(accuracy[rows] - accuracy[nearest[:, 1]]).mean()
    return {
        "unique_share": len(np.unique(np.ascontiguousarray(vectors).view(f"V{vectors.strides[0]}"))) / len(table),
        "effective_dimension": effective_dimension(vectors),
        "distance_accuracy": float(spearmanr(distances, gaps)[0]),
        "neighbour_accuracy_gap": float(near_gap / gaps.mean()),
        "equal_cost_distance": _equal_cost(space, table, vectors, rng) / scale,
        "edit_distance": _edit_distance(space, table, vectors, rng),
        "drawing_distance": _drawing_distance(space, table, transform, rng) / scale,
    }


def effective_dimension(vectors: np.ndarray) -> float:
    """Participation ratio of the covariance's eigenvalues, 1 to D."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    eigenvalues = np.maximum(np.linalg.eigvalsh(centred.T @ centred), 0)
    return float(eigenvalues.sum() ** 2 / max((eigenvalues**2).sum(), 1e-300))


def _nearest(vectors: np.ndarray, queries: np.ndarray, chunk: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """(Q, 2) each query row and the nearest other row, and their distances (Q,)."""
    norms = np.einsum("nd,nd->n", vectors, vectors)
    pairs, found = [], []
    for start in range(0, len(queries), chunk):
        rows = queries[start : start + chunk]
        squared = norms - 2 * (vectors[rows] @ vectors.T)
        squared[np.arange(len(rows)), rows] = np.inf
        other = squared.argmin(axis=1)
        pairs.append(np.column_stack([rows, other]))
        found.append(np.linalg.norm(vectors[rows].astype(np.float64) - vectors[other], axis=1))
    return np.concatenate(pairs), np.concatenate(found)


def _equal_cost(space: Space, table: ArchitectureTable, vectors: np.ndarray, rng: np.random.Generator) -> float:
    from cate_hf.data.pairs import default_settings, default_window, make_pairs

    settings = default_settings(space)
    costs = space.costs(table, settings.cost)
    window = default_window(costs) if settings.window is None else settings.window
    pairs = make_pairs(costs, window, settings.partners, 0)
    if not len(pairs):
        return float("nan")
    pairs = pairs[rng.choice(len(pairs), min(PAIRS, len(pairs)), replace=False)]
    return float(np.linalg.norm(vectors[pairs[:, 0]] - vectors[pairs[:, 1]], axis=1).mean())


def _edit_distance(space: Space, table: ArchitectureTable, vectors: np.ndarray, rng: np.random.Generator) -> float:
    from scipy.stats import spearmanr

    from cate_hf.graphs.algorithms import MAX_EXACT_EDIT_NODES

    if space.max_nodes - space.num_inputs - 1 > MAX_EXACT_EDIT_NODES:
        return float("nan")
    rows = rng.choice(len(table), min(2 * _EDIT_QUERIES, len(table)), replace=False)
    cells = list(table[rows])
    half = len(cells) // 2
    edits, distances = [], []
    for i in range(half):
        for j in range(half, len(cells)):
            edits.append(cells[i].edit_distance(cells[j], space.num_inputs))
            distances.append(np.linalg.norm(vectors[rows[i]] - vectors[rows[j]]))
    return float(spearmanr(edits, distances)[0])


def _drawing_distance(
    space: Space, table: ArchitectureTable, transform: Callable | None, rng: np.random.Generator
) -> float:
    if transform is None:
        return float("nan")
    rows = rng.choice(len(table), min(_REDRAWN, len(table)), replace=False)
    drawn = [[redraw(cell, space.num_inputs, rng) for cell in table[rows]] for _ in range(2)]
    first, second = (transform(space.table(cells)) for cells in drawn)
    return float(np.linalg.norm(first.astype(np.float64) - second, axis=1).mean())


def redraw(cell: Architecture, num_inputs: int, rng: np.random.Generator) -> Architecture:
    """The same graph with the nodes between in another order, drawn step by step from those that could come next."""
    order = list(range(num_inputs))
    left = set(range(num_inputs, len(cell) - 1))
    while left:
        free = [n for n in sorted(left) if not any(cell.adjacency[m, n] for m in left)]
        order.append(int(rng.choice(free)))
        left.remove(order[-1])
    order.append(len(cell) - 1)
    return Architecture([cell.operations[n] for n in order], cell.adjacency[np.ix_(order, order)])


HEADINGS = {
    "unique_share": "distinct vectors",
    "effective_dimension": "effective dimension",
    "distance_accuracy": "ρ(distance, accuracy gap)",
    "neighbour_accuracy_gap": "accuracy gap of neighbours",
    "equal_cost_distance": "distance of equal cost",
    "edit_distance": "ρ(distance, edit distance)",
    "drawing_distance": "distance of drawings",
}
"""Short headings of the numbers, in the order of a table."""
