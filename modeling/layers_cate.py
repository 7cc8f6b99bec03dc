"""The layers of CATE: attention under a mask, its biases, the pooler and the head.

B architectures, L positions (nodes and padding), D hidden size, H heads, V token ids.
"""

import contextlib
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_cate import CateConfig
from .graph_features_cate import is_exporting, num_relations

__all__ = ["eager_attention_forward"]

# Finite, and so far below any score that adding one changes nothing: where all is hidden, attention is uniform (the
# reference's -1e9 does the same).
HIDDEN = {torch.float16: -3.0e4}
HIDDEN_DEFAULT = -1.0e30
_SHORT = 32  # scores of a node, for the softmax on CPU


def dropout(states: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """Dropout of any tensor. On CPU a Bernoulli draw an element took 40 % of a training step, so there the random
    numbers are 16 bits each, four from a 64-bit draw of SFC64, seeded by torch's generator. p is exact to 2^-16.
    """
    if not training or p == 0.0:
        return states
    if states.device.type != "cpu" or torch.compiler.is_compiling():
        return nn.functional.dropout(states, p, True)
    count = states.numel()
    seed = torch.empty((), dtype=torch.int64).random_().item()
    words = np.random.SFC64(seed).random_raw((count + 3) // 4)
    keep = torch.from_numpy(words.view(np.int16)[:count]) >= round(p * 65536) - 32768
    return states * (keep.to(states.dtype) * (1.0 / (1.0 - p))).view(states.shape)


def short_softmax(scores: torch.Tensor) -> torch.Tensor:
    """Softmax over the last axis. On CPU that of torch is slow on few numbers in bfloat16, where the sums are a product
    here, and scores count as at most ±80: so there is no overflow, and where all is hidden, attention is uniform.
    """
    length = scores.shape[-1]
    if scores.device.type != "cpu" or scores.dtype != torch.bfloat16 or length > _SHORT:
        return nn.functional.softmax(scores, dim=-1)
    exponentials = scores.clamp(-80.0, 80.0).exp()
    return exponentials / torch.matmul(exponentials, exponentials.new_ones(length, length))


def without_autocast(tensor: torch.Tensor) -> contextlib.AbstractContextManager:
    """A block without autocast on the device of a tensor. The meta device, which computes nothing, has none."""
    if tensor.device.type == "meta":
        return contextlib.nullcontext()
    return torch.autocast(tensor.device.type, enabled=False)


def additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A mask of booleans as one that is added to scores, in dtype."""
    hidden = HIDDEN.get(dtype, HIDDEN_DEFAULT)
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill(~visible, hidden)


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Plain attention in torch, as transformers' attention interface calls it: output and weights (B, H, L, L)."""
    weights = torch.matmul(query, key.transpose(2, 3)) * scaling  # (B, H, L, L)
    if attention_mask is not None:
        weights = weights + attention_mask
    with without_autocast(weights):  # autocast would widen the largest tensor to float32
        weights = short_softmax(weights)
    weights = _dropout(weights, dropout, module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights  # (B, L, H, D / H)


_dropout = dropout  # the attention interface names an argument of its own "dropout"


class CateAttention(nn.Module):
    """Multi-head self-attention over the nodes, with a learnt bias for edges where `edge_bias` is true."""

    def __init__(self, config: CateConfig, edge_bias: bool):
        super().__init__()
        self.config = config
        self.num_heads = config.num_attention_heads
        self.scaling = (config.hidden_size // config.num_attention_heads) ** -0.5
        self.is_causal = False
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)
        self.edge_bias = nn.Parameter(torch.zeros(self.num_heads)) if edge_bias else None

    def forward(
        self,
        states: torch.Tensor,
        attention_mask: torch.Tensor,
        edges: torch.Tensor | None,
        output_attentions: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """States (B, L, D), additive mask (B, 1 or H, L, L) and edges (B, 1, L, L) -> output (B, L, D) and weights."""
        batch, length, size = states.shape
        qkv = self.query_key_value(states).view(batch, length, 3, self.num_heads, size // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, L, D / H)
        if self.edge_bias is not None:
            bias = self.edge_bias.to(attention_mask.dtype).view(1, -1, 1, 1)
            attention_mask = attention_mask + edges * bias  # (B, H, L, L)
        attention_mask = attention_mask.to(query.dtype)
        attention_interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        if output_attentions:  # the others do not give their weights
            attention_interface = eager_attention_forward
        context, weights = attention_interface(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=self.config.attention_probs_dropout_prob if self.training else 0.0,
            scaling=self.scaling,
        )
        if is_exporting():  # its strides are not those of other implementations
            context = context.clone(memory_format=torch.contiguous_format)
        return self.output(context.reshape(batch, length, size)), weights


class CateLayer(GradientCheckpointingLayer):
    """A pre-LayerNorm block: attention under the graph's mask, then the feed-forward network.

    `compiled`, where set, is a function of (layer, states, attention_mask, edges) that computes the same faster, or
    gives None where it cannot.
    """

    compiled: Callable | None = None

    def __init__(self, config: CateConfig, intermediate_size: int, edge_bias: bool):
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = CateAttention(config, edge_bias)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.intermediate = nn.Linear(config.hidden_size, intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.output = nn.Linear(intermediate_size, config.hidden_size)
        self.dropout_prob = config.hidden_dropout_prob

    def forward(
        self,
        states: torch.Tensor,
        attention_mask: torch.Tensor,
        edges: torch.Tensor | None = None,
        output_attentions: bool = False,
    ) -> torch.Tensor:
        """States (B, L, D) -> (B, L, D); masks as for `CateAttention`."""
        if self.compiled is not None and not output_attentions:
            result = self.compiled(self, states, attention_mask, edges)
            if result is not None:
                return result
        p, training = self.dropout_prob, self.training
        context, _ = self.attention(self.attention_norm(states), attention_mask, edges, output_attentions)
        states = states + dropout(context, p, training)
        expanded = self.activation(self.intermediate(self.feed_forward_norm(states)))  # (B, L, F)
        return states + dropout(self.output(dropout(expanded, p, training)), p, training)


class CateRelationBias(nn.Module):
    """Learned biases on the attention by how two nodes are related, for all layers at once."""

    def __init__(self, config: CateConfig):
        super().__init__()
        self.num_relations = num_relations(config.relation_buckets)
        heads = (config.num_hidden_layers, config.num_attention_heads)
        self.biases = nn.Parameter(torch.zeros(*heads, self.num_relations))

    def forward(self, related: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Related (B, L, L) and the additive mask (B, 1 or H, L, L) to the layers' masks (layers, B, H, L, L)."""
        kinds = torch.arange(self.num_relations, device=related.device)
        one_hot = (related.reshape(1, -1) == kinds.unsqueeze(1)).to(self.biases.dtype)  # (R, B L L)
        biases = self.biases.flatten(0, 1) @ one_hot  # a product: its gradient is one too, unlike that of a look-up
        biases = biases.view(*self.biases.shape[:2], *related.shape)  # (layers, H, B, L, L)
        return (biases + mask.transpose(0, 1).to(biases.dtype)).transpose(1, 2)


class CatePooler(nn.Module):
    """Nodes to an encoding: a projection of their mean, sum and the output's state, and statistics predicted from it.

    The encoding is shifted and scaled by buffers, which the end of pre-training sets so that its numbers have mean 0
    and variance 1 over the search space; the statistics are predicted from the plain projection.
    """

    def __init__(self, config: CateConfig):
        super().__init__()
        self.statistics_in_encoding = config.statistics_in_encoding
        self.learnt_in_encoding = config.learnt_in_encoding
        self.sum_scale = config.max_nodes**-0.5
        self.projection = nn.Linear(3 * config.hidden_size, config.learnt_size)
        self.statistics = nn.Linear(config.learnt_size, len(config.statistics)) if config.statistics else None
        self.register_buffer("shift", torch.zeros(config.learnt_size))
        self.register_buffer("scale", torch.ones(config.learnt_size))

    def forward(self, states: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(B, L, D) → encoding (B, E) but for its wiring, predicted statistics (B, S)."""
        states = states.to(self.projection.weight.dtype)
        weights = attention_mask.to(states.dtype).unsqueeze(-1)  # (B, L, 1)
        total, count = (states * weights).sum(1), weights.sum(1).clamp(min=1)
        output_node = (attention_mask.long().sum(1) - 1).clamp(min=0)  # the last in topological order
        output = states.gather(1, output_node.view(-1, 1, 1).expand(-1, 1, states.shape[-1])).squeeze(1)
        with without_autocast(states):  # a few numbers that decide much: in full precision
            learnt = self.projection(torch.cat([total / count, output, total * self.sum_scale], dim=-1))
            statistics = None if self.statistics is None else self.statistics(learnt)
            encoding = (learnt - self.shift) * self.scale
        if statistics is not None and self.statistics_in_encoding:
            encoding = torch.cat([encoding, statistics], dim=-1) if self.learnt_in_encoding else statistics
        return encoding, statistics


class CateHead(nn.Module):
    """Scores of the masked operations: Linear → tanh → dropout → Linear."""

    def __init__(self, config: CateConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.dropout_prob = config.hidden_dropout_prob

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """States (B, L, D) -> scores of the operations (B, L, V)."""
        return self.decoder(dropout(torch.tanh(self.dense(states)), self.dropout_prob, self.training))
