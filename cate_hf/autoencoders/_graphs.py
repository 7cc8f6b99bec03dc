"""Tables of architectures as batches of tensors for graph autoencoders, and what these decode as architectures again.

Types of nodes are the positions in the space's vocabulary; one more, the last, stands for "no node" after the output of
architectures that are smaller than `max_nodes`.
"""

from dataclasses import dataclass

import numpy as np
import torch

from cate_hf.encodings.random_graphs import architectures_of
from cate_hf.graphs.table import PADDING, ArchitectureTable, pack_edges
from cate_hf.spaces import Space


@dataclass(frozen=True)
class GraphShape:
    """What a model has to know of a search space.

    Attributes:
        operations: V, the length of the vocabulary, inputs and output included.
        num_inputs: how many of them are inputs.
        max_nodes: L.
    """

    operations: int
    num_inputs: int
    max_nodes: int

    @classmethod
    def of(cls, space: Space) -> "GraphShape":
        return cls(len(space.vocabulary), space.num_inputs, space.max_nodes)

    @property
    def output(self) -> int:
        """The type of the output."""
        return self.operations - 1

    @property
    def no_node(self) -> int:
        """The type of positions after the output."""
        return self.operations


@dataclass(frozen=True)
class GraphBatch:
    """B architectures.

    Attributes:
        types: (B, L) int64, `GraphShape.no_node` after the output.
        adjacency: (B, L, L) float32 of 0 and 1, upper triangular.
        num_nodes: (B,) int64.
    """

    types: torch.Tensor
    adjacency: torch.Tensor
    num_nodes: torch.Tensor

    @classmethod
    def from_table(cls, table: ArchitectureTable, shape: GraphShape, device: torch.device | str = "cpu"):
        """All rows of a table over the space's vocabulary."""
        table = table.widen(shape.max_nodes)
        types = table.operation_codes.astype(np.int64)
        types[types == PADDING] = shape.no_node
        arrays = (types, table.adjacency().astype(np.float32), table.num_nodes.astype(np.int64))
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    def __len__(self) -> int:
        return len(self.types)

    @property
    def used(self) -> torch.Tensor:
        """(B, L) bool: where there is a node."""
        return torch.arange(self.types.shape[1], device=self.types.device) < self.num_nodes[:, None]

    def same_as(self, other: "GraphBatch") -> torch.Tensor:
        """(B,) bool: graphs that agree in every node and edge, as drawn."""
        return (self.types == other.types).all(1) & (self.adjacency == other.adjacency).all(2).all(1)


def as_architectures(space: Space, batch: GraphBatch) -> tuple[ArchitectureTable, np.ndarray]:
    """The decoded graphs that are architectures of the space once nodes on no path are removed, as the published
    figures count them.

    A graph is considered where its inputs come first, its output once and last, operations between them and nothing
    after it; edges that leave its nodes do not count.

    Returns:
        a table of the valid ones with a column hash, and their rows.
    """
    shape = GraphShape.of(space)
    types, adjacency = batch.types.cpu().numpy(), batch.adjacency.cpu().numpy() > 0
    positions = np.arange(shape.max_nodes)
    count = np.argmax(types == shape.output, axis=1) + 1  # an output at 0, or none, is refused below
    used, inner = positions < count[:, None], (positions >= shape.num_inputs) & (positions < count[:, None] - 1)
    operation = (types >= shape.num_inputs) & (types < shape.output)
    well_formed = (types[:, : shape.num_inputs] == positions[: shape.num_inputs]).all(axis=1)
    well_formed &= (count > shape.num_inputs) & (operation | ~inner).all(axis=1)
    well_formed &= ((types == shape.no_node) | used).all(axis=1)
    rows = np.flatnonzero(well_formed)
    types, adjacency, count = types[rows], adjacency[rows], count[rows]
    adjacency = np.triu(adjacency & used[rows, :, None] & used[rows, None, :], 1)

    # The output goes to the last position; what is then left empty has no edges, and is on no path.
    index = np.arange(len(rows))
    into_output = adjacency[index, :, count - 1].copy()
    adjacency[index, :, count - 1] = False
    adjacency[:, :, -1] = into_output
    operations = np.where(inner[rows], types, shape.num_inputs)[:, shape.num_inputs : -1] - shape.num_inputs
    table, valid = architectures_of(space, adjacency[:, *np.triu_indices(shape.max_nodes, 1)], operations)

    table = table.widen(shape.max_nodes)
    unconnected = np.flatnonzero(~_connected(adjacency, shape.num_inputs))
    if len(unconnected) and (edgeless := _edgeless(space)) is not None:
        table = ArchitectureTable.concatenate([table, edgeless[np.zeros(len(unconnected), dtype=np.intp)]])
        valid = np.concatenate([valid, unconnected])
    order = np.argsort(valid, kind="stable")
    table = table[order]
    return table.with_columns(hash=space.hash_many(table)), rows[valid[order]]


def _connected(adjacency: np.ndarray, num_inputs: int) -> np.ndarray:
    """(N,) bool of adjacency (N, L, L): a path leads from an input to the last position."""
    reached = np.zeros(adjacency.shape[:2], dtype=bool)
    reached[:, :num_inputs] = True
    for node in range(num_inputs, adjacency.shape[1]):
        reached[:, node] = (reached & adjacency[:, :, node]).any(axis=1)
    return reached[:, -1]


def _edgeless(space: Space) -> ArchitectureTable | None:
    """The inputs and the output without an edge as a table of one row, which in NAS-Bench-201 all graphs without a path
    are; None where that is not of the space."""
    codes = np.full((1, space.max_nodes), PADDING, dtype=np.uint8)
    codes[0, : space.num_inputs + 1] = [*range(space.num_inputs), len(space.vocabulary) - 1]
    bits = pack_edges(np.zeros((1, space.max_nodes, space.max_nodes), dtype=np.uint8))
    table = ArchitectureTable(space.vocabulary, codes, bits, np.array([space.num_inputs + 1], dtype=np.uint8))
    return table if space.is_valid(table[0]) else None
