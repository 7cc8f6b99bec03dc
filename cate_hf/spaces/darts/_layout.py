"""Drawings of a DARTS cell with its 15 nodes numbered in any topological order, brought to the standard layout."""

from typing import TYPE_CHECKING

import numpy as np

from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces._validation import CHUNK
from cate_hf.spaces.darts._costs import NODES, OPERATIONS
from cate_hf.spaces.darts.genotypes import CELL_NODES, VOCABULARY, decode

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture

_SUM, _OUTPUT = len(VOCABULARY) - 2, len(VOCABULARY) - 1
_ENTRIES = 2 * NODES


def read_cells(table: ArchitectureTable) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the rows of a table over the vocabulary of DARTS are, their nodes numbered in any topological order.

    The sums become the intermediate nodes in the order of their numbers; of the operations that a sum adds, the lower
    numbered is the second entry. So a cell in the standard layout keeps its drawing.

    Returns:
        operations and inputs (N, 8) uint8, (N,) bool whether the row is a cell, and (N,) bool whether it is in the
        standard layout. Operations and inputs of a row that is no cell mean nothing.
    """
    operations, inputs, in_layout = decode(table)
    is_cell = in_layout.copy()
    others = np.flatnonzero(~in_layout & (table.num_nodes == CELL_NODES))
    for start in range(0, len(others), CHUNK):
        rows = others[start : start + CHUNK]
        adjacency = table.adjacency(rows)[:, :CELL_NODES, :CELL_NODES].astype(bool)
        read, read_operations, read_inputs = _read(table.operation_codes[rows, :CELL_NODES], adjacency)
        rows = rows[read]
        is_cell[rows], operations[rows], inputs[rows] = True, read_operations, read_inputs
    return operations, inputs, is_cell, in_layout


def _read(codes: np.ndarray, adjacency: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers (M,) of the cells among codes (N, 15) and adjacency (N, 15, 15), and their entries (M, 8)."""
    is_sum = codes == _SUM
    is_operation = (codes > 1) & (codes < _SUM)
    fits = (codes[:, 0] == 0) & (codes[:, 1] == 1) & (codes[:, -1] == _OUTPUT) & ~adjacency[:, 0, 1]
    fits &= (is_sum.sum(axis=1) == NODES) & (is_operation.sum(axis=1) == _ENTRIES)
    kept = np.flatnonzero(fits)
    codes, adjacency, is_sum = codes[kept], adjacency[kept], is_sum[kept]
    row = np.arange(len(kept))[:, None]
    nodes = np.nonzero(is_operation[kept])[1].reshape(-1, _ENTRIES)
    sums = np.nonzero(is_sum)[1].reshape(-1, NODES)
    reads, feeds = adjacency[row, :, nodes], adjacency[row, nodes]  # (M, 8, 15)
    source, target = reads.argmax(axis=2), feeds.argmax(axis=2)
    fits = ((reads.sum(axis=2) == 1) & (feeds.sum(axis=2) == 1)).all(axis=1)
    fits &= ((source < 2) | is_sum[row, source]).all(axis=1) & is_sum[row, target].all(axis=1)
    fits &= (adjacency[row, :, sums].sum(axis=2) == 2).all(axis=1)
    fits &= adjacency[row, sums, -1].all(axis=1) & (adjacency[:, :, -1].sum(axis=1) == NODES)
    number = np.cumsum(is_sum, axis=1) - 1  # of a sum: which intermediate node it is
    target = number[row, target]
    fits &= (target[:, :, None] == np.arange(NODES)).sum(axis=1).max(axis=1) == 2
    # Operations by sum, those of a sum by falling node number.
    order = np.argsort(target, axis=1, kind="stable").reshape(-1, NODES, 2)[:, :, ::-1].reshape(-1, _ENTRIES)
    inputs = np.take_along_axis(np.where(source < 2, source, 2 + number[row, source]), order, axis=1)
    operations = np.take_along_axis(codes[row, nodes], order, axis=1) - 2
    fits &= (inputs[:, 0::2] != inputs[:, 1::2]).all(axis=1)
    return kept[fits], operations[fits].astype(np.uint8), inputs[fits].astype(np.uint8)


def why_not(architecture: "Architecture") -> str:
    """Why a graph with c_{k-2}, c_{k-1} and the output in their places is no DARTS cell, "" if it is one."""
    names, adjacency = architecture.operations, architecture.adjacency.astype(bool)
    if len(names) != CELL_NODES:
        return (
            f"{len(names)} nodes, counting those between inputs and output that are on a path; a darts cell has "
            f"{CELL_NODES}: two inputs, {_ENTRIES} operations, {NODES} sums and the output"
        )
    if names.count("sum") != NODES:
        return (
            f"{names.count('sum')} sums and {len(names) - 3 - names.count('sum')} operations; a darts cell has 4 and 8"
        )
    if adjacency[0, 1]:
        return "node 1 (c_{k-1}) reads node 0 (c_{k-2}); inputs read nothing"
    sources = [np.flatnonzero(adjacency[:, node]).tolist() for node in range(CELL_NODES)]
    for node, name in enumerate(names):
        kinds = [names[source] for source in sources[node]]
        if name in OPERATIONS:
            if len(kinds) != 1:
                return f"node {node} ({name}) reads {len(kinds)} nodes; an operation reads one"
            targets = np.flatnonzero(adjacency[node]).tolist()
            if len(targets) != 1 or names[targets[0]] != "sum":
                found = ", ".join(f"node {target} ({names[target]})" for target in targets) or "nothing"
                return f"node {node} ({name}) feeds {found}; an operation feeds one sum"
        elif name == "sum":
            if len(kinds) != 2 or not set(kinds) <= set(OPERATIONS):
                return f"node {node} (sum) adds {', '.join(kinds) or 'nothing'}; a sum adds two operations"
            first, second = (sources[source][0] for source in sources[node])
            if first == second:
                return (
                    f"node {node} (sum): both operations read node {first} ({names[first]}); they read different ones"
                )
            if not adjacency[node, -1]:
                return f"node {node} (sum) does not feed the output; all four sums do"
    extra = [source for source in sources[-1] if names[source] != "sum"]
    return f"the output reads node {extra[0]} ({names[extra[0]]}); it reads the four sums only" if extra else ""
