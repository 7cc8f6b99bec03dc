"""The wiring of an architecture as numbers that are computed, not learned: which operations stand how deep, and which
depths and operations edges join. They are sums over nodes and over edges: they do not depend on how a graph is drawn,
and what is additive in edges or in operations by depth is linear in them.

B architectures, L positions (nodes and padding), V token ids, C depths, W numbers of the wiring part.
"""

import torch
from torch import nn

from .configuration_cate import CateConfig
from .layers_cate import without_autocast

__all__ = ["CateWiring", "wiring_counts"]

_SEED = 3  # of the sketch that stands there until the end of pre-training fits a better map


def wiring_counts(
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    adjacency: torch.Tensor,
    longest: torch.Tensor,
    vocab_size: int,
    depths: int,
) -> torch.Tensor:
    """Histograms of nodes and edges by operation and depth.

    A node's depths are the longest path from an input to it and the longest from it to an output; what is deeper than
    the last depth counts there.

    Args:
        input_ids, attention_mask: (B, L); adjacency: (B, L, L); longest: (B, L, 2), both depths.

    Returns:
        (B, 2 V C + V V + 2 C C) float32, counts of nodes by operation and either depth, and counts of edges by the
        operations, by the depths from the inputs and by the depths to the output of their two nodes.
    """
    real = attention_mask.to(torch.float32).unsqueeze(-1)  # (B, L, 1)
    at = longest.to(torch.long).clamp(0, depths - 1)
    kinds = (input_ids, at[..., 0], at[..., 1])
    sizes = (vocab_size, depths, depths)
    one_hot = [
        (kind.unsqueeze(-1) == torch.arange(size, device=kind.device)).to(torch.float32) * real
        for kind, size in zip(kinds, sizes, strict=True)
    ]  # (B, L, V), (B, L, C), (B, L, C)
    edges = (adjacency != 0).to(torch.float32)
    operation = one_hot[0].transpose(1, 2)
    nodes = operation @ torch.cat(one_hot[1:], dim=-1)  # (B, V, 2 C)
    joined = [mine.transpose(1, 2) @ (edges @ mine) for mine in one_hot]  # (B, V, V), (B, C, C) twice
    return torch.cat([part.flatten(1) for part in (nodes, *joined)], dim=-1)


def num_wiring_counts(config: CateConfig) -> int:
    """Length of `wiring_counts` of a configuration."""
    operations, depths = config.vocab_size, config.wiring_depths
    return 2 * operations * depths + operations**2 + 2 * depths**2


class CateWiring(nn.Module):
    """The wiring part of an encoding: a linear map of the counts and of the encoding's other parts.

    At first a random sketch of the counts. The end of pre-training fits the map to a sample of the search space,
    without labels: principal components of the standardised counts beside the other parts, turned at random, so that
    all numbers have variance 1 and distances stay.
    """

    def __init__(self, config: CateConfig):
        super().__init__()
        self.vocab_size, self.depths = config.vocab_size, config.wiring_depths
        others = config.encoding_size - config.wiring_dim
        self.register_buffer("of_counts", torch.zeros(num_wiring_counts(config), config.wiring_dim))
        self.register_buffer("of_parts", torch.zeros(others, config.wiring_dim))
        self.register_buffer("shift", torch.zeros(config.wiring_dim))

    def sketch(self) -> torch.Tensor:
        """A random map of the counts, the same each time: (counts, W)."""
        generator = torch.Generator().manual_seed(_SEED)
        shape = self.of_counts.shape
        return torch.randn(shape, generator=generator) * shape[1] ** -0.5

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        adjacency: torch.Tensor,
        longest: torch.Tensor,
        parts: torch.Tensor,
    ) -> torch.Tensor:
        """The other parts of the encoding (B, E - W) and the graph to (B, W)."""
        with without_autocast(adjacency):
            counts = wiring_counts(input_ids, attention_mask, adjacency, longest, self.vocab_size, self.depths)
            kind = self.of_counts.dtype
            return counts.to(kind) @ self.of_counts + parts.to(kind) @ self.of_parts + self.shift
