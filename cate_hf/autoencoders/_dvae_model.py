"""D-VAE, the variational autoencoder for directed acyclic graphs (Zhang et al., NeurIPS 2019, section 3)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from cate_hf.autoencoders._graphs import GraphBatch, GraphShape


@dataclass(frozen=True)
class DVaeConfig:
    """Sizes of the model. The paper's is `hidden_size` 501 (`edge_size` 2,004), the rest as here.

    Attributes:
        hidden_size: of a node's state.
        latent_size: of the encoding.
        edge_size: hidden units of what scores an edge.
        bidirectional: encode against the edges too, from the output to the inputs.
        vertex_ids: tell the encoder the positions of nodes (section 3.3, where their order matters). Without
            them isomorphic drawings share an encoding (theorem 1). The decoder, which has to reproduce one drawing,
            always knows them.
        noise: standard deviation of the noise that training adds, in units of the posterior's (as the authors' code).
        kl_weight: β of the KL divergence.
    """

    hidden_size: int = 96
    latent_size: int = 56
    edge_size: int = 80
    bidirectional: bool = True
    vertex_ids: bool = False
    noise: float = 0.01
    kl_weight: float = 0.005


class _Messages(nn.Module):
    """g(h) ⊙ m(h), what a node of state h sends (gated sum, section 3.1); with `positions`, of the state beside its
    position, one-hot.
    """

    def __init__(self, size: int, positions: int):
        super().__init__()
        self.gate, self.map = nn.Linear(size, size), nn.Linear(size, size, bias=False)
        if positions:
            self.gate_position = nn.Parameter(torch.zeros(positions, size))
            self.map_position = nn.Parameter(torch.zeros(positions, size))

    def forward(self, state: torch.Tensor, position: int | None) -> torch.Tensor:
        gate, value = self.gate(state), self.map(state)
        if position is not None:
            gate, value = gate + self.gate_position[position], value + self.map_position[position]
        return torch.sigmoid(gate) * value


class DVaeModel(nn.Module):
    """Encoder and decoder over batches: one step a node position, for all graphs of a batch at once."""

    config_class: ClassVar = DVaeConfig

    def __init__(self, config: DVaeConfig, shape: GraphShape):
        super().__init__()
        self.config, self.shape = config, shape
        size, latent, edge = config.hidden_size, config.latent_size, config.edge_size
        ids = shape.max_nodes if config.vertex_ids else 0
        # Two types beyond the vocabulary: no node, and what gathers the inputs in the backward direction.
        self._types = shape.operations + 2
        self.forward_cell, self.forward_messages = nn.GRUCell(self._types, size), _Messages(size, ids)
        if config.bidirectional:
            self.backward_cell, self.backward_messages = nn.GRUCell(self._types, size), _Messages(size, ids)
            self.unify = nn.Linear(2 * size, size)
        self.mean, self.log_variance = nn.Linear(size, latent), nn.Linear(size, latent)

        self.start = nn.Linear(latent, size)
        self.decoder_cell = nn.GRUCell(self._types + shape.max_nodes, size)
        self.decoder_messages = _Messages(size, shape.max_nodes)
        self.next_type = nn.Sequential(
            nn.Linear(2 * size, 2 * size), nn.ReLU(), nn.Linear(2 * size, shape.operations - shape.num_inputs)
        )
        # The first layer of f(h_u, h_v, h_0), apart for each, so that none is computed again for every pair.
        self.edge_from, self.edge_to = nn.Linear(size, edge), nn.Linear(size, edge, bias=False)
        self.edge_start, self.edge_score = nn.Linear(size, edge, bias=False), nn.Linear(edge, 1)
        self._initialise()

    def _initialise(self) -> None:
        """Types and positions, of which one entry is 1, matter as much as states, and latent vectors are of the prior's
        size. With torch's own values the states of all nodes are nearly equal at first: the loss on NAS-Bench-201 was
        9.1 after 400 steps, in place of 3.9.
        """
        for name, parameter in self.named_parameters():
            if name.endswith("weight_ih") or name.endswith("_position"):
                nn.init.normal_(parameter)
        for layer in (self.mean, self.start):
            nn.init.normal_(layer.weight, std=3 / layer.in_features**0.5)

    @property
    def dim(self) -> int:
        return self.config.latent_size

    def _one_hot(self, types: torch.Tensor) -> torch.Tensor:
        return F.one_hot(types, self._types).to(self.start.weight.dtype)

    def _propagate(self, graphs: GraphBatch, backward: bool) -> list[torch.Tensor]:
        """L states (B, hidden): h_v = U(x_v, Σ_u g(h_u) ⊙ m(h_u)) over the edges u → v, v in topological order (section
        3.1, encoding); backward over the edges v → u, in reverse.
        """
        cell = self.backward_cell if backward else self.forward_cell
        messages = self.backward_messages if backward else self.forward_messages
        types, order = self._one_hot(graphs.types), range(self.shape.max_nodes)
        edges = graphs.adjacency.transpose(1, 2) if backward else graphs.adjacency  # (B, from, to)
        states: dict[int, torch.Tensor] = {}
        sent: dict[int, torch.Tensor] = {}
        for node in reversed(order) if backward else order:
            states[node] = cell(types[:, node], _gather(sent, edges[:, :, node], self.mean.in_features))
            sent[node] = messages(states[node], node if self.config.vertex_ids else None)
        return [states[node] for node in order]

    def _posterior(self, graphs: GraphBatch) -> torch.Tensor:
        """(B, hidden): the output's state; with `bidirectional` joined to the inputs' backward one."""
        states = torch.stack(self._propagate(graphs, backward=False), 1)
        state = states[torch.arange(len(graphs), device=states.device), graphs.num_nodes - 1]
        if not self.config.bidirectional:
            return state
        states = self._propagate(graphs, backward=True)
        back = states[0]
        if self.shape.num_inputs > 1:  # a virtual node before them, as section 3.1 has it
            ids = range(self.shape.num_inputs) if self.config.vertex_ids else [None] * self.shape.num_inputs
            sent = sum(self.backward_messages(states[node], position) for node, position in enumerate(ids))
            kind = torch.full((len(graphs),), self._types - 1, device=back.device)
            back = self.backward_cell(self._one_hot(kind), sent)
        return self.unify(torch.cat([state, back], 1))

    def encode(self, graphs: GraphBatch) -> torch.Tensor:
        """(B, latent): the mean of the approximate posterior."""
        return self.mean(self._posterior(graphs))

    latent_mean = encode

    def posterior(self, graphs: GraphBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and standard deviations (B, latent)."""
        state = self._posterior(graphs)
        return self.mean(state), (0.5 * self.log_variance(state)).exp()

    def loss(self, graphs: GraphBatch) -> torch.Tensor:
        """Negative log-likelihood of types and edges by teacher forcing, plus the weighted KL divergence; a graph's
        sums, averaged over the batch.
        """
        state = self._posterior(graphs)
        mean, log_variance = self.mean(state), self.log_variance(state)
        latent = mean + torch.randn_like(mean) * (0.5 * log_variance).exp() * self.config.noise
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        return (self._reconstruction(latent, graphs) + self.config.kl_weight * divergence) / len(graphs)

    def _reconstruction(self, latent: torch.Tensor, graphs: GraphBatch) -> torch.Tensor:
        """Summed negative log-likelihood of all nodes after the inputs and of their edges."""
        inputs, size = self.shape.num_inputs, self.shape.max_nodes
        decoder, types, used = _Decoder(self, latent), self._one_hot(graphs.types), graphs.used
        total = latent.new_zeros(())
        for node in range(inputs, size):
            if node < size - 1:  # the last node that fits is the output, without a choice
                target = torch.where(used[:, node], graphs.types[:, node] - inputs, -1)
                total = total + F.cross_entropy(decoder.type_logits(), target, ignore_index=-1, reduction="sum")
            logits = decoder.true_edges(types[:, node], graphs.adjacency[:, :node, node])
            targets = graphs.adjacency[:, :node, node].flip(1)
            loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
            total = total + (loss * used[:, node]).sum()
        return total

    def decode(self, latent: torch.Tensor, generator: torch.Generator | None = None) -> GraphBatch:
        """Graphs of latent vectors (B, latent), node by node (section 3.2).

        A new node's type is chosen, then its edges from the nodes before it, the nearest first, its state anew after
        each. The last node that fits is the output, and the output has an edge from every operation without another.

        Args:
            generator: draw from the predicted distributions with it; without one the most probable is taken.
        """
        count, inputs, size = len(latent), self.shape.num_inputs, self.shape.max_nodes
        decoder = _Decoder(self, latent)
        types = torch.full((count, size), self.shape.no_node, device=latent.device)
        types[:, :inputs] = torch.arange(inputs, device=latent.device)
        adjacency, num_nodes = latent.new_zeros(count, size, size), torch.zeros_like(types[:, 0])
        for node in range(inputs, size):
            logits, going = decoder.type_logits(), num_nodes == 0
            if generator is None:
                chosen = logits.argmax(1)
            else:
                chosen = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
            chosen = chosen + inputs if node < size - 1 else torch.full_like(chosen, self.shape.output)
            edges = decoder.choose_edges(self._one_hot(chosen), generator)
            ends = chosen == self.shape.output
            loose = ~adjacency[:, :node].any(2)
            loose[:, :inputs] = False
            edges = torch.where(ends[:, None] & loose, 1.0, edges)
            types[:, node] = torch.where(going, chosen, self.shape.no_node)
            adjacency[:, :node, node] = edges * going[:, None]
            num_nodes = torch.where(going & ends, node + 1, num_nodes)
            if bool((num_nodes > 0).all()):
                break
        return GraphBatch(types, adjacency, num_nodes)


