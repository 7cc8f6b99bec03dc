"""Encodings by the adjacency matrix (White et al., "A Study on Encodings for NAS", NeurIPS 2020, section 3).

No two architectures in a space's own drawing share a vector, but each vector is one of a drawing: isomorphic drawings
that number their nodes otherwise get other vectors, and no rule brings equal architectures to one.
"""

import os
from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.encodings.base import BaseEncoding
from cate_hf.encodings.random_graphs import architectures_of, are_common, draw_from_space, draw_until, largest_batch
from cate_hf.graphs.table import PADDING, ArchitectureTable
from cate_hf.spaces import Space

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture

_CHUNK = 65_536
_PROPOSALS = ((64, 1), (512, 1), (2048, 2), (2048, 3))  # how many are tried, each of how many steps, until one is found


class ByAdjacency(BaseEncoding):
    """What the three forms share: where an architecture's edges and operations are.

    There are E possible edges between `max_nodes` positions, in row-major order of the upper triangle, and P positions
    between inputs and output. In smaller architectures the output moves to the last position, and the positions before
    it are empty.

    `sample` and `perturb` draw edges and operations at random, remove what is on no path, and draw anew until it is an
    architecture of the space. Where that is hopeless, in spaces without `free_edges` or where fewer than one in a
    thousand graphs drawn is one, samples are the space's own: rows of its list, each as likely (a NAS-Bench-201 cell
    has a uniform operation on each edge), or draws of its `distribution`. Where hundreds of steps lead to no other
    architecture, two are taken at once, then three. In spaces without `free_edges`, and where even that leads nowhere,
    a step is to one of the space's neighbours, each as likely.
    """

    by_table = False

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        size, inputs = self.space.max_nodes, self.space.num_inputs
        self.edges = size * (size - 1) // 2
        self.positions = size - inputs - 1
        self.operations = len(self.space.vocabulary) - inputs - 1

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        table = self.own_table(table).widen(self.space.max_nodes)
        vectors = np.zeros((len(table), self.dim), dtype=np.float32)
        for first in range(0, len(table), _CHUNK):
            rows = slice(first, first + _CHUNK)
            edges, operations = self._spread(table[rows])
            most = edges.sum(axis=1)
            if (most > self.space.max_edges).any():
                row = int(np.argmax(most > self.space.max_edges))
                limit = f"a {self.space.name} architecture has at most {self.space.max_edges}"
                raise ValueError(f"architectures, row {first + row}: {most[row]} edges; {limit}")
            self._write(edges, operations, vectors[rows])
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

    @abstractmethod
    def _random_edges(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, E) bool."""

    @abstractmethod
    def _change_edges(self, edges: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(n, E) bool: a random step from each of n sets of edges (n, E)."""

    @abstractmethod
    def _parts(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Edges (N, E) of 0 and 1, and operations (N, P) as whole numbers from 0, -1 for none; of vectors (N, D)."""

    def _draw(self, n: int, rng: np.random.Generator) -> ArchitectureTable:
        """The architectures among n random graphs."""
        operations = rng.integers(0, self.operations, (n, self.positions))
        return architectures_of(self.space, self._random_edges(n, rng), operations)[0]

    @cached_property
    def _common(self) -> bool:
        return self.space.free_edges and are_common(self.space, self._draw)

    def sample(self, n: int, rng: np.random.Generator) -> ArchitectureTable:
        """n valid architectures with a column hash, drawn independently, as the class says."""
        if self._common:
            table = draw_until(self.space, n, rng, self._draw)
        elif self.space.size is None:
            table = draw_from_space(self.space, n, rng)
        else:
            return self._listed[rng.integers(len(self._listed), size=n)]
        return table.with_columns(hash=self.space.hash_many(table))

    @cached_property
    def _listed(self) -> ArchitectureTable:
        table = self.space.enumerate(progress=True)
        return table.replace_columns({"hash": table.columns["hash"]})

    def perturb(self, architecture: "Architecture", rng: np.random.Generator) -> "Architecture | None":
        """A random step from an architecture as it is drawn, to one that is not isomorphic to it, as the class says.

        Raises:
            ValueError: the architecture is not of the space.
        """
        start = self.space.table([self.space.validate(architecture)])
        if self.space.free_edges:
            drawing = self._spread(start.widen(self.space.max_nodes))
            for count, steps in _PROPOSALS:
                found = self._propose(*drawing, min(count, largest_batch(self.space)), steps, rng)
                for first in range(0, len(found), 2):  # hashes take longer than proposals, and most steps are real
                    both = ArchitectureTable.concatenate([start, found[first : first + 2]])
                    hashes = self.space.hash_many(both)
                    others = np.flatnonzero(hashes != hashes[0])
                    if len(others):
                        return both[others[0]]
        neighbours = self.space.neighbours(start[0])
        return neighbours[rng.integers(len(neighbours))] if len(neighbours) else None

    def _propose(
        self, edges: np.ndarray, operations: np.ndarray, n: int, steps: int, rng: np.random.Generator
    ) -> ArchitectureTable:
        """The architectures among n graphs so many steps away; empty positions get any operation."""
        edges, operations = np.repeat(edges, n, axis=0), np.repeat(operations, n, axis=0)
        anything = rng.integers(0, self.operations, operations.shape)
        operations = np.where(operations == PADDING, anything, operations)
        for _ in range(steps):
            edges, operations = self._change_edges(edges, rng), self._change_operations(operations, rng)
        return architectures_of(self.space, edges, operations)[0]

    def _change_operations(self, operations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Each of operations (n, P) becomes another one with probability 1 / P."""
        other = (operations + rng.integers(1, max(self.operations, 2), operations.shape)) % self.operations
        return np.where(rng.random(operations.shape) * self.positions < 1, other, operations)

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Number of edges that one has and the other has not, and of positions whose operations differ."""
        (edges_a, operations_a), (edges_b, operations_b) = self._parts(a), self._parts(b)
        edges = edges_a.sum(axis=1)[:, None] + edges_b.sum(axis=1) - 2.0 * (edges_a @ edges_b.T)
        kinds = np.arange(-1, self.operations)
        hot_a, hot_b = (
            (part[:, :, None] == kinds).reshape(len(part), -1).astype(np.float32)
            for part in (operations_a, operations_b)
        )
        return (edges + (self.positions - hot_a @ hot_b.T)).astype(np.float64)


class AdjacencyEncoding(ByAdjacency):
    """One-hot adjacency: a number for each possible edge, then the operation of each position one-hot: 21 + 5 × 3 = 36
    for NAS-Bench-101, 28 + 6 × 4 = 52 for NAS-Bench-201, 105 + 12 × 8 = 201 for DARTS.

    Nothing is lost: in NAS-Bench-101 no two of the 423,624 cells share a vector. Isomorphic drawings may differ.

    `sample`: each edge is there with probability 1/2, operations are uniform. `perturb`: each edge changes with
    probability 1 / E and each operation with 1 / P, so one of each on average.
    """

    name = "adjacency"

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        self.dim = self.edges + self.positions * self.operations

    def _write(self, edges: np.ndarray, operations: np.ndarray, vectors: np.ndarray) -> None:
        vectors[:, : self.edges] = edges
        one_hot = operations[:, :, None] == np.arange(self.operations)
        end = self.edges + self.positions * self.operations
        vectors[:, self.edges : end] = one_hot.reshape(len(vectors), -1)

    def _parts(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        end = self.edges + self.positions * self.operations
        hot = np.asarray(vectors)[:, self.edges : end].reshape(-1, self.positions, self.operations)
        return vectors[:, : self.edges], np.where(hot.any(axis=2), hot.argmax(axis=2), -1)

    def _random_edges(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(0, 2, (n, self.edges), dtype=np.uint8) > 0

    def _change_edges(self, edges: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return edges ^ (rng.random(edges.shape) * self.edges < 1)


class CategoricalAdjacencyEncoding(ByAdjacency):
    """Categorical adjacency: `max_edges` features, each the number of an edge that is there, in increasing order, then
    the number of each position's operation: 9 + 5 = 14 for NAS-Bench-101, 13 + 6 for NAS-Bench-201, 20 + 12 for DARTS.

    Numbers count from 1, 0 stands for none, and both are divided by how many there are. Nothing is lost: in
    NAS-Bench-101 no two cells share a vector. Isomorphic drawings may differ.

    `sample`: a number k of edges uniform over 1 to `max_edges`, then each of k features uniform over all edges, so that
    two may be the same one; operations are uniform. `perturb`: each edge feature is drawn anew, over all edges and
    none, with probability 1 / `max_edges`, and each operation becomes another with probability 1 / P.
    """

    name = "adjacency-categorical"

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        self.features = self.space.max_edges
        self.dim = self.features + self.positions

    def _write(self, edges: np.ndarray, operations: np.ndarray, vectors: np.ndarray) -> None:
        self._number(edges, vectors)
        vectors[:, : self.features] /= self.edges
        present = operations != PADDING
        vectors[:, self.features :][present] = (operations[present] + 1) / self.operations

    def _number(self, edges: np.ndarray, numbers: np.ndarray) -> None:
        """Write the numbers, from 1, of the edges (N, E) that are there over the first of the zeros in each row."""
        rows, found = np.nonzero(edges)
        counts = edges.sum(axis=1)
        numbers[rows, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)] = found + 1

    def _parts(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        vectors = np.asarray(vectors)
        numbers = np.rint(vectors[:, : self.features] * self.edges).astype(np.intp)
        operations = np.rint(vectors[:, self.features :] * self.operations).astype(np.intp) - 1
        return self._with(numbers).astype(np.float32), operations

    def _with(self, numbers: np.ndarray) -> np.ndarray:
        """(N, E) bool of edge numbers (N, `max_edges`), 0 for none."""
        edges = np.zeros((len(numbers), self.edges + 1), dtype=bool)
        edges[np.arange(len(numbers))[:, None], numbers] = True
        return edges[:, 1:]

    def _random_edges(self, n: int, rng: np.random.Generator) -> np.ndarray:
        numbers = rng.integers(1, self.edges + 1, (n, self.features))
        used = np.arange(self.features) < rng.integers(1, self.features + 1, (n, 1))
        return self._with(np.where(used, numbers, 0))

    def _change_edges(self, edges: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        numbers = np.zeros((len(edges), self.features), dtype=np.intp)
        self._number(edges, numbers)
        anew = rng.random(numbers.shape) * self.features < 1
        return self._with(np.where(anew, rng.integers(0, self.edges + 1, anew.shape), numbers))


class ContinuousAdjacencyEncoding(AdjacencyEncoding):
    """Continuous adjacency: a number in [0, 1] for each possible edge, of which the k largest are there, the operation
    of each position one-hot, then k / `max_edges`: 21 + 5 × 3 + 1 = 37 for NAS-Bench-101, 53 for NAS-Bench-201, 202 for
    DARTS.

    An architecture's own vector has 1 for its edges and 0 for the others. Nothing is lost: in NAS-Bench-101 no two
    cells share a vector. Isomorphic drawings may differ.

    `sample`: k uniform over 1 to `max_edges`, the numbers uniform, operations uniform. `perturb`: with probability 1/3
    each one edge is removed, added, or exchanged for another; each operation becomes another with probability 1 / P.
    """

    name = "adjacency-continuous"

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        self.dim += 1

    def _write(self, edges: np.ndarray, operations: np.ndarray, vectors: np.ndarray) -> None:
        super()._write(edges, operations, vectors)
        vectors[:, -1] = edges.sum(axis=1) / self.space.max_edges

    def _random_edges(self, n: int, rng: np.random.Generator) -> np.ndarray:
        most = min(self.space.max_edges, self.edges)
        rank = rng.random((n, self.edges)).argsort(axis=1).argsort(axis=1)
        return rank < rng.integers(1, most + 1, (n, 1))

    def _change_edges(self, edges: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        kind = rng.integers(0, 3, (len(edges), 1))  # 0 removes, 1 adds, 2 does both
        changed = edges.copy()
        for wanted, there in ((kind != 1, edges), (kind != 0, ~edges)):
            chosen = np.where(there, rng.random(edges.shape), -1).argmax(axis=1)[:, None]
            places = (np.arange(self.edges) == chosen) & wanted & there
            changed ^= places
        return changed

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """As of the other forms, and how much the numbers of edges differ."""
        numbers = np.abs(np.asarray(a)[:, -1:] - np.asarray(b)[:, -1]) * self.space.max_edges
        return super().distance(a, b) + numbers
