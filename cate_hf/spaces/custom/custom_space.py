"""A search space of one's own: operations, limits and costs, by YAML (docs/reference/space_file.md) or in Python."""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._progress import progress_bar
from cate_hf.graphs._cache import cached_table
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import _steps as steps
from cate_hf.spaces.base import Space
from cate_hf.spaces.custom._checks import DEFAULT_COST, check_fields
from cate_hf.spaces.custom._fields import Fields
from cate_hf.spaces.custom._file import description_text, parse_description, read_description
from cate_hf.spaces.sampling import sample_unique

if TYPE_CHECKING:
    import torch

    from cate_hf.graphs.architecture import Architecture

_ATTEMPTS, _ATTEMPTS_IN_PYTHON = 200_000, 50_000  # in vain, before a space is said to be empty
_CHUNK = 65_536


class CustomSpace(Space):
    """A space of labelled graphs within limits.

    What `validate` gives back has no node that is off every path from an input to the output, and the limits hold for
    that. The skeleton and fixed operations refer to its nodes as they are numbered: an isomorphic drawing that numbers
    them otherwise is refused. Everything else is the same for all drawings, and so is the hash (`graph_hash`).

    Attributes:
        fields: the description.
        valid: a further condition, in Python.
    """

    def __init__(
        self,
        valid: "Callable[[Architecture], bool] | None" = None,
        builder: "Callable[..., torch.nn.Module] | None" = None,
        **fields: Any,
    ):
        """A space from the fields of docs/reference/space_file.md, of which name, operations and nodes are needed:

            CustomSpace(name="small", operations=["conv", "pool"], nodes=[2, 6], edges=[1, 8])

        Args:
            valid: whether an architecture within the limits is of the space. It must not depend on how isomorphic
                architectures are drawn, and is not part of `definition`; what it leaves is not kept in the cache.
            builder: makes `build(architecture, **settings)`'s network.

        Raises:
            ValueError: naming the field that is wrong.
        """
        self._set(check_fields(fields), valid, builder)

    def _set(self, fields: Fields, valid: Callable | None, builder: Callable | None) -> None:
        self.fields, self.valid, self._builder = fields, valid, builder
        self.name, self.num_inputs = fields.name, fields.num_inputs
        self.version = fields.digest() if valid is None else f"{fields.digest()}-valid"
        self.vocabulary = (*fields.inputs, *fields.operations, fields.output)
        self.max_nodes = max(nodes for nodes, _, _ in fields.sizes())
        self.max_edges = max(most for _, _, most in fields.sizes())
        self.cost_names = tuple(fields.costs) or (DEFAULT_COST,)
        self.pairing = dict(fields.pairing)
        fixed = [limits[0] == limits[1] for limits in (fields.in_degree, fields.edges or (1, 2))]
        self.free_edges = not any(fixed)
        self.pool_size = fields.pool
        self._kept: dict[str, ArchitectureTable] = {}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any], valid: Callable | None = None, builder: Callable | None = None):
        """A space from a dictionary of its fields. Raises ValueError as the constructor does."""
        space = cls.__new__(cls)
        space._set(check_fields(description), valid, builder)
        return space

    @classmethod
    def from_file(cls, path: str | os.PathLike, valid: Callable | None = None, builder: Callable | None = None):
        """A space from a YAML file of its fields.

        Raises:
            ValueError: naming the file, and the field or line that is wrong.
            FileNotFoundError: no such file.
        """
        return cls._described(read_description(path), str(path), valid, builder)

    @classmethod
    def from_definition(cls, text: str, valid: Callable | None = None, builder: Callable | None = None):
        """A space from the text of such a file, as `definition` gives it. Raises ValueError as `from_file` does."""
        return cls._described(parse_description(text), "description", valid, builder)

    @classmethod
    def _described(cls, description: Any, source: str, valid: Callable | None, builder: Callable | None):
        try:
            return cls.from_dict(description, valid, builder)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None

    def definition(self) -> str:
        """YAML text that `from_definition` and `from_file` read; without the condition in Python."""
        return description_text(self.fields.to_dict())

    @property
    def distribution(self) -> str:
        """What `sample` draws from, in words."""
        if self._patterns is not None:
            return super().distribution
        from cate_hf.spaces.custom._draw import DISTRIBUTION

        return DISTRIBUTION + ("" if self.valid is None else "; what the condition in Python refuses is drawn again")

    @cached_property
    def _limits(self):
        from cate_hf.spaces.custom._draw import limits_of

        return limits_of(self.fields)

    @cached_property
    def _patterns(self) -> dict[int, np.ndarray] | None:
        from cate_hf.spaces.custom._listing import edge_patterns

        return edge_patterns(self.fields)

    @property
    def size(self) -> int | None:
        """Number of architectures where they are few enough to be listed (5 million drawings of at most 11 nodes),
        else None. The first time they are listed for it.
        """
        return None if self._patterns is None else len(self.enumerate())

    def hash_many(self, table: ArchitectureTable, on_progress: Callable[[int], None] | None = None) -> np.ndarray:
        """(N,) text (<U32): a hash that isomorphic architectures share, see `graph_hashes`."""
        from cate_hf.graphs.graph_hash import graph_hashes

        return graph_hashes(self.canonical(self.table(table)), on_progress)

    def _cost(self, table: ArchitectureTable, name: str) -> np.ndarray:
        """(N,) int64 where all costs of that name are whole numbers, else float64: sums over nodes and edges."""
        if not self.fields.costs:
            return table.num_nodes.astype(np.int64) - self.num_inputs - 1
        costs = np.array([*(0,) * self.num_inputs, *self.fields.costs[name], 0])
        by_code = np.zeros(256, dtype=costs.dtype)
        by_code[: len(costs)] = costs
        total = by_code[table.operation_codes].sum(axis=1)
        edge = self.fields.edge_costs.get(name, 0)
        if edge:
            total = total + edge * np.bitwise_count(table.edge_bits).sum(axis=1, dtype=np.int64)
        return total

    def enumerate(self, use_cache: bool = True, progress: bool = False) -> ArchitectureTable:
        """Return all architectures, sorted by hash. Raises ValueError where they are too many."""
        if self._patterns is None:
            raise ValueError(f"{self.name} is too large to be listed whole; draw samples of it (--sample N)")
        return self._keep("all", lambda: self._enumerate(progress), use_cache)

    def pool(self, use_cache: bool = True, progress: bool = False) -> ArchitectureTable:
        """All of the space where it can be listed; else `pool_size` unique samples of seed 0 (or as many as are found,
        of a space that has fewer), sorted by hash; with columns hash and the costs.
        """
        if self._patterns is not None:
            return self.enumerate(use_cache, progress)

        def compute() -> ArchitectureTable:
            table = sample_unique(self, self.pool_size, np.random.default_rng(0), progress, fewer=True)
            return table[np.argsort(table.columns["hash"])]

        return self._keep(f"pool-{self.pool_size}", compute, use_cache)

    def _keep(self, key: str, compute: Callable[[], ArchitectureTable], use_cache: bool) -> ArchitectureTable:
        """A table from memory or the cache folder; of a condition in Python only memory can know."""
        if not use_cache:
            return compute()
        if key not in self._kept:
            on_disk = f"{self.name}-{self.version}-{key}"
            self._kept[key] = cached_table(on_disk, None, compute) if self.valid is None else compute()
        return self._kept[key]

    def _enumerate(self, progress: bool) -> ArchitectureTable:
        from cate_hf.spaces.custom._listing import list_architectures, number_of_drawings

        patterns = self._patterns or {}
        total = number_of_drawings(self.fields, patterns)
        with progress_bar(f"listing {self.name}", total, "drawings", progress) as advance:
            table = list_architectures(self.fields, self.vocabulary, patterns, advance)
        table = self._met(table)
        if not len(table):
            raise ValueError(f"{self.name}: no architecture meets the condition in Python")
        return self.with_costs(table)

    def _draw(self, n: int, rng: np.random.Generator) -> ArchitectureTable:
        from cate_hf.spaces.custom._draw import draw_rows

        parts, found, attempts = [self._as_table(*draw_rows(self._limits, 0, rng))], 0, 0
        most = max(_ATTEMPTS if self.valid is None else _ATTEMPTS_IN_PYTHON, 64 * n)
        while found < n and attempts < most:
            count = min(max(n - found, 1024), _CHUNK)
            parts.append(self._met(self._as_table(*draw_rows(self._limits, count, rng))))
            found += len(parts[-1])
            attempts += count
        if n and not found:
            condition = "" if self.valid is None else ", the condition in Python"
            raise ValueError(
                f"{self.name}: none of {attempts:,} architectures drawn meets the limits: "
                f"{self.fields.limits()}{condition}"
            )
        return ArchitectureTable.concatenate(parts)

    def _as_table(self, codes: np.ndarray, bits: np.ndarray, num_nodes: np.ndarray) -> ArchitectureTable:
        return ArchitectureTable(self.vocabulary, codes, bits, num_nodes)

    def _met(self, table: ArchitectureTable) -> ArchitectureTable:
        """The rows that meet the condition in Python."""
        if self.valid is None:
            return table
        return table[np.fromiter((bool(self.valid(a)) for a in table), dtype=bool, count=len(table))]

    def validate(self, architecture: "Architecture") -> "Architecture":
        """Return the architecture pruned. Raises ValueError where it is outside the limits or fails `valid`."""
        from cate_hf.spaces._validation import check_ends
        from cate_hf.spaces.custom._validation import check_limits

        check_ends(self, architecture)
        pruned = architecture.prune(self.num_inputs)
        check_limits(self.fields, pruned)
        if self.valid is not None and not self.valid(pruned):
            raise ValueError(f"the architecture does not meet the condition of {self.name} in Python")
        return pruned

    def _needs_a_look(self, table: ArchitectureTable) -> np.ndarray:
        from cate_hf.spaces.custom._draw import plainly_valid

        if self.valid is not None:
            return np.ones(len(table), dtype=bool)
        return ~plainly_valid(self._limits, table.operation_codes, table.edge_bits, table.num_nodes)

    def neighbours(self, architecture: "Architecture") -> ArchitectureTable:
        """All valid architectures one edge (added or removed between its nodes) or one operation away, each once, the
        architecture itself excluded, with a column hash. They are pruned: one without an edge may lack nodes too. Where
        the number of edges, of all or into each node, is fixed: also those with one edge from another node.
        """
        from cate_hf.spaces.custom._draw import plainly_valid

        def plain(table: ArchitectureTable) -> tuple[ArchitectureTable, np.ndarray]:
            within = plainly_valid(self._limits, table.operation_codes, table.edge_bits, table.num_nodes)
            return self._met(table[within]), within

        start = self.table([self.validate(architecture)])
        # Without an edge removed there is nothing to prune: what is not within the limits as it is never will be.
        return steps.neighbours(self, start, plain, moves=not self.free_edges, prunable=lambda removed: removed)

    def build(self, architecture: "Architecture", **settings: Any) -> "torch.nn.Module":
        """Return the network that `builder` makes. Raises ValueError without a `builder`."""
        if self._builder is None:
            return super().build(architecture, **settings)
        return self._builder(self.validate(architecture), **settings)

    def __repr__(self) -> str:
        return f"<space {self.name}: at most {self.max_nodes} nodes and {self.max_edges} edges; {self.fields.limits()}>"
