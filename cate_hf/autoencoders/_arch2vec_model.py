"""The variational graph isomorphism autoencoder of arch2vec (Yan et al., NeurIPS 2020, section 3.1)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from cate_hf.autoencoders._graphs import GraphBatch, GraphShape

_FIRST_LOG_DEVIATION = -2.0  # noise of the prior's size would hide all that there is to learn at first
_FIRST_EPSILON = 0.5  # with 0, nodes that are joined and have the same other neighbours would be one to the network


@dataclass(frozen=True)
class Arch2VecConfig:
    """Sizes of the model (defaults: the paper's, appendix on pre-training details and the authors' code).

    Attributes:
        hidden_size: width of the GIN layers.
        layers: number of them.
        latent_size: numbers a node, and of the encoding.
        dropout: of the latent vectors before they are decoded, in training.
        kl_weight: of the KL divergence of a node's latent vector from the prior (the code's 1 / (batch 32 × 7 nodes)).
    """

    hidden_size: int = 128
    layers: int = 5
    latent_size: int = 16
    dropout: float = 0.3
    kl_weight: float = 0.005


class Arch2VecModel(nn.Module):
    """Encoder (section 3.1.2) and decoder (3.1.3) over batches of graphs."""

    config_class: ClassVar = Arch2VecConfig

    def __init__(self, config: Arch2VecConfig, shape: GraphShape):
        super().__init__()
        self.config, self.shape = config, shape
        widths = [shape.operations + 1, *[config.hidden_size] * config.layers]
        self.epsilon = nn.Parameter(torch.full((config.layers,), _FIRST_EPSILON))
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Linear(before, after),
                nn.BatchNorm1d(after),
                nn.ReLU(),
                nn.Linear(after, after),
                nn.BatchNorm1d(after),
                nn.ReLU(),
            )
            for before, after in pairwise(widths)
        )
        self.mean = nn.Linear(config.hidden_size, config.latent_size)
        self.log_deviation = nn.Linear(config.hidden_size, config.latent_size)
        nn.init.constant_(self.log_deviation.bias, _FIRST_LOG_DEVIATION)
        self.operation = nn.Linear(config.latent_size, shape.operations + 1)

    @property
    def dim(self) -> int:
        return self.config.latent_size

    def _hidden(self, graphs: GraphBatch) -> torch.Tensor:
        """(B, L, hidden): H ← MLP((1 + ε) H + Ã H) with Ã = A + Aᵀ, once a layer."""
        adjacency = graphs.adjacency + graphs.adjacency.transpose(1, 2)
        hidden = F.one_hot(graphs.types, self.shape.operations + 1).to(adjacency.dtype)
        for epsilon, layer in zip(self.epsilon, self.layers, strict=True):
            hidden = (1 + epsilon) * hidden + adjacency @ hidden
            hidden = layer(hidden.flatten(0, 1)).view(*hidden.shape[:2], -1)
        return hidden

    def encode(self, graphs: GraphBatch) -> torch.Tensor:
        """(B, latent): the mean latent vectors of an architecture's nodes, summed and divided by `max_nodes`.

        For architectures of `max_nodes` nodes that is the mean over nodes; for smaller ones their number still counts.
        """
        means = self.mean(self._hidden(graphs))
        return (means * graphs.used[:, :, None]).sum(1) / self.shape.max_nodes

    def latent_mean(self, graphs: GraphBatch) -> torch.Tensor:
        """(B, L, latent): what is decoded, a vector a node."""
        return self.mean(self._hidden(graphs))

    def loss(self, graphs: GraphBatch) -> torch.Tensor:
        """Mean over edges, mean over operations, and the weighted KL divergence a node (section 3.1.4)."""
        hidden = self._hidden(graphs)
        mean, log_deviation = self.mean(hidden), self.log_deviation(hidden)
        latent = mean + torch.randn_like(mean) * log_deviation.exp()
        operations, edges = self._scores(F.dropout(latent, self.config.dropout, self.training))
        size = self.shape.max_nodes
        row, column = torch.triu_indices(size, size, 1, device=edges.device)
        edge_loss = F.binary_cross_entropy_with_logits(edges[:, row, column], graphs.adjacency[:, row, column])
        operation_loss = F.cross_entropy(operations.flatten(0, 1), graphs.types.flatten())
        divergence = 0.5 * (mean.square() + (2 * log_deviation).exp() - 1 - 2 * log_deviation).sum(-1).mean()
        return edge_loss + operation_loss + self.config.kl_weight * divergence

    def _scores(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of operations (B, L, V + 1) and of edges (B, L, L): σ(Z Zᵀ)."""
        return self.operation(latent), latent @ latent.transpose(1, 2)

    def decode(self, latent: torch.Tensor, generator: torch.Generator | None = None) -> GraphBatch:
        """The most probable graphs of latent vectors (B, L, latent); nothing is drawn, so the generator is not used."""
        operations, edges = self._scores(latent)
        types = operations.argmax(-1)
        ends = (types == self.shape.output).int()
        last = torch.where(ends.any(1), ends.argmax(1) + 1, self.shape.max_nodes)
        graphs = GraphBatch(types, torch.triu((edges > 0).float(), 1), last)
        used = graphs.used
        return GraphBatch(types, graphs.adjacency * (used[:, :, None] & used[:, None, :]), last)

    def element_accuracy(self, graphs: GraphBatch, decoded: GraphBatch) -> torch.Tensor:
        """(B,): the mean of the shares of operations and of possible edges that are right, as the authors measure."""
        size = self.shape.max_nodes
        row, column = torch.triu_indices(size, size, 1, device=graphs.types.device)
        edges = (graphs.adjacency == decoded.adjacency)[:, row, column].float().mean(1)
        return ((graphs.types == decoded.types).float().mean(1) + edges) / 2
