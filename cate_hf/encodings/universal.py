"""One encoder for architectures of any space: nothing of it is trained, and nothing is fitted to a space.

Two parts. "computation": statistics of the graph and, of each group of operations (`_operation_names`), how many there
are, where they stand and how many are on a path. "wiring": the counts of nodes and edges by operation and depth
(`cate_hf.modeling.wiring_cate`), and the same statistics of each operation by itself, through a fixed random map whose
rows for an operation are made of what its name says.

B architectures, L positions, K groups of operations, or operations; V operations; C depths.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cate_hf.core._names import unknown
from cate_hf.core._progress import progress_bar
from cate_hf.encodings._operation_names import GROUPS, NUM_NUMBERS, describe_all, group_of
from cate_hf.encodings._structure import mean_and_spread
from cate_hf.encodings._vectors import VectorMethods, finished
from cate_hf.encodings.base import BaseEncoding
from cate_hf.graphs.forms import to_table
from cate_hf.graphs.table import PADDING, ArchitectureTable

if TYPE_CHECKING:
    import os

    import torch

    from cate_hf.spaces import Space

__all__ = ["UniversalEncoder", "as_table"]

NAME, VERSION = "universal", 2  # the version changes when an encoding would
WIRING = 128
DEPTHS = 24
_GRAPH, _OF_GROUP = 12, 6  # statistics of the graph, and of each group of operations
_OF_OPERATIONS = 2.0  # weight of the statistics of operations beside the counts
_SEED = 11
_WEIGHTS = 1 << 20  # of all pairs of nodes, in a batch
_ROWS = 8192


class UniversalEncoder(VectorMethods):
    """Architectures of any space in, vectors out: `load_encoder("universal")`.

    Attributes:
        dim: D, the length of an encoding.
        parts: where its parts are.
    """

    space = NAME

    def __init__(self) -> None:
        computation = _GRAPH + _OF_GROUP * len(GROUPS)
        self.parts = {"computation": slice(0, computation), "wiring": slice(computation, computation + WIRING)}
        self.dim = computation + WIRING
        self._maps: dict[tuple[str, ...], _Map] = {}

    def encode(
        self,
        architectures: Any,
        batch_size: int = 1024,
        progress: bool = False,
        on_batch: Callable[[int], None] | None = None,
        parts: Sequence[str] | None = None,
        normalize: bool = False,
        convert_to_tensor: bool = False,
    ) -> np.ndarray:
        """Encode architectures, in their order. The arguments are those of `Encoder.encode`; operations have any names.

        Graphs are taken as drawn, since which nodes are inputs only a space can tell: the encoding "universal" of a
        space (`get_encoding`) leaves nodes that are on no path out.

        Returns:
            (N, D) float32.

        Raises:
            ValueError: something that is no architecture; the row is named.
        """
        import torch

        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        for name in parts or ():
            if name not in self.parts:
                raise unknown("part of an encoding", name, self.parts)
        table = self._as_table(architectures)
        encodings = np.empty((len(table), self.dim), np.float32)
        size = min(batch_size, max(1, _WEIGHTS // int(table.num_nodes.max(initial=1)) ** 2))
        of_names = self._map(tuple(table.vocabulary))
        with progress_bar("encoding", len(table), "cells", progress) as advance, torch.inference_mode():
            for start in range(0, len(table), size):
                some = table[start : start + size]
                codes = torch.from_numpy(some.operation_codes.astype(np.int64))
                real = codes != PADDING
                adjacency = torch.from_numpy(some.adjacency())
                encodings[start : start + size] = _encode(
                    codes.masked_fill(~real, 0), real.long(), adjacency, of_names
                ).numpy()
                (on_batch or advance)(len(some))
        if parts is not None:
            encodings = np.concatenate([encodings[:, self.parts[p]] for p in parts], axis=1)
        return finished(encodings, normalize, convert_to_tensor)

    def kernels(self, count: int) -> AbstractContextManager:
        """Nothing: there are no layers to compile."""
        return nullcontext()

    def fingerprint(self) -> str:
        """Return what a digest of the weights would be."""
        return f"universal-{VERSION}"

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        """(N, D) float32: `encode` under the name that all encodings share."""
        return self.encode(table)

    def _as_table(self, architectures: Any) -> ArchitectureTable:
        return as_table(architectures)

    def _map(self, names: tuple[str, ...]) -> "_Map":
        if names not in self._maps:
            self._maps[names] = _map_of(names)
        return self._maps[names]

    def __repr__(self) -> str:
        return f"<encoder of any architecture: {self.dim} numbers each>"


class UniversalEncoding(BaseEncoding):
    """The universal encoder as an encoding of a space, each number standardised over the space's pool.

    Lost is what has the same counts of operations by depth and of edges by depths and by operations, and the same
    statistics of paths. Isomorphic drawings share a vector, up to rounding.
    """

    name = NAME

    def __init__(self, space: "str | os.PathLike | Space"):
        super().__init__(space)
        self._encoder = UniversalEncoder()
        self.dim = self._encoder.dim

    @cached_property
    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        """(D,) float64 mean and standard deviation over 8,192 architectures of the pool; 1 where all are equal."""
        rows = np.random.default_rng(0).permutation(len(self.pool))[:_ROWS]
        return mean_and_spread(self._encoder.encode(self.pool[np.sort(rows)]))

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        """(N, D) float32, standardised."""
        mean, spread = self._scale
        return ((self._encoder.encode(self.own_table(table)) - mean) / spread).astype(np.float32)


def as_table(architectures: Any) -> ArchitectureTable:
    """Architectures in any form of `to_table` over the operations that they have. Raises ValueError by row."""
    if isinstance(architectures, ArchitectureTable):
        return architectures.replace_columns({})
    table = to_table(architectures)
    return table.recode(sorted(table.vocabulary))


class _Map(NamedTuple):
    """Of a vocabulary: the map of the counts (counts, WIRING), that of the operations' statistics (6 V, WIRING), and
    the groups (V,).
    """

    of_counts: "torch.Tensor"
    of_operations: "torch.Tensor"
    groups: "torch.Tensor"


def _map_of(names: Sequence[str]) -> _Map:
    import torch

    described = torch.from_numpy(describe_all(names))  # (V, Q)
    generator = torch.Generator().manual_seed(_SEED)

    def random(*shape: int) -> "torch.Tensor":
        return torch.randn(*shape, WIRING, generator=generator) * WIRING**-0.5

    nodes = torch.einsum("vq,qcw->vcw", described, random(NUM_NUMBERS, 2 * DEPTHS))
    joined = torch.einsum("vq,uk,qkw->vuw", described, described, random(NUM_NUMBERS, NUM_NUMBERS))
    depths = random(2 * DEPTHS * DEPTHS)
    statistics = torch.einsum("vq,qsw->svw", described, random(NUM_NUMBERS, _OF_GROUP))
    return _Map(
        torch.cat([nodes.flatten(0, 1), joined.flatten(0, 1), depths]),
        _OF_OPERATIONS * statistics.flatten(0, 1),
        torch.tensor([group_of(name) for name in names]),
    )


def _encode(codes: "torch.Tensor", real: "torch.Tensor", adjacency: "torch.Tensor", of_names: _Map) -> "torch.Tensor":
    """Codes and whether they are nodes (B, L), adjacency (B, L, L) to (B, D)."""
    import torch

    from cate_hf.modeling.graph_features_cate import longest_paths, node_features, reachability
    from cate_hf.modeling.wiring_cate import wiring_counts

    operations = len(of_names.groups)
    longest_path = _nodes_of_longest(adjacency)
    features = node_features(adjacency, real, reachability(adjacency, longest_path), longest_path)
    counts = wiring_counts(codes, real, adjacency, longest_paths(features), operations, DEPTHS)
    graph = _Graph(real.float(), adjacency.float(), features)
    wiring = counts @ of_names.of_counts + graph.of_kinds(codes, operations) @ of_names.of_operations
    groups = graph.of_kinds(of_names.groups[codes], len(GROUPS))
    return torch.cat([graph.statistics(), groups, wiring], dim=-1)


def _nodes_of_longest(adjacency: "torch.Tensor") -> int:
    """How many nodes the longest path of (B, L, L) has, at least 2: of large graphs far fewer than L."""
    import torch

    edges = adjacency != 0
    depth = torch.ones(adjacency.shape[:2], dtype=torch.int32)
    for node in range(1, adjacency.shape[1]):
        depth[:, node] += torch.where(edges[:, :node, node], depth[:, :node], 0).amax(1)
    return max(2, int(depth.max()) if depth.numel() else 2)


class _Graph:
    """Statistics of graphs: nodes (B, L), edges (B, L, L) and node features (B, L, 12)."""

    def __init__(self, real: "torch.Tensor", edges: "torch.Tensor", features: "torch.Tensor"):
        import torch

        self.real, self.edges, self.features = real, edges, features
        self.starts, self.ends = real * (edges.sum(1) == 0), real * (edges.sum(2) == 0)  # (B, L)
        before, after = (torch.expm1(2 * features[..., k]) for k in (3, 9))  # numbers of paths
        self.at_end = self.ends * before
        self.paths = self.at_end.sum(1, keepdim=True).clamp(min=1e-6)  # (B, 1)
        # Share of all paths that lead through a node, of which 1e18 are counted at most.
        self.through = (real * (before / self.paths) * after).clamp(max=1)

    def statistics(self) -> "torch.Tensor":
        """(B, _GRAPH) statistics of the whole graph."""
        import torch

        edges, starts, ends = self.edges, self.starts, self.ends
        shortest, mean, longest = (self.features[..., k] for k in range(3))  # from the inputs
        numbers = [
            self.real.sum(1),
            edges.sum((1, 2)),
            starts.sum(1),
            ends.sum(1),
            4 * (longest * ends).amax(1),
            4 * torch.where(ends > 0, shortest, torch.inf).amin(1),
            4 * (mean * self.at_end).sum(1) / self.paths.squeeze(1),
            self.paths.squeeze(1).log1p(),
            (edges.sum(1) * ends).sum(1),
            (edges.sum(2) * starts).sum(1),
            (edges * starts.unsqueeze(2) * ends.unsqueeze(1)).sum((1, 2)),
            self.through.square().sum(1).sqrt(),
        ]
        return torch.stack(numbers, -1)

    def of_kinds(self, kinds: "torch.Tensor", number: int) -> "torch.Tensor":
        """Kinds of the nodes (B, L), -1 where none, to (B, _OF_GROUP K): how many nodes of each kind there are, feed an
        end, are fed by a start; the share of paths through them, each node's added; the most and fewest on a path.
        """
        import torch

        of_kind = (kinds.unsqueeze(-1) == torch.arange(number)).float() * self.real.unsqueeze(-1)  # (B, L, K)
        into_end = (self.edges @ self.ends.unsqueeze(-1)).squeeze(-1)
        from_start = (self.starts.unsqueeze(1) @ self.edges).squeeze(1)
        most, fewest = of_kind.clone(), of_kind.clone()  # of a kind on a path from an input to each node
        for node in range(1, kinds.shape[1]):
            into = self.edges[:, :node, node].unsqueeze(-1) > 0  # (B, node, 1)
            most[:, node] += torch.where(into, most[:, :node], 0.0).amax(1)
            least = torch.where(into, fewest[:, :node], torch.inf).amin(1)
            fewest[:, node] += torch.where(into.any(1), least, 0.0)
        ends = self.ends.unsqueeze(-1)
        numbers = [
            of_kind.sum(1),
            *((of_kind * weight.unsqueeze(-1)).sum(1) for weight in (into_end, from_start, self.through)),
            (most * ends).amax(1),
            torch.where(ends > 0, fewest, torch.inf).amin(1),
        ]
        return torch.cat(numbers, dim=-1)
