"""What every encoding offers, and what the encoding-dependent subroutines of a search need of it.

White et al. ("A Study on Encodings for Neural Architecture Search", NeurIPS 2020, section 4) find three places where a
search depends on its encoding: drawing an architecture, perturbing one, and training a predictor on vectors.
"""

import os
from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space, get_space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cate_hf.graphs.architecture import Architecture

__all__ = ["BaseEncoding", "Encoding"]


@runtime_checkable
class Encoding(Protocol):
    """Architectures of one search space as vectors. Any object with these members is an encoding; `BaseEncoding` has
    all but `dim` and `transform`.

    Attributes:
        name: what `get_encoding` knows it by.
        space: whose architectures it encodes.
        dim: D, the length of a vector.
        learned: whether it has to be trained: by `fit`, or before as a checkpoint was.
        by_table: whether a step from an architecture is one to another row of a table of encodings (see `perturb`).
    """

    name: str
    space: Space
    dim: int
    learned: bool
    by_table: bool

    def fit(self, table: ArchitectureTable, progress: bool = False) -> "Encoding":
        """Learn from architectures, without labels. Does nothing where there is nothing to learn."""
        ...

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        """(N, D) float32, one row an architecture, whatever the others are.

        Raises:
            ValueError: an architecture of another space; the row is named.
        """
        ...

    def sample(self, n: int, rng: np.random.Generator) -> ArchitectureTable:
        """N valid architectures with a column hash, drawn independently, so that they may repeat."""
        ...

    def perturb(self, architecture: "Architecture", rng: np.random.Generator) -> "Architecture | None":
        """A valid architecture one random step away, never isomorphic to the given one; None where no step was found.

        Where `by_table` is true there are no steps of the encoding's own and this is always None: the search itself
        takes the nearest row (in `distance`) that it has not visited, of its table of encodings.
        """
        ...

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(N, M) float64 distances between vectors (N, D) and (M, D)."""
        ...


class BaseEncoding(Encoding, ABC):
    """What encodings have in common: no training, rows of the space's pool as samples, steps by table, L2."""

    name: str
    learned: bool = False
    by_table: bool = True
    dim: int

    def __init__(self, space: "str | os.PathLike | Space"):
        self.space = get_space(space)

    def fit(self, table: ArchitectureTable, progress: bool = False) -> "Encoding":
        """Do nothing: there is nothing to learn."""
        return self

    @abstractmethod
    def transform(self, table: ArchitectureTable) -> np.ndarray:
        """(N, D) float32, one row an architecture."""

    def own_table(self, architectures: "ArchitectureTable | Sequence[Architecture]") -> ArchitectureTable:
        """Architectures as a table over the space's vocabulary, without nodes that are on no path.

        Raises:
            ValueError: an operation of another space, or more nodes than the space allows; the row is named.
        """
        table = self.space.canonical(self.space.table(architectures))
        if int(table.num_nodes.max(initial=0)) > self.space.max_nodes:
            row = int(np.argmax(table.num_nodes > self.space.max_nodes))
            limit = f"a {self.space.name} architecture has at most {self.space.max_nodes}"
            raise ValueError(f"architectures, row {row}: {table.num_nodes[row]} nodes; {limit}")
        return table

    @cached_property
    def pool(self) -> ArchitectureTable:
        """The space's pool, with a column hash alone."""
        pool = self.space.pool(progress=True)
        return pool.replace_columns({"hash": pool.columns["hash"]})

    def sample(self, n: int, rng: np.random.Generator) -> ArchitectureTable:
        """Rows of the space's pool, each as likely as any other."""
        return self.pool[rng.integers(len(self.pool), size=n)]

    def perturb(self, architecture: "Architecture", rng: np.random.Generator) -> "Architecture | None":
        """None: this encoding has no steps of its own."""
        return None

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Euclidean."""
        from scipy.spatial.distance import cdist

        return cdist(a, b)

    @property
    def feature_names(self) -> list[str]:
        """One name a number: the encoding's, counted, where its numbers have none of their own."""
        return [f"{os.path.basename(self.name)}{i}" for i in range(self.dim)]

    def __repr__(self) -> str:
        return f"<encoding {self.name} of {self.space.name}: {self.dim} numbers an architecture>"
