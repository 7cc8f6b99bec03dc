"""What is one edge or one operation away from an architecture, as a table."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.graphs.table import ArchitectureTable

if TYPE_CHECKING:
    from cate_hf.spaces.base import Space


def one_step_away(table: ArchitectureTable, num_inputs: int, moves: bool) -> tuple[ArchitectureTable, np.ndarray]:
    """All drawings one edge (added, removed) or one operation away from the one row of a table, valid or not.

    Args:
        moves: also those that have one edge from another node to the same.

    Returns:
        the drawings, and (N,) bool: an edge was removed, so that nodes may be pruned.
    """
    size, operations = int(table.num_nodes[0]), len(table.vocabulary) - num_inputs - 1
    pairs = np.array([x + y * (y - 1) // 2 for y in range(num_inputs, size) for x in range(y)], dtype=np.intp)
    flipped = np.repeat(table.edge_bits, len(pairs), axis=0)
    bit = (1 << (pairs & 7)).astype(np.uint8)
    rows = np.arange(len(pairs))
    flipped[rows, pairs >> 3] ^= bit
    removed = (flipped[rows, pairs >> 3] & bit) == 0

    if moves:
        ends = np.array([y for y in range(num_inputs, size) for _ in range(y)], dtype=np.intp)
        there = np.flatnonzero(removed)
        old, new = np.nonzero((ends[there, None] == ends) & ~removed)
        moved = flipped[there[old]].copy()
        moved[np.arange(len(new)), pairs[new] >> 3] ^= bit[new]
        flipped = np.concatenate([flipped, moved])
        removed = np.concatenate([removed, np.zeros(len(moved), dtype=bool)])

    between = np.repeat(np.arange(num_inputs, size - 1), operations)
    codes = np.tile(np.arange(num_inputs, num_inputs + operations, dtype=np.uint8), max(size - 1 - num_inputs, 0))
    other = codes != table.operation_codes[0, between]
    between, codes = between[other], codes[other]
    relabelled = np.repeat(table.operation_codes, len(codes), axis=0)
    relabelled[np.arange(len(codes)), between] = codes

    drawings = ArchitectureTable(
        table.vocabulary,
        np.concatenate([np.repeat(table.operation_codes, len(flipped), axis=0), relabelled]),
        np.concatenate([flipped, np.repeat(table.edge_bits, len(codes), axis=0)]),
        np.repeat(table.num_nodes, len(flipped) + len(codes)),
    )
    return drawings, np.concatenate([removed, np.zeros(len(codes), dtype=bool)])


def neighbours(
    space: "Space",
    start: ArchitectureTable,
    plain: Callable[[ArchitectureTable], tuple[ArchitectureTable, np.ndarray]],
    moves: bool = False,
    prunable: Callable[[np.ndarray], np.ndarray] = lambda removed: np.ones(len(removed), dtype=bool),
) -> ArchitectureTable:
    """The valid ones of `one_step_away`, each once, the architecture itself excluded, pruned, with a column hash.

    Args:
        start: the architecture, valid, as a table of one row.
        plain: which drawings are valid as they are: the table of those, and (N,) bool.
        prunable: of (N,) bool, an edge was removed: which of the others `validate` must see one by one.
    """
    drawings, removed = one_step_away(start, space.num_inputs, moves)
    found, valid = plain(drawings)
    pruned = []
    for drawing in drawings[prunable(removed) & ~valid]:
        with suppress(ValueError):
            pruned.append(space.validate(drawing))
    found = ArchitectureTable.concatenate([found, space.table(pruned)])
    hashes = space.hash_many(found)
    _, first = np.unique(hashes, return_index=True)
    kept = np.sort(first[hashes[first] != space.hash_many(start)[0]])
    return found[kept].with_columns(hash=hashes[kept])
