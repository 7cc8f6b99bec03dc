"""All unique cells of NAS-Bench-101, found without hashing.

An unlabelled cell is the set of its edges as a bit pattern (edge x -> y, x < y, is bit x + y(y-1)/2). Cells that differ
by the order of their interior vertices are one: the least pattern stands for all. Labelled cells follow from each
unlabelled one: of the labellings that its automorphisms map onto each other, again the least.

Least in the benchmark's own order, because the drawing matters: where channels do not divide evenly the first vertices
get one more, so that isomorphic drawings differ in parameters, and the published ones are those of this drawing.
"""

from itertools import permutations

import numpy as np

from cate_hf.graphs.table import PADDING

# Codes in the space's vocabulary; the operations in the benchmark's order: conv3x3, conv1x1, maxpool.
_INPUT_CODE, _OUTPUT_CODE = 0, 4
_OPERATION_CODES = np.array([2, 1, 3], dtype=np.uint8)
_OPERATIONS = len(_OPERATION_CODES)


def all_cells(max_vertices: int, max_edges: int) -> tuple[np.ndarray, np.ndarray]:
    """Operation codes (N, max_vertices) uint8, 255 after the last vertex, and adjacency (N, L, L) uint8."""
    codes, adjacency = [], []
    for vertices in range(2, max_vertices + 1):
        patterns, labels = _labelled_cells(vertices, max_edges)
        rows = np.full((len(patterns), max_vertices), PADDING, dtype=np.uint8)
        rows[:, 0], rows[:, vertices - 1] = _INPUT_CODE, _OUTPUT_CODE
        rows[:, 1 : vertices - 1] = _OPERATION_CODES[labels]
        matrices = np.zeros((len(patterns), max_vertices, max_vertices), dtype=np.uint8)
        for y in range(vertices):
            for x in range(y):
                matrices[:, x, y] = patterns >> _bit(x, y) & 1
        codes.append(rows)
        adjacency.append(matrices)
    return np.concatenate(codes), np.concatenate(adjacency)


def _bit(x: int, y: int) -> int:
    return x + y * (y - 1) // 2


def _connected_patterns(vertices: int, max_edges: int) -> np.ndarray:
    """Edge patterns, (G,) uint32, in which every vertex lies on a path from the first to the last."""
    patterns = np.arange(1 << _bit(0, vertices), dtype=np.uint32)
    patterns = patterns[np.bitwise_count(patterns) <= max_edges]
    for v in range(vertices):
        into = sum(1 << _bit(x, v) for x in range(v))
        out = sum(1 << _bit(v, y) for y in range(v + 1, vertices))
        # Edges go from lower to higher vertices, so an edge in and an edge out at each are enough.
        for needed in (into, out):
            if needed:
                patterns = patterns[(patterns & np.uint32(needed)) != 0]
    return patterns


def _permuted(patterns: np.ndarray, order: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The patterns with vertex v renamed order[v], and which of them still have all edges from lower to higher."""
    result, backward = np.zeros_like(patterns), 0
    for y in range(len(order)):
        for x in range(y):
            if order[x] < order[y]:
                moved = patterns >> np.uint32(_bit(x, y)) & np.uint32(1)
                result |= moved << np.uint32(_bit(order[x], order[y]))
            else:
                backward |= 1 << _bit(x, y)
    return result, (patterns & np.uint32(backward)) == 0


def _labelled_cells(vertices: int, max_edges: int) -> tuple[np.ndarray, np.ndarray]:
    """Patterns (N,) and interior labels (N, vertices - 2) in 0 .. 2 of the unique cells with that many vertices."""
    interior = vertices - 2
    orders = [(0, *(v + 1 for v in order), vertices - 1) for order in permutations(range(interior))]
    patterns = _connected_patterns(vertices, max_edges)
    least = np.ones(len(patterns), dtype=bool)
    for order in orders:
        moved, forward = _permuted(patterns, order)
        least &= ~(forward & (moved < patterns))
    patterns = patterns[least]
    count = _OPERATIONS**interior
    powers = _OPERATIONS ** np.arange(interior)[::-1]  # the first vertex counts most
    labels = np.arange(count)[:, None] // powers % _OPERATIONS  # (count, interior)
    keep = np.ones((len(patterns), count), dtype=bool)
    for order in orders:
        moved, forward = _permuted(patterns, order)
        symmetric = forward & (moved == patterns)
        if symmetric.any():
            renamed = labels @ powers[np.array(order[1:-1], dtype=int) - 1] if interior else np.zeros(1, dtype=int)
            keep[symmetric] &= renamed >= np.arange(count)
    cell, labelling = np.nonzero(keep)
    return patterns[cell], labels[labelling]
