"""NAS-Bench-Graph (Qin et al., NeurIPS 2022): 26,206 cells of graph networks, trees of 4 of 9 operations."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.graphs._hashes import HashIndex
from cate_hf.graphs.graph_hash import graph_hashes
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces._validation import check_ends
from cate_hf.spaces.base import Space
from cate_hf.spaces.nasbench_graph._cells import NODES, OPERATIONS, SKIP, all_cells, graphs, plain_form

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture

__all__ = ["SPACE"]

# Weights of each operation, of each node that feeds the output, and of the rest of the network for ogbn-arxiv, with 128
# numbers a node: they give the benchmark's own numbers of parameters.
_WEIGHTS = np.array([16_768, 16_512, 16_512, 32_896, 32_896, 49_280, 32_896, 16_512, 0])
_OF_END, _OF_REST = 16_384, 6_312
_EXPECTED = f"expected {NODES} nodes that each read one other, all that none reads joined in the output"


class NasBenchGraph(Space):
    """The cell space of NAS-Bench-Graph, with the parameters of its network for ogbn-arxiv.

    Cells that compute the same, because a skip passes on what it reads, are one architecture: `validate` gives it with
    the skips that change nothing in front. A cell is also written as the node that each of the 4 reads, 0 for the
    input, and the operations: "0,0,1,2 gcn,gat,fc,skip".
    """

    name = "nasbench-graph"
    version = "1"
    vocabulary = ("input", *OPERATIONS, "output")
    max_nodes = NODES + 2
    max_edges = 2 * NODES
    size = 26_206
    cost_names = ("parameters",)
    free_edges = False
    path_lengths = (1, NODES)
    most_paths = NODES
    pairing = {"cost": "parameters", "window": 300, "partners": 2}

    def hash_many(self, table: ArchitectureTable) -> np.ndarray:
        return graph_hashes(self.canonical(self.table(table)))

    def _cost(self, table: ArchitectureTable, name: str) -> np.ndarray:
        weights = np.concatenate([[0], _WEIGHTS, np.zeros(256 - len(_WEIGHTS) - 1, int)])
        ends = table.adjacency()[np.arange(len(table)), :, table.num_nodes.astype(int) - 1].sum(1)
        return weights[table.operation_codes].sum(1) + _OF_END * ends.astype(np.int64) + _OF_REST

    def _enumerate(self, progress: bool) -> ArchitectureTable:
        table = self.from_cells(*all_cells())
        hashes, first = np.unique(graph_hashes(table), return_index=True)
        table = table[first].with_columns(hash=hashes)
        return table.with_columns(parameters=self._cost(table, "parameters"))

    def from_cells(self, before: Any, operations: Any) -> ArchitectureTable:
        """Cells as they are drawn, from the node that each of the 4 reads and the numbers of the operations, (N, 4)."""
        codes, adjacency = graphs(np.asarray(before), np.asarray(operations))
        return ArchitectureTable.from_arrays(self.vocabulary, codes, adjacency, source=self.name)

    @cached_property
    def _cells(self) -> ArchitectureTable:
        return self.enumerate()

    @cached_property
    def _index(self) -> HashIndex:
        return HashIndex(self._cells.columns["hash"])

    def validate(self, architecture: "Architecture") -> "Architecture":
        """The architecture with the skips that change nothing in a chain behind the input.

        Raises:
            ValueError: it is not of this space; the message says why.
        """
        check_ends(self, architecture)
        return self.from_cells(*([part] for part in plain_form(*self._cell(architecture))))[0]

    def _cell(self, architecture: "Architecture") -> tuple[list[int], list[int]]:
        """The nodes that are read and the numbers of the operations (4,)."""
        pruned = architecture.prune(self.num_inputs)
        edges = np.asarray(pruned.adjacency)
        inner = edges[:-1, 1:-1]
        ends = edges[1:-1, :-1].sum(1) == 0
        if (
            pruned.num_nodes != NODES + 2
            or (inner.sum(0) != 1).any()
            or edges[0, -1]
            or (edges[1:-1, -1] != ends).any()
        ):
            raise ValueError(f"no cell of {self.name}: {_EXPECTED}")
        operations = [OPERATIONS.index(name) for name in pruned.operations[1:-1]]
        if set(operations) == {SKIP}:
            raise ValueError(f"no cell of {self.name}: all operations are skip")
        return inner.argmax(0).tolist(), operations

    def _needs_a_look(self, table: ArchitectureTable) -> np.ndarray:
        look = super()._needs_a_look(table)
        plain = np.flatnonzero(~look)
        look[plain] = self._index.rows(graph_hashes(table[plain])) < 0
        return look

    def neighbours(self, architecture: "Architecture") -> ArchitectureTable:
        """The architectures that have another operation, or one node of which reads another, each once, with the
        columns of `enumerate`.
        """
        valid = self.validate(architecture)
        before, operations = self._cell(valid)
        found = []
        for node in range(NODES):
            for number in range(len(OPERATIONS)):
                found.append((before, [*operations[:node], number, *operations[node + 1 :]]))
            found += [([*before[:node], other, *before[node + 1 :]], operations) for other in range(node + 1)]
        forms = [plain_form(*cell) for cell in found if set(cell[1]) != {SKIP}]
        hashes = graph_hashes(self.from_cells([b for b, _ in forms], [o for _, o in forms]))
        rows = np.unique(self._index.rows(hashes))
        return self._cells[rows[rows != self._index.rows(self.hash_many(self.table([valid])))[0]]]

    def native(self, architecture: "Architecture") -> str:
        """The nodes that are read and the operations, such as "0,0,1,2 gcn,gat,fc,skip"."""
        before, operations = self._cell(self.validate(architecture))
        return f"{','.join(map(str, before))} {','.join(OPERATIONS[number] for number in operations)}"

    def _parse_native(self, text: Any) -> "Architecture | None":
        parts = text.split() if isinstance(text, str) else []
        if len(parts) != 2 or not set(parts[0]) <= set("0123456789,"):
            return None
        before, names = ([item for item in part.split(",") if item] for part in parts)
        if len(before) != NODES or len(names) != NODES or any(int(b) > i for i, b in enumerate(before)):
            raise ValueError(f"{text!r:.80}: expected {NODES} numbers of earlier nodes and {NODES} operations")
        if unknown := [name for name in names if name not in OPERATIONS]:
            raise ValueError(f"{text!r:.80}: unknown operation {unknown[0]!r}, known are {', '.join(OPERATIONS)}")
        cell = [int(b) for b in before], [OPERATIONS.index(name) for name in names]
        return self.from_cells(*([part] for part in cell))[0]


SPACE = NasBenchGraph
