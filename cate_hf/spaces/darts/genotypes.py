"""DARTS cells as arrays, as the 15-node graphs of CATE, and as the text of a genotype.

The array form of N cells is two arrays (N, 8) uint8: operations, codes in `OPERATIONS`, and inputs, where 0 is c_{k-2},
1 is c_{k-1} and 2 .. 4 are intermediate nodes. Entries 2n and 2n + 1 belong to intermediate node n (0 .. 3), which is
input 2 + n of those after it. The two entries of a node have different inputs (Liu et al. 2019, section 2.4).

As a graph (Yan et al. 2021): nodes 0 and 1 are the inputs; intermediate node n is operations 2 + 3n and 3 + 3n and
their sum 4 + 3n; the sums go to the output, node 14. Of a pair of entries the SECOND is the lower numbered node.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cate_hf.graphs.table import ArchitectureTable, unknown_operation
from cate_hf.spaces._costs import check_codes
from cate_hf.spaces.darts._canonical import ENTRIES
from cate_hf.spaces.darts._costs import NODES, OPERATIONS

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture

__all__ = ["CellPair", "Genotype", "from_table", "to_table"]

_INPUTS = ("c_{k-2}", "c_{k-1}")
VOCABULARY = (*_INPUTS, *OPERATIONS, "sum", "output")
CELL_NODES = len(_INPUTS) + 3 * NODES + 1
CONCAT = range(2, 2 + NODES)
_FIRST_OPERATION = len(_INPUTS)
_INPUT_NODES = np.array([0, 1, *range(4, CELL_NODES - 1, 3)])  # the node that an input number stands for
_ENTRY_NODES = np.array([2 + 3 * (entry // 2) + (1 - entry % 2) for entry in range(ENTRIES)])
INPUT_LIMITS = 2 + np.arange(ENTRIES) // 2
COMPACT = (
    "expected (operation name, input), or NASLib's compact form: two cells of 8 pairs (input, operation) with the "
    f"operations 0 {', '.join(OPERATIONS)}"
)

Entries = Sequence[tuple[str, int]]


@dataclass(frozen=True)
class CellPair:
    """The two cells of a network; `CellPair(cell, cell)` uses one for both."""

    normal: "Architecture"
    reduction: "Architecture"


class Genotype(NamedTuple):
    """A normal and a reduction cell as DARTS writes them down; its `repr` is that text."""

    normal: list[tuple[str, int]]
    normal_concat: range
    reduce: list[tuple[str, int]]
    reduce_concat: range


def check(operations: np.ndarray, inputs: np.ndarray, source: str = "genotypes") -> tuple[np.ndarray, np.ndarray]:
    """The arrays (N, 8) as uint8.

    Raises:
        ValueError: naming the row and entry that is not as the module's docstring says.
    """
    operations = check_codes(f"{source}: operations", operations, np.full(ENTRIES, len(OPERATIONS)))
    inputs = check_codes(f"{source}: inputs", inputs, INPUT_LIMITS)
    if len(operations) != len(inputs):
        raise ValueError(f"{source}: {len(operations)} rows of operations, {len(inputs)} rows of inputs")
    twice = inputs[:, 0::2] == inputs[:, 1::2]
    if twice.any():
        row, node = np.argwhere(twice)[0].tolist()
        raise ValueError(f"{source}, row {row}: {_read_twice(node, inputs[row, 2 * node])}")
    return operations.astype(np.uint8, copy=False), inputs.astype(np.uint8, copy=False)


def _read_twice(node: int, value: int) -> str:
    return f"entries {2 * node} and {2 * node + 1} both read input {value}; a node has two different inputs"


def _edge_bytes(edges: Sequence[tuple[int, int]]) -> np.ndarray:
    """The edge bits of one 15-node graph, as `ArchitectureTable` packs them."""
    bits = np.zeros(CELL_NODES * (CELL_NODES - 1) // 2, dtype=np.uint8)
    for x, y in edges:
        bits[x + y * (y - 1) // 2] = 1
    return np.packbits(bits, bitorder="little")


_FIXED_CODES = np.array([0, 1, *[0, 0, len(VOCABULARY) - 2] * NODES, len(VOCABULARY) - 1], dtype=np.uint8)
_FIXED_EDGES = _edge_bytes(
    [(x, 4 + 3 * n) for n in range(NODES) for x in (2 + 3 * n, 3 + 3 * n)]
    + [(4 + 3 * n, CELL_NODES - 1) for n in range(NODES)]
)
_INPUT_EDGES = np.array([[_edge_bytes([(x, y)] if x < y else []) for x in _INPUT_NODES] for y in _ENTRY_NODES])


def to_table(operations: np.ndarray, inputs: np.ndarray, source: str = "genotypes") -> ArchitectureTable:
    """N cells as graphs in the standard layout, without columns. Raises ValueError as `check`."""
    operations, inputs = check(operations, inputs, source)
    codes = np.tile(_FIXED_CODES, (len(operations), 1))
    codes[:, _ENTRY_NODES] = operations + _FIRST_OPERATION
    edges = np.tile(_FIXED_EDGES, (len(operations), 1))
    for entry in range(ENTRIES):
        edges |= _INPUT_EDGES[entry][inputs[:, entry]]
    return ArchitectureTable(VOCABULARY, codes, edges, np.full(len(codes), CELL_NODES, dtype=np.uint8))


def decode(table: ArchitectureTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Operations and inputs (N, 8) of a table, and (N,) bool: whether the row is a cell in the standard layout.

    Where it is not, the row's operations and inputs mean nothing.
    """
    table = table.recode(VOCABULARY)
    in_layout = table.num_nodes == CELL_NODES
    if table.max_nodes < CELL_NODES:
        table = table.widen(CELL_NODES)
    codes, edges = table.operation_codes[:, :CELL_NODES], table.edge_bits[:, : len(_FIXED_EDGES)]
    operations = codes[:, _ENTRY_NODES] - np.uint8(_FIRST_OPERATION)
    inputs = np.zeros_like(operations)
    for entry, node in enumerate(_ENTRY_NODES.tolist()):
        for value in range(1, int(INPUT_LIMITS[entry])):
            bit = int(_INPUT_NODES[value]) + node * (node - 1) // 2
            inputs[:, entry] += value * (edges[:, bit // 8] >> bit % 8 & 1)
    in_layout &= (operations < len(OPERATIONS)).all(axis=1) & (inputs < INPUT_LIMITS).all(axis=1)
    in_layout &= (inputs[:, 0::2] != inputs[:, 1::2]).all(axis=1)
    operations[~in_layout] = 0
    inputs[~in_layout] = np.arange(ENTRIES) % 2
    plain = to_table(operations, inputs)
    in_layout &= (codes == plain.operation_codes).all(axis=1) & (edges == plain.edge_bits).all(axis=1)
    return operations, inputs, in_layout


def from_table(table: ArchitectureTable, source: str = "table") -> tuple[np.ndarray, np.ndarray]:
    """Operations and inputs (N, 8) uint8 of cells in the standard layout, the inverse of `to_table`.

    Raises:
        ValueError: naming the first row that is not in it; `get_space("darts").validate_many` brings drawings there.
    """
    operations, inputs, in_layout = decode(table)
    if not in_layout.all():
        raise ValueError(f"{source}, row {int(np.argmin(in_layout))}: not a DARTS cell in the standard layout")
    return operations, inputs


def entries(operations: np.ndarray, inputs: np.ndarray) -> list[tuple[str, int]]:
    """One cell, arrays of (8,), as entries (operation name, input)."""
    return [(OPERATIONS[o], i) for o, i in zip(operations.tolist(), inputs.tolist(), strict=True)]


def from_entries(cell: Entries, source: str = "genotype") -> tuple[np.ndarray, np.ndarray]:
    """Operations and inputs (8,) uint8 of one cell.

    Raises:
        ValueError: naming the first entry that is not (operation name, input), or has an input that it cannot have.
    """
    if isinstance(cell, np.ndarray):
        texts = cell.dtype.kind == "U"  # of operations and inputs in one array NumPy makes text
        cell = [[name, int(value) if texts and value.isdigit() else value] for name, value in cell.tolist()]
    if not isinstance(cell, Sequence) or isinstance(cell, str | bytes) or len(cell) != ENTRIES:
        found = f"{len(cell)} entries" if hasattr(cell, "__len__") else type(cell).__name__
        raise ValueError(f"{source}: expected a list of {ENTRIES} entries (operation, input), got {found}")
    operations, inputs = np.empty((2, ENTRIES), dtype=np.uint8)
    for i, entry in enumerate(cell):
        entry = entry.tolist() if isinstance(entry, np.ndarray) else entry
        if not isinstance(entry, Sequence) or isinstance(entry, str | bytes) or len(entry) != 2:
            raise ValueError(f"{source}, entry {i}: expected (operation, input), got {entry!r:.60}")
        name, value = entry
        if all(isinstance(part, int | np.integer) for part in entry):
            raise ValueError(f"{source}, entry {i}: {entry!r:.60}: numbers alone do not say which is which; {COMPACT}")
        if not isinstance(name, str) or name not in OPERATIONS:
            raise ValueError(f"{source}, entry {i}: {unknown_operation(str(name)[:60], OPERATIONS)}")
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < INPUT_LIMITS[i]:
            raise ValueError(f"{source}, entry {i}: input must be 0 to {INPUT_LIMITS[i] - 1}, not {value!r:.60}")
        operations[i], inputs[i] = OPERATIONS.index(name), value
        if i % 2 and inputs[i - 1] == value:
            raise ValueError(f"{source}: {_read_twice(i // 2, value)}")
    return operations, inputs