class _Decoder:
    """The states of graphs that grow by a node at a time."""

    def __init__(self, model: DVaeModel, latent: torch.Tensor):
        self.model = model
        self.start = torch.tanh(model.start(latent))  # h_0
        self.edge_start = model.edge_start(self.start)
        self.sent: dict[int, torch.Tensor] = {}
        self.edge_from: dict[int, torch.Tensor] = {}
        for node in range(model.shape.num_inputs):
            kind = torch.full((len(latent),), node, device=latent.device)
            self._add(model.decoder_cell(self._at(model._one_hot(kind)), self.start))

    def _at(self, types: torch.Tensor) -> torch.Tensor:
        """Types (B, ·) beside the position of the next node, one-hot: without it, nodes that do the same to the same
        nodes would be one to what is decided after them.
        """
        position = types.new_zeros(len(types), self.model.shape.max_nodes)
        position[:, len(self.sent)] = 1
        return torch.cat([types, position], 1)

    def _add(self, state: torch.Tensor) -> None:
        node, self.last = len(self.sent), state
        self.sent[node] = self.model.decoder_messages(state, node)
        self.edge_from[node] = self.model.edge_from(state) + self.edge_start

    def type_logits(self) -> torch.Tensor:
        """(B, V − inputs): of the next node's type, by the state of the last one and h_0."""
        return self.model.next_type(torch.cat([self.last, self.start], 1))

    def _edge_logits(self, before: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        return self.model.edge_score(F.relu(before + self.model.edge_to(state)))[..., 0]

    def true_edges(self, types: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """Add a node whose edges (B, v) are known; logits (B, v) of each, the nearest node's first."""
        count, node = edges.shape
        nearest_first = range(node - 1, -1, -1)
        sent = torch.stack([self.sent[u] for u in nearest_first], 1) * edges.flip(1)[:, :, None]
        received = F.pad(sent.cumsum(1), (0, 0, 1, 0))  # (B, v + 1, hidden): before each choice, and after all
        states = self.model.decoder_cell(self._at(types).repeat_interleave(node + 1, 0), received.flatten(0, 1))
        states = states.view(count, node + 1, -1)
        before = torch.stack([self.edge_from[u] for u in nearest_first], 1)
        logits = self._edge_logits(before, states[:, :-1])
        self._add(states[:, -1])
        return logits

    def choose_edges(self, types: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """Add a node, its edges drawn or the most probable; (B, v) of 0 and 1."""
        received, chosen, types = torch.zeros_like(self.start), [], self._at(types)
        state = self.model.decoder_cell(types, received)
        for node in range(len(self.sent) - 1, -1, -1):
            logits = self._edge_logits(self.edge_from[node], state)
            if generator is None:
                edge = (logits > 0).to(state.dtype)
            else:
                edge = torch.bernoulli(torch.sigmoid(logits), generator=generator)
            chosen.append(edge)
            received = received + edge[:, None] * self.sent[node]
            state = self.model.decoder_cell(types, received)
        self._add(state)
        return torch.stack(chosen[::-1], 1)


def _gather(sent: dict[int, torch.Tensor], edges: torch.Tensor, size: int) -> torch.Tensor:
    """(B, size): Σ_u edges[:, u] · sent[u] over the nodes that have sent."""
    if not sent:
        return edges.new_zeros(len(edges), size)
    nodes = list(sent)
    return torch.bmm(edges[:, None, nodes], torch.stack([sent[node] for node in nodes], 1))[:, 0]
