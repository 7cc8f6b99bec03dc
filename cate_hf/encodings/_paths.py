"""Encodings by the paths from input to output (White et al., "A Study on Encodings for NAS", NeurIPS 2020, section 3).

A path is its input and the operations along it (`cate_hf.encodings._path_numbers`). Isomorphic drawings always share a
vector. What is lost is which paths run through the same nodes, and how many run through the same operations:
architectures may have the same set of paths without being isomorphic. In NAS-Bench-101 323,945 of the 423,624 cells
share their vector with others, up to 301 of them one, so that there are 170,820 vectors; of paths of up to 3 operations
409,965 cells do, up to 3,160 of them one, and there are 30,808 vectors. The three forms are the same in this.
"""

import os
from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cate_hf.encodings._path_numbers import PathNumbers, short_length
from cate_hf.encodings._path_sets import PathSets
from cate_hf.encodings.base import BaseEncoding
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture

_MOST_BYTES = 2**34


class ByPaths(BaseEncoding):
    """What the six forms share: P paths, numbered from the shortest.

    The truncated forms know the paths of few operations alone: as many as leave at most 120 of them, but fewer than the
    longest paths have. These are up to 3 of NAS-Bench-101 (40 of 364 paths), up to 2 of NAS-Bench-201 (20 of 84) and
    of DARTS (112 of 5,600, whose two inputs are told apart and whose `sum` nodes are transparent).

    Random sets of paths are seldom those of an architecture. `sample` draws the number of paths, then a set of so many
    anew until it is the set of an architecture of the space's pool: uniform over the sets of that size. Numbers that no
    set in the pool has are drawn anew too. `perturb` goes to a nearest set in the pool, each as likely, by the number
    of paths that are in one and not in the other: with a path added or removed where there is such a set. Of the
    architectures that share a set each is as likely.
    """

    by_table = False
    truncated: ClassVar[bool] = False

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        try:
            self.paths = PathNumbers(self.space, short_length(self.space) if self.truncated else None)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}; {self.name}-truncated takes the short ones") from None

    @cached_property
    def sets(self) -> PathSets:
        """Of the space's pool."""
        return PathSets(self.paths, self.pool)

    @cached_property
    def most(self) -> int:
        """The most paths that an architecture has: what the space says, else those of its pool."""
        known = self.space.most_paths
        return min(self.paths.count, int(self.sets.sizes[-1]) if known is None else known)

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        table = self.own_table(table)
        size = 4 * len(table) * self.dim
        if size > _MOST_BYTES:
            raise ValueError(
                f"{self.name}: {len(table):,} vectors of {self.dim:,} numbers are {size / 2**30:.0f} GiB; transform "
                "parts of the table, or take a form that is truncated or categorical"
            )
        numbers, counts = self.paths.of(table)
        vectors = np.zeros((len(table), self.dim), dtype=np.float32)
        self._write(np.repeat(np.arange(len(counts)), counts), numbers, counts, vectors)
        return vectors

    @abstractmethod
    def _write(self, rows: np.ndarray, numbers: np.ndarray, counts: np.ndarray, vectors: np.ndarray) -> None:
        """Fill vectors (N, D), which are zero, from path numbers (M,), their rows (M,) and how many a row has (N,)."""

    @abstractmethod
    def _number_of_paths(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n,) numbers of paths, of those that sets have."""

    @abstractmethod
    def _near(self, paths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The sets to one of which a step leads."""

    def _nearest(self, paths: np.ndarray) -> np.ndarray:
        """The nearest sets of any size."""
        best, near = np.inf, np.empty(0, dtype=np.int64)
        for size in sorted(np.unique(self.sets.sizes), key=lambda size: abs(size - len(paths))):
            if abs(size - len(paths)) > best:
                break  # sets of other sizes differ at least so much
            distance, found = self.sets.near(paths, size)
            near = found if distance < best else np.concatenate([near, found]) if distance == best else near
            best = min(best, distance)
        return near

    def sample(self, n: int, rng: np.random.Generator) -> ArchitectureTable:
        """n architectures of the pool with a column hash, drawn independently, as the class says."""
        sizes = self._number_of_paths(n, rng)
        first, end = (np.searchsorted(self.sets.sizes, sizes, side) for side in ("left", "right"))
        return self.sets.members(rng.integers(first, end), rng)

    def perturb(self, architecture: "Architecture", rng: np.random.Generator) -> "Architecture | None":
        """An architecture of the pool with another set of paths, a random step away, as the class says.

        Raises:
            ValueError: the architecture is not of the space.
        """
        paths, _ = self.paths.of(self.space.table([self.space.validate(architecture)]))
        near = self._near(paths, rng)
        return self.sets.members(near[[rng.integers(len(near))]], rng)[0] if len(near) else None


