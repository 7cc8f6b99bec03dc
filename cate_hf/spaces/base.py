"""What every search space offers. A subclass states its vocabulary and limits, and computes over tables."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cate_hf.spaces.cache import cached_table
from cate_hf.table import ArchitectureTable, unknown_operation

if TYPE_CHECKING:
    from cate_hf.architecture import Architecture


class Space(ABC):
    """A search space: which architectures there are, and what they cost.

    Attributes:
        name, version: the version changes when an enumeration or a cost would; caches are keyed by it.
        vocabulary: operation names; the inputs come first, the output last.
        num_inputs: how many input nodes an architecture starts with.
        max_nodes, max_edges: limits, inputs and output included.
        size: number of unique architectures, None where they cannot be counted.
        cost_names: costs that `costs` computes.
        pairing: settings of computation-aware pairs (see `cate_hf.data.pairs.PairSettings`).
    """

    name: ClassVar[str]
    version: ClassVar[str]
    vocabulary: ClassVar[tuple[str, ...]]
    num_inputs: ClassVar[int] = 1
    max_nodes: ClassVar[int]
    max_edges: ClassVar[int]
    size: ClassVar[int | None] = None
    cost_names: ClassVar[tuple[str, ...]] = ("parameters", "flops")
    pairing: ClassVar[dict[str, Any]] = {}

    @abstractmethod
    def hash_many(self, table: ArchitectureTable) -> np.ndarray:
        """(N,) S32: a hash that isomorphic architectures share."""

    @abstractmethod
    def parameters_many(self, table: ArchitectureTable) -> np.ndarray:
        """(N,) int64: trainable parameters of the whole network."""

    @abstractmethod
    def flops_many(self, table: ArchitectureTable) -> np.ndarray:
        """(N,) int64: multiply-adds (×1) of convolutions and linear layers, for one input image."""

    @abstractmethod
    def _enumerate(self, progress: bool) -> ArchitectureTable:
        """All unique architectures with columns hash, parameters, flops, sorted by hash."""

    def enumerate(self, use_cache: bool = True, progress: bool = False) -> ArchitectureTable:
        """All unique architectures, each once, with columns hash, parameters and flops, sorted by hash.

        Args:
            use_cache: read the table from the user's cache folder, and write it there the first time.
            progress: draw a progress bar while it is computed.
        """
        if not use_cache:
            return self._enumerate(progress)
        return cached_table(f"{self.name}-{self.version}", self.size, lambda: self._enumerate(progress))

    def table(self, architectures: "ArchitectureTable | Sequence[Architecture]", source: str = "architectures"):
        """Architectures as a table over this space's vocabulary.

        Raises:
            ValueError: an operation is not of this space; names the row.
        """
        if isinstance(architectures, ArchitectureTable):
            return architectures.recode(self.vocabulary, source)
        return ArchitectureTable.from_architectures(architectures, self.vocabulary)

    def validate(self, architecture: "Architecture") -> "Architecture":
        """The architecture without nodes that are on no path from input to output.

        Raises:
            ValueError: it is not of this space; the message says why.
        """
        operations = architecture.operations
        inputs, output = self.vocabulary[: self.num_inputs], self.vocabulary[-1]
        for node, name in enumerate(operations):
            if name not in self.vocabulary:
                raise ValueError(f"node {node}: {unknown_operation(name, self.vocabulary)}")
            where = "first" if name in inputs else "last" if name == output else None
            fits = node < self.num_inputs if where == "first" else node == len(operations) - 1
            if where and not fits:
                raise ValueError(f"node {node}: {name!r} must be the {where} node of a {self.name} architecture")
        for node, name in enumerate(inputs):
            if operations[node] != name:
                raise ValueError(f"node {node}: expected {name!r}, got {operations[node]!r}")
        if operations[-1] != output:
            raise ValueError(f"node {len(operations) - 1}: expected {output!r}, got {operations[-1]!r}")
        pruned = architecture.prune(self.num_inputs)
        if pruned.num_nodes > self.max_nodes:
            raise ValueError(f"{pruned.num_nodes} nodes; a {self.name} architecture has at most {self.max_nodes}")
        if pruned.num_edges > self.max_edges:
            raise ValueError(f"{pruned.num_edges} edges; a {self.name} architecture has at most {self.max_edges}")
        return pruned

    def is_valid(self, architecture: "Architecture") -> bool:
        try:
            self.validate(architecture)
        except ValueError:
            return False
        return True

    def hash(self, architecture: "Architecture") -> str:
        """The hash of one architecture, after `validate`."""
        return self.hash_many(self.table([self.validate(architecture)]))[0].decode()

    def parameters(self, architecture: "Architecture") -> int:
        """Trainable parameters of the whole network, after `validate`."""
        return int(self.parameters_many(self.table([self.validate(architecture)]))[0])

    def flops(self, architecture: "Architecture") -> int:
        """Multiply-adds of the whole network for one input image, after `validate`."""
        return int(self.flops_many(self.table([self.validate(architecture)]))[0])

    def costs(self, table: ArchitectureTable, name: str) -> np.ndarray:
        """(N,) int64: a cost by name, from the table's column where it has one.

        Raises:
            ValueError: the space has no such cost.
        """
        if name in table.columns:
            return table.columns[name]
        if name not in self.cost_names:
            raise ValueError(f"unknown cost {name!r}; {self.name} has {', '.join(self.cost_names)}")
        return getattr(self, f"{name}_many")(table)

    def check_hashes(self, table: ArchitectureTable, source: str) -> None:
        """Compare a table's hash column with its architectures.

        Raises:
            ValueError: naming the first row that differs.
        """
        computed = self.hash_many(self.table(table, source))
        wrong = np.flatnonzero(computed != table.columns["hash"])
        if len(wrong):
            row = int(wrong[0])
            given = table.columns["hash"][row].decode(errors="replace")
            raise ValueError(f"{source}, row {row}: hash is {given}, its architecture has {computed[row].decode()}")

    def sample(self, n: int, seed: int) -> ArchitectureTable:
        """`n` architectures drawn uniformly from the unique ones; without repetition while n is at most their number.

        Raises:
            ValueError: n is below 0.
        """
        if n < 0:
            raise ValueError(f"sample: n must be 0 or more, not {n}")
        table = self.enumerate()
        return table[np.random.default_rng(seed).choice(len(table), size=n, replace=n > len(table))]

    def neighbours(self, architecture: "Architecture") -> ArchitectureTable:
        """All valid architectures one edge (added or removed between its nodes) or one operation away, each once, the
        architecture itself excluded, with a column hash. They are pruned: one without an edge may lack nodes too."""
        from cate_hf.architecture import Architecture

        start = self.validate(architecture)
        adjacency, operations = start.adjacency, start.operations
        candidates = []
        for y in range(self.num_inputs, len(start)):
            for x in range(y):
                flipped = adjacency.copy()
                flipped[x, y] ^= 1
                candidates.append(Architecture(operations, flipped))
        for node in range(self.num_inputs, len(start) - 1):
            for name in self.vocabulary[self.num_inputs : -1]:
                if name != operations[node]:
                    changed = [*operations]
                    changed[node] = name
                    candidates.append(Architecture(changed, adjacency))
        valid = [self.validate(c) for c in candidates if self.is_valid(c)]
        table = self.table([start, *valid])
        hashes = self.hash_many(table)
        _, first = np.unique(hashes, return_index=True)
        kept = np.sort(first[hashes[first] != hashes[0]])
        return table[kept].with_columns(hash=hashes[kept])

    def __repr__(self) -> str:
        size = "" if self.size is None else f", {self.size:,} architectures"
        return f"<space {self.name}: at most {self.max_nodes} nodes and {self.max_edges} edges{size}>"
