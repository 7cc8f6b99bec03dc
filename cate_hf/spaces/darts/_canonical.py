"""The canonical form of DARTS cells: of all drawings of a cell, the one with the lowest number.

The four intermediate nodes may be numbered in any order in which a node comes after those that it reads, and the two
entries of a node swap places freely; nothing else changes between two drawings of a cell. Which inputs the nodes read
is one of 1 · 3 · 6 · 10 = 180 wirings. For each of them the renumberings that reach its lowest wiring are known
beforehand, so what is left for a cell is to compare the operations under those few.
"""

from functools import lru_cache
from itertools import combinations, permutations, product
from typing import NamedTuple

import numpy as np

from cate_hf.graphs.hashing import text_hashes
from cate_hf.spaces.darts._costs import NODES, OPERATIONS

__all__ = ["wirings"]

ENTRIES = 2 * NODES
LABELLINGS = len(OPERATIONS) ** ENTRIES
_WEIGHTS = len(OPERATIONS) ** np.arange(ENTRIES, dtype=np.int64)


class Wirings(NamedTuple):
    """All wirings, and how each becomes its canonical one.

    Attributes:
        inputs: (180, 8) uint8, the lower input of each node first.
        canonical: (180,) int64, number of the lowest wiring that a renumbering reaches.
        places: for each wiring, (P, 8): where its entries go under each of the renumberings that reach it.
    """

    inputs: np.ndarray
    canonical: np.ndarray
    places: list[np.ndarray]


@lru_cache(maxsize=1)
def wirings() -> Wirings:
    """The table of all wirings, in the order of `wiring_numbers`."""
    pairs = [sorted(combinations(range(2 + node), 2), key=lambda pair: pair[::-1]) for node in range(NODES)]
    inputs = np.array([sum(reversed(choice), ()) for choice in product(*reversed(pairs))], dtype=np.uint8)
    canonical = np.full(len(inputs), len(inputs), dtype=np.int64)
    places: list[list[list[int]]] = [[] for _ in inputs]
    for number, row in enumerate(inputs.tolist()):
        for positions in permutations(range(2, 2 + NODES)):
            renumbered = _renumber(row, positions)
            if renumbered is None:
                continue
            new_inputs, place = renumbered
            reached = int(wiring_numbers(np.array([new_inputs]))[0])
            if reached < canonical[number]:
                canonical[number], places[number] = reached, []
            if reached == canonical[number]:
                places[number].append(place)
    return Wirings(inputs, canonical, [np.array(p) for p in places])


def _renumber(inputs: list[int], positions: tuple[int, ...]) -> tuple[list[int], list[int]] | None:
    """Inputs and places of the entries when node n becomes number positions[n]; None where one reads a later one."""
    new_inputs, places = [0] * ENTRIES, [0] * ENTRIES
    number = (0, 1, *positions)
    for node, position in enumerate(positions):
        entries = sorted((number[inputs[entry]], entry) for entry in (2 * node, 2 * node + 1))
        if entries[1][0] >= position:
            return None
        for side, (new_input, entry) in enumerate(entries):
            place = 2 * (position - 2) + side
            new_inputs[place], places[entry] = new_input, place
    return new_inputs, places