class PathEncoding(ByPaths):
    """One-hot paths: a number for each possible path: 364 for NAS-Bench-101, 84 for NAS-Bench-201, 5,600 for DARTS.

    In NAS-Bench-101 323,945 of the 423,624 cells share a vector with a cell that is not isomorphic. Isomorphic drawings
    share one.

    `sample`: each path is there with the same probability, such that so many are on average as in the pool; `average`
    sets how many. White et al. draw each with probability 1 / P: an average of 1. `perturb`: any nearest set.

    Args:
        average: mean number of paths before numbers that no architecture has are drawn anew.
    """

    name = "path"

    def __init__(self, space: "str | os.PathLike | Space", average: float | None = None):
        super().__init__(space)
        if average is not None and not 0 < average < self.paths.count:
            raise ValueError(f"{self.name}: average must be between 0 and {self.paths.count} paths, not {average}")
        self.dim = self.paths.count
        self._average = average

    def _write(self, rows: np.ndarray, numbers: np.ndarray, counts: np.ndarray, vectors: np.ndarray) -> None:
        vectors[rows, numbers] = 1

    def _number_of_paths(self, n: int, rng: np.random.Generator) -> np.ndarray:
        from scipy.stats import binom

        sizes = np.unique(self.sets.sizes)
        average = self.sets.average if self._average is None else self._average
        weights = binom.logpmf(sizes, self.paths.count, min(average / self.paths.count, 1 - 1e-9))
        weights = np.exp(weights - weights.max())
        return rng.choice(sizes, n, p=weights / weights.sum())

    def _near(self, paths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._nearest(paths)

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Number of paths that one has and the other has not."""
        return _not_shared(np.asarray(a), np.asarray(b))


class _ByNumber(ByPaths):
    """The forms in which the number of paths is chosen by itself."""

    def _number_of_paths(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.choice(np.unique(self.sets.sizes), n)

    def _near(self, paths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for size in len(paths) + rng.permutation([-1, 0, 1]):
            _, near = self.sets.near(paths, size)
            if len(near):
                return near
        return self._nearest(paths)


class CategoricalPathEncoding(_ByNumber):
    """Categorical paths: the numbers of an architecture's paths in increasing order, as many features as one has paths
    at most: 8 for NAS-Bench-101, 4 for NAS-Bench-201, 18 for DARTS.

    In NAS-Bench-101 323,945 of the 423,624 cells share a vector with a cell that is not isomorphic. Isomorphic drawings
    share one.

    Numbers count from 1, 0 stands for none, and they are divided by P. In spaces that do not say how many paths an
    architecture has at most, it is the most in the pool, and of one with more the longest are left out.

    `sample`: the number of paths is uniform over those that sets have. `perturb`: with probability 1/3 each to a
    nearest set of one path fewer, of one more, or of as many; where there is none, of another of these numbers.
    """

    name = "path-categorical"

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        self.dim = self.most

    def _write(self, rows: np.ndarray, numbers: np.ndarray, counts: np.ndarray, vectors: np.ndarray) -> None:
        places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = places < self.dim
        vectors[rows[kept], places[kept]] = (numbers[kept] + 1) / self.paths.count

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Number of paths that one has and the other has not."""
        from scipy.sparse import csr_array

        sets = []
        for vectors in (a, b):
            numbers = np.rint(np.asarray(vectors, dtype=np.float64) * self.paths.count).astype(np.int64)
            rows, places = np.nonzero(numbers)
            where = rows, numbers[rows, places] - 1
            sets.append(csr_array((np.ones(len(rows)), where), shape=(len(vectors), self.paths.count)))
        counts_a, counts_b = (part.sum(axis=1) for part in sets)
        return counts_a[:, None] + counts_b - 2.0 * (sets[0] @ sets[1].T).toarray()


class ContinuousPathEncoding(_ByNumber):
    """Continuous paths: a number in [0, 1] for each possible path, of which the k largest are there, then k divided by
    the most that an architecture has: 365 for NAS-Bench-101, 85 for NAS-Bench-201, 5,601 for DARTS.

    In NAS-Bench-101 323,945 of the 423,624 cells share a vector with a cell that is not isomorphic. Isomorphic drawings
    share one.

    An architecture's own vector has 1 for its paths and 0 for the others. `sample` and `perturb` as of the categorical
    form: with uniform numbers, the k largest are k paths drawn at random.
    """

    name = "path-continuous"

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        self.dim = self.paths.count + 1

    def _write(self, rows: np.ndarray, numbers: np.ndarray, counts: np.ndarray, vectors: np.ndarray) -> None:
        vectors[rows, numbers] = 1
        vectors[:, -1] = counts / self.most

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Number of paths that one has and the other has not, and how much the numbers of paths differ."""
        a, b = np.asarray(a), np.asarray(b)
        return _not_shared(a[:, :-1], b[:, :-1]) + np.abs(a[:, -1:] - b[:, -1]) * self.most


def _not_shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) float64: in how many places rows of 0 and 1 differ."""
    return (a.sum(axis=1)[:, None] + b.sum(axis=1) - 2.0 * (a @ b.T)).astype(np.float64)


class TruncatedPathEncoding(PathEncoding):
    """One-hot paths, the short ones: 40 for NAS-Bench-101, 20 for NAS-Bench-201, 112 for DARTS.

    In NAS-Bench-101 409,965 of the 423,624 cells share a vector with a cell that is not isomorphic. Isomorphic drawings
    share one.
    """

    name = "path-truncated"
    truncated = True


class TruncatedCategoricalPathEncoding(CategoricalPathEncoding):
    """Categorical paths, the short ones.

    In NAS-Bench-101 409,965 of the 423,624 cells share a vector with a cell that is not isomorphic. Isomorphic drawings
    share one.
    """

    name = "path-categorical-truncated"
    truncated = True


class TruncatedContinuousPathEncoding(ContinuousPathEncoding):
    """Continuous paths, the short ones: 41 for NAS-Bench-101, 21 for NAS-Bench-201, 113 for DARTS.

    In NAS-Bench-101 409,965 of the 423,624 cells share a vector with a cell that is not isomorphic. Isomorphic drawings
    share one.
    """

    name = "path-continuous-truncated"
    truncated = True
