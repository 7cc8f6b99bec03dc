"""The interface of all search spaces. A subclass states its vocabulary and limits, and computes over tables."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._names import RowError
from cate_hf.graphs._cache import cached_table
from cate_hf.graphs._hashes import check_hashes
from cate_hf.graphs._pruning import prune_many
from cate_hf.graphs.forms import as_item, to_table
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import _steps as steps
from cate_hf.spaces._parsing import parse_different
from cate_hf.spaces._validation import check_ends, validate_rows
from cate_hf.spaces.sampling import sample_unique

if TYPE_CHECKING:
    import torch

    from cate_hf.graphs.architecture import Architecture


class Space(ABC):
    """A search space: its architectures and their costs.

    A subclass sets `size` and defines `_enumerate` if its architectures can be listed, else it defines `_draw`.

    Attributes:
        name, version: the version changes whenever the enumeration or a cost changes; caches are keyed by it.
        vocabulary: operation names; the inputs come first, the output last.
        num_inputs: number of input nodes that an architecture starts with.
        max_nodes, max_edges: limits, inputs and output included.
        pool_size: number of samples that represent a space that cannot be listed (see `pool`).
        cost_names: costs that `costs` computes.
        pairing: settings of computation-aware pairs (see `cate_hf.data.pairs.PairSettings`).
        free_edges: whether any edges within the limits are allowed, rather than a fixed pattern.
        transparent: operations that pass their input on, such as sums; the path encodings leave them out of paths.
        path_lengths: the fewest and the most operations, transparent ones not counted, on a path from an input to the
            output; None for any number up to what `max_nodes` allows.
        small_network: settings of `build` for the small network that statistics at initialisation measure.
        most_paths: the most different paths in an architecture; None where unknown.
    """

    name: str
    version: str
    vocabulary: tuple[str, ...]
    num_inputs: int = 1
    max_nodes: int
    max_edges: int
    pool_size: int = 100_000
    cost_names: tuple[str, ...] = ("parameters", "flops")
    pairing: dict[str, Any] = {}
    free_edges: bool = True
    transparent: tuple[str, ...] = ()
    path_lengths: tuple[int, int] | None = None
    small_network: dict[str, Any] = {}
    most_paths: int | None = None

    @property
    def size(self) -> int | None:
        """Number of architectures that `enumerate` gives, None where they cannot be listed."""
        return None

    @property
    def distribution(self) -> str:
        """The distribution that `sample` draws from, in words."""
        return "uniform over the unique architectures"

    @abstractmethod
    def hash_many(self, table: ArchitectureTable) -> np.ndarray:
        """(N,) text (<U32): a hash that isomorphic architectures share."""

    def parameters_many(self, architectures: Any) -> np.ndarray:
        """(N,) int64: trainable parameters of the whole network, of architectures as `table` takes them."""
        return self.costs(self.table(architectures).replace_columns({}), "parameters")

    def flops_many(self, architectures: Any) -> np.ndarray:
        """(N,) int64: multiply-adds (×1) of convolutions and linear layers, for one input image."""
        return self.costs(self.table(architectures).replace_columns({}), "flops")

    def _enumerate(self, progress: bool) -> ArchitectureTable:
        """All architectures with columns hash and the costs, sorted by hash."""
        raise NotImplementedError

    def _draw(self, n: int, rng: np.random.Generator) -> ArchitectureTable:
        """About n valid architectures drawn independently, without columns."""
        raise NotImplementedError

    def enumerate(self, use_cache: bool = True, progress: bool = False) -> ArchitectureTable:
        """Return all architectures with columns hash and the costs, sorted by hash; each once unless the space says so.

        Args:
            use_cache: read the table from the user's cache folder, and write it there the first time.
            progress: show a progress bar while the table is computed.

        Raises:
            ValueError: the space is too large to be listed.
        """
        if self.size is None:
            raise ValueError(f"{self.name} is too large to be listed whole; draw samples of it (--sample N)")
        if not use_cache:
            return self._enumerate(progress)
        return cached_table(f"{self.name}-{self.version}", self.size, lambda: self._enumerate(progress))

    def pool(self, use_cache: bool = True, progress: bool = False) -> ArchitectureTable:
        """Return the unique architectures that pairs, pre-training and searches use, with columns hash and the costs.

        The whole space if it can be listed; else `pool_size` unique samples with seed 0, sorted by hash.
        """
        if self.size is not None:
            return self.enumerate(use_cache, progress)

        def compute() -> ArchitectureTable:
            table = self.sample(self.pool_size, seed=0, progress=progress)
            return table[np.argsort(table.columns["hash"])]

        if not use_cache:
            return compute()
        return cached_table(f"{self.name}-{self.version}-pool-{self.pool_size}", self.pool_size, compute)

    def with_costs(self, table: ArchitectureTable) -> ArchitectureTable:
        """Return the table with columns hash and all costs; those it already has are kept."""
        columns = {"hash": table.columns["hash"] if "hash" in table.columns else self.hash_many(table)}
        columns |= {name: self.costs(table, name) for name in self.cost_names}
        return table.replace_columns(columns | {k: v for k, v in table.columns.items() if k not in columns})

    def table(self, architectures: Any, source: str = "architectures") -> ArchitectureTable:
        """Return architectures as a table over this space's vocabulary.

        Args:
            architectures: a table, architectures, dicts, data frames, data sets and so on (see
                `cate_hf.graphs.forms.to_table`), or what `parse` reads of each.

        Raises:
            ValueError: an operation is not of this space; names the row.
        """
        return to_table(architectures, self.vocabulary, source, self.parse_many)

    def canonical(self, table: ArchitectureTable) -> ArchitectureTable:
        """Return the architectures of a table, over any vocabulary, as encodings and predictors see them: without the
        nodes that are on no path from an input to the output. Unlike `validate_many` it refuses none.
        """
        return prune_many(table, self._inputs_of(table))

    def _inputs_of(self, table: ArchitectureTable) -> int | np.ndarray:
        """The number of inputs of the architectures of a table, or (N,) of each."""
        return self.num_inputs

    def validate(self, architecture: "Architecture") -> "Architecture":
        """Return the architecture without the nodes that are on no path from input to output.

        Raises:
            ValueError: it does not belong to this space; the message says why.
        """
        check_ends(self, architecture)
        pruned = architecture.prune(self.num_inputs)
        if pruned.num_nodes > self.max_nodes:
            raise ValueError(f"{pruned.num_nodes} nodes; a {self.name} architecture has at most {self.max_nodes}")
        if pruned.num_edges > self.max_edges:
            raise ValueError(f"{pruned.num_edges} edges; a {self.name} architecture has at most {self.max_edges}")
        return pruned

    def validate_many(self, table: ArchitectureTable, source: str = "architectures") -> ArchitectureTable:
        """Apply `validate` to every row of a table, by array operations where a row is in its plain form.

        Args:
            source: what the errors call the table.

        Raises:
            ValueError: naming the first row that is not of the space, and why.
        """
        table = self.table(table, source)
        return validate_rows(self, table, self._needs_a_look(table), source)

    def _needs_a_look(self, table: ArchitectureTable) -> np.ndarray:
        """(N,) bool: the rows that must go through `validate`; it would return the others unchanged."""
        from cate_hf.spaces._validation import needs_a_look

        return needs_a_look(self, table)

    def is_valid(self, architecture: "Architecture") -> bool:
        """Whether `validate` accepts the architecture."""
        try:
            self.validate(architecture)
        except ValueError:
            return False
        return True

    def hash(self, architecture: "Architecture") -> str:
        """Return the hash of one architecture, after `validate`."""
        return str(self.hash_many(self.table([self.validate(architecture)]))[0])

    def parameters(self, architecture: "Architecture") -> int:
        """Return the number of trainable parameters of the whole network, after `validate`."""
        return int(self.parameters_many(self.table([self.validate(architecture)]))[0])

    def flops(self, architecture: "Architecture") -> int:
        """Return the multiply-adds of the whole network for one input image, after `validate`."""
        return int(self.flops_many(self.table([self.validate(architecture)]))[0])

    def costs(self, table: ArchitectureTable, name: str) -> np.ndarray:
        """Return a cost (N,) by name, from the table's column if it has one.

        Raises:
            ValueError: the space has no such cost.
        """
        if name in table.columns:
            return table.columns[name]
        if name not in self.cost_names:
            raise ValueError(f"unknown cost {name!r}; {self.name} has {', '.join(self.cost_names) or 'none'}")
        return self._cost(self.canonical(self.table(table)), name)

    def _cost(self, table: ArchitectureTable, name: str) -> np.ndarray:
        """(N,) one of `cost_names`, computed."""
        raise NotImplementedError

    def check_hashes(self, table: ArchitectureTable, source: str) -> None:
        """Compare a table's hash column with its architectures.

        Raises:
            ValueError: naming the first row that differs.
        """
        check_hashes(table.columns["hash"], self.hash_many(self.table(table, source)), source)

    def sample(self, n: int, seed: int, progress: bool = False) -> ArchitectureTable:
        """Return `n` random architectures (see `distribution`), with columns hash and the costs.

        They differ from each other, unless n exceeds the size of a space that can be listed: then they repeat.

        Raises:
            ValueError: n is below 0, or not so many different architectures were found.
        """
        if n < 0:
            raise ValueError(f"sample: n must be 0 or more, not {n}")
        rng = np.random.default_rng(seed)
        if self.size is not None:
            table = self.pool()
            return table[rng.choice(len(table), size=n, replace=n > len(table))]
        return sample_unique(self, n, rng, progress)

    def neighbours(self, architecture: "Architecture") -> ArchitectureTable:
        """Return all valid architectures that differ by one edge between its nodes or by one operation.

        Each comes once, pruned (removing an edge may remove nodes), with a column hash; the architecture itself does
        not.
        """

        def plain(table: ArchitectureTable) -> tuple[ArchitectureTable, np.ndarray]:
            valid = ~self._needs_a_look(table)
            return table[valid], valid

        return steps.neighbours(self, self.table([self.validate(architecture)]), plain)

    def example(self) -> "Architecture":
        """Return a small architecture: one operation between inputs and output if that is valid."""
        from cate_hf.graphs.architecture import Architecture

        inputs = self.num_inputs
        adjacency = np.zeros((inputs + 2, inputs + 2), dtype=np.uint8)
        adjacency[:inputs, inputs] = adjacency[inputs, inputs + 1] = 1
        chain = Architecture([*self.vocabulary[: inputs + 1], self.vocabulary[-1]], adjacency)
        return chain if self.is_valid(chain) else self.sample(1, seed=0)[0]

    def native(self, architecture: "Architecture") -> str | None:
        """Return an architecture in the space's own notation, None if it has none."""
        return None

    def _parse_native(self, text: Any) -> "Architecture | None":
        """The inverse of `native`; None if the text does not look like it. Raises ValueError for a wrong one."""
        return None

    def _parse_natives(self, texts: Sequence[Any]) -> tuple[ArchitectureTable, np.ndarray]:
        """The architectures of those of N texts that are the space's own notation, and (N,) bool, which. They are valid
        as they are. Raises RowError for a wrong one.
        """
        parsed = []
        for row, text in enumerate(texts):
            try:
                found = self._parse_native(text)
                parsed.append(None if found is None else self.validate(found))
            except ValueError as error:
                raise RowError(str(error), row) from None
        return self.table([a for a in parsed if a is not None]), np.array([a is not None for a in parsed], dtype=bool)

    def parse(self, text: Any, progress: bool = False) -> "Architecture":
        """Return an architecture from text: the space's own notation, JSON, or the hash of one in the pool; or from the
        objects that such text stands for, a dict of operations and adjacency among them.

        Raises:
            ValueError: it is none of them, or its architecture does not belong to the space.
        """
        try:
            return self.parse_many([text], progress=progress)[0]
        except RowError as error:
            raise ValueError(error.reason) from None

    def parse_many(self, texts: Iterable[Any], source: str = "texts", progress: bool = False) -> ArchitectureTable:
        """Return the architectures of many texts, as `parse` reads each, by array operations where the space has some.
        Of equal texts one is read.

        Args:
            source: what the errors call the texts.

        Raises:
            ValueError: naming the first row that is none, and why.
        """
        texts = [as_item(text) for text in texts]
        texts = [text.strip() if isinstance(text, str) else text for text in texts]
        keys = [text if isinstance(text, str) else id(text) for text in texts]
        number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        different = dict(zip(keys, texts, strict=True))
        table = parse_different(self, list(different.values()), source, keys, progress)
        return table[[number[key] for key in keys]]

    def build(self, architecture: "Architecture", **settings: Any) -> "torch.nn.Module":
        """Return the untrained network of an architecture.

        Raises:
            ValueError: the space has no network.
        """
        raise ValueError(f"the search space {self.name} does not say how to build a network")

    def definition(self) -> str | None:
        """Return the YAML text that describes the space, None for a space that is a Python class."""
        return None

    def __repr__(self) -> str:
        size = "" if self.size is None else f", {self.size:,} architectures"
        return f"<space {self.name}: at most {self.max_nodes} nodes and {self.max_edges} edges{size}>"