def wiring_numbers(inputs: np.ndarray) -> np.ndarray:
    """(N,) int64: numbers 0 .. 179 of wirings (N, 8) that have the lower input of each node first."""
    numbers, radix = np.zeros(len(inputs), dtype=np.int64), 1
    for node in range(NODES):
        low, high = (inputs[:, 2 * node + side].astype(np.int64) for side in (0, 1))
        numbers += radix * (low + high * (high - 1) // 2)
        radix *= (2 + node) * (1 + node) // 2
    return numbers


def sort_entries(operations: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same cells (N, 8) with the lower input of each node first."""
    swapped = np.repeat(inputs[:, 0::2] > inputs[:, 1::2], 2, axis=1)
    beside = np.arange(ENTRIES) ^ 1
    operations, inputs = (np.where(swapped, values[:, beside], values) for values in (operations, inputs))
    return operations, inputs


def canonical_keys(operations: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """(N,) int64 below 180 · 7^8: the numbers of the canonical drawings, equal for isomorphic cells only."""
    operations, inputs = sort_entries(operations, inputs)
    table, numbers = wirings(), wiring_numbers(inputs)
    keys = np.empty(len(numbers), dtype=np.int64)
    order = np.argsort(numbers.astype(np.uint8), kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=len(table.inputs)))
    for number in np.unique(numbers).tolist():
        rows = order[ends[number - 1] if number else 0 : ends[number]]
        cells = operations[rows].astype(np.float64)  # exact far beyond 7^8, and much faster to multiply
        labelling = (cells @ _WEIGHTS[table.places[number]].T.astype(np.float64)).min(axis=1)
        keys[rows] = table.canonical[number] * LABELLINGS + labelling.astype(np.int64)
    return keys


def cells_of_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Operations and inputs (N, 8) uint8 of keys (N,): also of numbers 0 .. 180 · 7^8 - 1 that are not canonical."""
    number, labelling = np.divmod(keys, LABELLINGS)
    operations = np.empty((len(keys), ENTRIES), dtype=np.uint8)
    for entry in range(ENTRIES):
        labelling, operations[:, entry] = np.divmod(labelling, len(OPERATIONS))
    return operations, wirings().inputs[number]


def cell_hashes(keys: np.ndarray, reduction_keys: np.ndarray | None = None) -> np.ndarray:
    """(N,) text: hashes of cells, or of pairs of a normal and a reduction cell, by their canonical keys (N,).

    The hash of a cell is the MD5 of "darts:" and, for each entry of the canonical form, a digit of its input and one of
    its operation's code. That of a pair of different cells is the MD5 of both such texts; a pair of equal cells has the
    hash of the cell.
    """
    hashes = text_hashes(_texts(keys))
    if reduction_keys is not None:
        differ = np.flatnonzero(keys != reduction_keys)
        hashes[differ] = text_hashes(np.hstack([_texts(keys[differ]), _texts(reduction_keys[differ])]))
    return hashes


def _texts(keys: np.ndarray) -> np.ndarray:
    """(N, 22) ASCII codes."""
    operations, inputs = cells_of_keys(keys)
    digits = np.stack([inputs, operations], axis=2).reshape(len(keys), 2 * ENTRIES) + np.uint8(ord("0"))
    name = np.frombuffer(b"darts:", dtype=np.uint8)
    return np.hstack([np.broadcast_to(name, (len(keys), len(name))), digits])


def drawings(operations: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All different drawings (D, 8) of one cell (8,), D from 1 to 24, by the order of its nodes; its own order first.

    Each has the lower input of each node first.
    """
    found: dict[tuple[bytes, bytes], None] = {}
    for positions in permutations(range(2, 2 + NODES)):
        renumbered = _renumber(np.asarray(inputs).tolist(), positions)
        if renumbered is not None:
            new_operations = np.empty(ENTRIES, dtype=np.uint8)
            new_operations[renumbered[1]] = operations
            found[new_operations.tobytes(), bytes(renumbered[0])] = None
    rows = [[np.frombuffer(part, dtype=np.uint8) for part in drawing] for drawing in found]
    drawn_operations, drawn_inputs = (np.array(part) for part in zip(*rows, strict=True))
    return drawn_operations, drawn_inputs


def one_change(operations: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All cells (M, 8) that differ from one cell (8,) by one operation, or by one input in one of its drawings.

    Some are isomorphic to others, or to the cell itself.
    """
    entry, code = np.divmod(np.arange(ENTRIES * len(OPERATIONS)), len(OPERATIONS))
    changed = np.tile(operations, (len(entry), 1))
    changed[np.arange(len(entry)), entry] = code
    changed = changed[code != operations[entry]]
    drawn_operations, drawn_inputs = drawings(operations, inputs)
    drawing, entry, value = (
        part.ravel() for part in np.meshgrid(*map(np.arange, (len(drawn_inputs), ENTRIES, 1 + NODES)), indexing="ij")
    )
    fits = (
        (value < 2 + entry // 2) & (value != drawn_inputs[drawing, entry]) & (value != drawn_inputs[drawing, entry ^ 1])
    )
    drawing, entry, value = drawing[fits], entry[fits], value[fits]
    rewired = drawn_inputs[drawing]
    rewired[np.arange(len(entry)), entry] = value
    return (
        np.vstack([changed, drawn_operations[drawing]]),
        np.vstack([np.tile(inputs, (len(changed), 1)), rewired]),
    )
