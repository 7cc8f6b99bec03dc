"""Encodings by the adjacency matrix (White et al., "A Study on Encodings for NAS", NeurIPS 2020, section 3)."""

import os
from abc import abstractmethod

import numpy as np

from cate_hf.encodings.base import BaseEncoding
from cate_hf.spaces import Space
from cate_hf.table import PADDING, ArchitectureTable

_CHUNK = 65_536


class _ByAdjacency(BaseEncoding):
    """What the three forms share: where an architecture's edges and operations are.

    There are E possible edges between `max_nodes` positions, in row-major order of the upper triangle, and P positions
    between inputs and output. In smaller architectures the output moves to the last position, and the positions before
    it are empty.
    """

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        size, inputs = self.space.max_nodes, self.space.num_inputs
        self.positions = size - inputs - 1
        self.operations = len(self.space.vocabulary) - inputs - 1
        x, y = np.triu_indices(size, 1)
        self._bits = x + y * (y - 1) // 2  # of each possible edge, in a table's edge bits
        self.edges = len(self._bits)

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        table = self.space.table(table).widen(self.space.max_nodes)
        vectors = np.zeros((len(table), self.dim), dtype=np.float32)
        for first in range(0, len(table), _CHUNK):
            rows = slice(first, first + _CHUNK)
            self._write(*self._spread(table[rows]), vectors[rows])
        return vectors

    def _spread(self, table: ArchitectureTable) -> tuple[np.ndarray, np.ndarray]:
        """Edges (N, E) bool, and operations (N, P) uint8 from 0, `PADDING` where a position is empty."""
        size, inputs = self.space.max_nodes, self.space.num_inputs
        rows, last = np.arange(len(table)), table.num_nodes.astype(np.intp) - 1
        adjacency, codes = table.adjacency(), table.operation_codes.copy()
        into_output = adjacency[rows, :, last].copy()
        adjacency[rows, :, last] = 0
        adjacency[:, :, -1] = into_output
        codes[rows, last] = PADDING
        codes = codes[:, inputs : size - 1]
        return adjacency[:, *np.triu_indices(size, 1)] > 0, np.where(codes == PADDING, codes, codes - inputs)

    @abstractmethod
    def _write(self, edges: np.ndarray, operations: np.ndarray, vectors: np.ndarray) -> None:
        """Fill vectors (N, D), which are zero."""


class AdjacencyEncoding(_ByAdjacency):
    """One-hot adjacency: a number for each possible edge, then the operation of each position one-hot: 21 + 5 × 3 = 36
    for NAS-Bench-101.

    Isomorphic drawings of a cell get different vectors: the encoding depends on the order of the vertices.
    """

    name = "adjacency"

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        self.dim = self.edges + self.positions * self.operations

    def _write(self, edges: np.ndarray, operations: np.ndarray, vectors: np.ndarray) -> None:
        vectors[:, : self.edges] = edges
        one_hot = operations[:, :, None] == np.arange(self.operations)
        vectors[:, self.edges : self.edges + self.positions * self.operations] = one_hot.reshape(len(vectors), -1)


class CategoricalAdjacencyEncoding(_ByAdjacency):
    """Categorical adjacency: `max_edges` features, each the number of an edge that is there, in increasing order, then
    the number of each position's operation: 9 + 5 = 14 for NAS-Bench-101.

    Numbers count from 1, 0 stands for none, and both are divided by how many there are.
    """

    name = "adjacency-categorical"

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        self.dim = self.space.max_edges + self.positions

    def _write(self, edges: np.ndarray, operations: np.ndarray, vectors: np.ndarray) -> None:
        rows, numbers = np.nonzero(edges)
        counts = edges.sum(axis=1)
        place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        vectors[rows, place] = (numbers + 1) / self.edges
        present = operations != PADDING
        vectors[:, self.space.max_edges :][present] = (operations[present] + 1) / self.operations


class ContinuousAdjacencyEncoding(AdjacencyEncoding):
    """Continuous adjacency: a number in [0, 1] for each possible edge, of which the k largest are there, the operation
    of each position one-hot, then k / `max_edges`: 21 + 5 × 3 + 1 = 37 for NAS-Bench-101.

    An architecture's own vector has 1 for its edges and 0 for the others.
    """

    name = "adjacency-continuous"

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        self.dim += 1

    def _write(self, edges: np.ndarray, operations: np.ndarray, vectors: np.ndarray) -> None:
        super()._write(edges, operations, vectors)
        vectors[:, -1] = edges.sum(axis=1) / self.space.max_edges
