"""NAS-Bench-201 (Dong and Yang, ICLR 2020), the topology space of NATS-Bench: an operation on each edge of 4 nodes.

As a graph with operations on nodes: each operation but none becomes a node, and the one on edge i → j feeds those on
the edges from j; the cell's node 0 becomes the input, node 3 the output, the others are in the edges. Operations on no
path from input to output are left out. So 8,765 different graphs stand for the 15,625 cells; the 341 cells without a
path are one of them, an input and an output without an edge.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.graphs._hashes import HashIndex
from cate_hf.graphs.hashing import cell_hashes
from cate_hf.graphs.table import PADDING, ArchitectureTable
from cate_hf.spaces._validation import check_ends
from cate_hf.spaces.base import Space
from cate_hf.spaces.nasbench201 import cells as nasbench201_cells
from cate_hf.spaces.nasbench201 import costs as nasbench201_network
from cate_hf.spaces.nasbench201.costs import EDGES, OPERATIONS
from cate_hf.spaces.nasbench201.notation import parse_cell, parse_cells

if TYPE_CHECKING:
    import torch

    from cate_hf.graphs.architecture import Architecture

__all__ = ["SPACE"]

# What the cell hash reads for input, operations and output, as in NAS-Bench-101.
_HASH_LABELS = np.array([-1, 0, 1, 2, 3, -2])


class NasBench201(Space):
    """The cell space of NAS-Bench-201, with the costs of its CIFAR-10 network.

    `enumerate` gives every cell, `pool` every graph: the cell without dead operations, so that its costs are those of
    the graph. Both have the columns hash, parameters, flops, cell (the benchmark's string), code (an integer whose six
    digits are the operations on the edges 0→1, 0→2, 1→2, 0→3, 1→3, 2→3: 0 none, 1 skip_connect, 2 nor_conv_1x1,
    3 nor_conv_3x3, 4 avg_pool_3x3), index (the benchmark's) and isomorphism_class (of 6,466, see
    `nasbench201_cells.isomorphism_classes`). Cells have the costs of all their operations, dead ones included, as the
    benchmark counts them.
    """

    name = "nasbench201"
    version = "1"
    vocabulary = nasbench201_cells.VOCABULARY
    max_nodes = nasbench201_cells.MAX_NODES
    max_edges = nasbench201_cells.MAX_EDGES
    size = len(OPERATIONS) ** len(EDGES)
    distribution = "uniform over the 8,765 different graphs of the cells"
    free_edges = False
    path_lengths = (1, 3)
    small_network = {"channels": 16, "cells": 1, "classes": 10}
    most_paths = 4
    # Parameters take 28 values, by how many convolutions of each kind a graph has. 28,000 are one 1×1 convolution in
    # every cell: with less, small groups find no partner; with this all graphs but one find tens of them.
    pairing = {"cost": "parameters", "window": 28_000, "partners": 16}

    def hash_many(self, table: ArchitectureTable) -> np.ndarray:
        table = self.canonical(self.table(table))
        rows = np.column_stack([table.operation_codes, table.edge_bits])  # equal drawings are hashed once
        rows = np.ascontiguousarray(rows).view(f"V{rows.shape[1]}").ravel()
        _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
        labels = _HASH_LABELS[np.where(table.operation_codes[first] == PADDING, 0, table.operation_codes[first])]
        return cell_hashes(table.adjacency(first), labels, table.num_nodes[first])[inverse]

    def _cost(self, table: ArchitectureTable, name: str) -> np.ndarray:
        """(N,) int64 of the graphs: their cells without dead operations."""
        return nasbench201_network.costs(self.codes(table))[self.cost_names.index(name)]

    def _enumerate(self, progress: bool) -> ArchitectureTable:
        codes = nasbench201_cells.all_codes()
        table = self.from_codes(codes)
        hashes = self.hash_many(table)
        parameters, flops = nasbench201_network.costs(codes)
        columns = {
            "hash": hashes,
            "parameters": parameters,
            "flops": flops,
            "cell": nasbench201_cells.texts(codes),
            "code": nasbench201_cells.keys(codes),
            "index": nasbench201_cells.indices(codes),
            "isomorphism_class": nasbench201_cells.isomorphism_classes(codes),
        }
        return table.with_columns(**columns)[np.argsort(hashes, kind="stable")]

    def pool(self, use_cache: bool = True, progress: bool = False) -> ArchitectureTable:
        """The 8,765 graphs, sorted by hash, each as its cell with the fewest operations (of those the lowest code)."""
        return self._graphs if use_cache else self._distinct(self.enumerate(False, progress))

    @cached_property
    def _cells(self) -> ArchitectureTable:
        return self.enumerate()

    @cached_property
    def _graphs(self) -> ArchitectureTable:
        return self._distinct(self._cells)

    @cached_property
    def _index(self) -> HashIndex:
        return HashIndex(self._graphs.columns["hash"])

    @staticmethod
    def _distinct(cells: ArchitectureTable) -> ArchitectureTable:
        operations = (nasbench201_cells.from_keys(cells.columns["code"]) > 0).sum(axis=1)
        order = np.lexsort([cells.columns["code"], operations, cells.columns["hash"]])
        _, first = np.unique(cells.columns["hash"][order], return_index=True)
        return cells[order[first]]

    @cached_property
    def _graph_of_cell(self) -> np.ndarray:
        """(15625,) row of the pool for each cell, in the order of the cells' codes."""
        columns, rows = self._cells.columns, np.empty(self.size, dtype=np.int64)
        rows[nasbench201_cells.positions(nasbench201_cells.from_keys(columns["code"]))] = self._find(columns["hash"])
        return rows

    def _find(self, hashes: np.ndarray) -> np.ndarray:
        """(N,) rows of the pool, -1 for hashes that no graph has."""
        return self._index.rows(hashes)

    def graph_rows(self, codes: np.ndarray) -> np.ndarray:
        """(N, 6) operation codes of cells -> (N,) rows of `pool`, those of their graphs."""
        return self._graph_of_cell[nasbench201_cells.positions(self._check(codes))]

    def codes(self, table: ArchitectureTable) -> np.ndarray:
        """(N, 6) uint8: for each graph the operations of its cell in the pool.

        Raises:
            ValueError: a row is not the graph of a cell.
        """
        rows = self._find(self.hash_many(table))
        if (rows < 0).any():
            raise ValueError(f"row {int(np.argmin(rows))}: {_NO_CELL}")
        return nasbench201_cells.from_keys(self._graphs.columns["code"][rows])

    def from_codes(self, codes: np.ndarray) -> ArchitectureTable:
        """The graphs of cells, without columns.

        Args:
            codes: (N, 6) operations on the edges 0→1, 0→2, 1→2, 0→3, 1→3, 2→3, as the digits of the column code.

        Raises:
            ValueError: another shape or other codes; names the row and the edge.
        """
        nodes, adjacency = nasbench201_cells.graphs(self._check(codes))
        return ArchitectureTable.from_arrays(self.vocabulary, nodes, adjacency, source=self.name)

    def _check(self, codes: np.ndarray) -> np.ndarray:
        return nasbench201_network.check_codes("operations", codes, np.full(len(EDGES), len(OPERATIONS)))

    def cell(self, text: Any) -> "Architecture":
        """The graph of a cell, from the benchmark's string, six digits, or what else `parse_cell` of
        `cate_hf.spaces.nasbench201.notation` reads.

        Raises:
            ValueError: it is none of them; the message names the edge.
        """
        return self.from_codes(self.cell_codes(text)[None])[0]

    def cell_codes(self, text: Any) -> np.ndarray:
        """(6,) uint8 operations of just the cell that is written, dead ones included. Raises ValueError as `cell`."""
        codes = parse_cell(text)
        if codes is None:
            raise ValueError(f"{text!r:.100} is neither the string of a {self.name} cell nor six digits 0 to 4")
        return codes

    def native(self, architecture: "Architecture") -> str:
        """The benchmark's string of the graph's cell without dead operations."""
        return str(nasbench201_cells.texts(self.codes(self.table([self.validate(architecture)])))[0])

    def _parse_native(self, text: Any) -> "Architecture | None":
        codes = parse_cell(text)
        return None if codes is None else self.from_codes(codes[None])[0]

    def _parse_natives(self, texts: Sequence[Any]) -> tuple[ArchitectureTable, np.ndarray]:
        codes, found = parse_cells(texts)
        return self.from_codes(codes[found]), found

    def validate(self, architecture: "Architecture") -> "Architecture":
        """The architecture without nodes that are on no path from input to output; those two alone where there is none.

        Raises:
            ValueError: it is not the graph of a cell; the message says why.
        """
        check_ends(self, architecture)
        if not architecture.closure()[0, -1]:
            return self.cell("0" * len(EDGES))
        pruned = super().validate(architecture)
        if self._find(self.hash_many(self.table([pruned])))[0] < 0:
            raise ValueError(_NO_CELL)
        return pruned

    def _needs_a_look(self, table: ArchitectureTable) -> np.ndarray:
        look = super()._needs_a_look(table)
        ends = (table.operation_codes[:, 0] == 0) & (table.operation_codes[:, 1] == len(self.vocabulary) - 1)
        look &= ~(ends & (table.num_nodes == 2) & ~table.edge_bits.any(axis=1))  # the cells without a path
        plain = np.flatnonzero(~look)
        look[plain] = self._find(self.hash_many(table[plain])) < 0
        return look

    def neighbours(self, architecture: "Architecture") -> ArchitectureTable:
        """The graphs that are one edge's operation away from the architecture, each once, with the columns of the pool.

        Several cells may have one graph: with nodes renumbered, or other dead operations. The neighbours of all of them
        count, so that an architecture is always among its neighbours' neighbours.
        """
        row = self._find(self.hash_many(self.table([self.validate(architecture)])))[0]
        cells = nasbench201_cells.all_codes()[self._graph_of_cell == row]
        changed = np.repeat(cells[:, None, None], len(EDGES), axis=1).repeat(len(OPERATIONS), axis=2)
        for edge in range(len(EDGES)):
            changed[:, edge, :, edge] = np.arange(len(OPERATIONS))
        rows = np.unique(self._graph_of_cell[nasbench201_cells.positions(changed.reshape(-1, len(EDGES)))])
        return self._graphs[rows[rows != row]]

    def build(self, architecture: "Architecture | str", **settings: Any) -> "torch.nn.Module":
        """The network of an architecture (of its cell without dead operations), or of just the cell that a text says.

        Raises:
            ValueError: not of the space, or a setting below 1.
        """
        from cate_hf.spaces.nasbench201._network import build_nasbench201

        text = architecture if isinstance(architecture, str) else self.native(architecture)
        return build_nasbench201([OPERATIONS[code] for code in self.cell_codes(text)], **settings)


SPACE = NasBench201

_NO_CELL = "no NAS-Bench-201 cell has this graph: its nodes are operations on the 6 edges between 4 nodes"
