"""Cells of NAS-Bench-Graph as predecessors and operations, and as graphs.

Each of 4 nodes reads one node, the input (0) or an earlier one (1 to 4); all that no other node reads are joined in the
output. A skip passes on what it reads, so that cells with skips in different places compute the same: the plain form
has the skips that change nothing in a chain behind the input.
"""

from collections.abc import Sequence

import numpy as np

NODES = 4
OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
SKIP = OPERATIONS.index("skip")
# Predecessors of the benchmark's 9 shapes, in the order of its numbers. Each shape is drawn in this one way.
SHAPES = np.array(
    [
        (0, 0, 0, 0),
        (0, 0, 0, 1),
        (0, 0, 1, 1),
        (0, 0, 1, 2),
        (0, 0, 1, 3),
        (0, 1, 1, 1),
        (0, 1, 1, 2),
        (0, 1, 2, 2),
        (0, 1, 2, 3),
    ]
)


def plain_form(before: Sequence[int], operations: Sequence[int]) -> tuple[list[int], list[int]]:
    """Predecessors and operation numbers (4,) with the skips that change nothing in front.

    A skip changes nothing where other nodes read it, where it alone reads its predecessor, or where it and all before
    it pass on the input, which is no part of the output.
    """
    before, operations, moved = list(before), list(operations), 0
    node = 0
    while node < len(operations):
        if operations[node] != SKIP or not _changes_nothing(node, before, operations):
            node += 1
            continue
        parent = before[node]
        before = [parent if other == node + 1 else other for other in before]
        del before[node], operations[node]
        before = [other - 1 if other > node + 1 else other for other in before]
        moved, node = moved + 1, 0
    chain = list(range(moved))
    return chain + [other + moved for other in before], [SKIP] * moved + operations


def _changes_nothing(node: int, before: list[int], operations: list[int]) -> bool:
    if node + 1 in before or before.count(before[node]) == 1:
        return True
    at = before[node]
    while at and operations[at - 1] == SKIP:
        at = before[at - 1]
    return at == 0


def graphs(before: np.ndarray, operations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) predecessors and operation numbers to operation codes (N, 6) and adjacency (N, 6, 6)."""
    count, rows = len(before), np.arange(len(before))
    codes = np.zeros((count, NODES + 2), np.uint8)
    codes[:, 1:-1], codes[:, -1] = operations + 1, len(OPERATIONS) + 1
    adjacency = np.zeros((count, NODES + 2, NODES + 2), np.uint8)
    for node in range(NODES):
        adjacency[rows, before[:, node], node + 1] = 1
    adjacency[:, 1:-1, -1] = adjacency[:, 1:-1, :-1].sum(2) == 0
    return codes, adjacency


def all_cells() -> tuple[np.ndarray, np.ndarray]:
    """Predecessors and operation numbers (N, 4) of all cells in plain form, some of them in several drawings."""
    drawn = np.stack(np.meshgrid(*[np.arange(len(OPERATIONS))] * NODES, indexing="ij"), -1).reshape(-1, NODES)
    drawn = drawn[(drawn != SKIP).any(1)]
    shapes = np.repeat(SHAPES, len(drawn), axis=0)
    drawn = np.tile(drawn, (len(SHAPES), 1))
    cells = zip(shapes.tolist(), drawn.tolist(), strict=True)
    rows = np.flatnonzero([plain_form(*cell) == cell for cell in cells])
    return shapes[rows], drawn[rows]
