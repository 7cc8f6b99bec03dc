"""CATE: a Transformer over the nodes of a neural architecture whose attention mask is the graph's reachability
(Yan et al., "CATE: Computation-aware Neural Architecture Encoding with Transformers", ICML 2021).

B architectures, L positions (nodes and padding), D hidden size, H heads, V token ids.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .configuration_cate import CateConfig

# Finite, and so far below any score that adding one changes nothing: where all is hidden, attention is uniform (the
# reference's -1e9 does the same).
_HIDDEN = {torch.float16: -3.0e4}
_HIDDEN_DEFAULT = -1.0e30
IGNORED_LABEL = -100


def reachability(adjacency: torch.Tensor) -> torch.Tensor:
    """Transitive closure of adjacency (B, L, L): out[b, i, j] is true when j is reachable from i. Paths double in
    length at each product, so log2(L) products are enough."""
    reach = (adjacency != 0).float()
    covered = 1
    while covered < adjacency.shape[-1] - 1:
        reach = ((reach + reach @ reach) > 0).float()
        covered *= 2
    return reach.bool()


def dropout(states: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """Dropout of any tensor. On CPU a Bernoulli draw an element took 40 % of a training step, so there the random
    numbers are 16 bits each, four from a 64-bit draw of SFC64, seeded by torch's generator. p is exact to 2^-16."""
    if not training or p == 0.0:
        return states
    if states.device.type != "cpu" or torch.compiler.is_compiling():
        return nn.functional.dropout(states, p, True)
    count = states.numel()
    seed = torch.empty((), dtype=torch.int64).random_().item()
    words = np.random.SFC64(seed).random_raw((count + 3) // 4)
    keep = torch.from_numpy(words.view(np.int16)[:count]) >= round(p * 65536) - 32768
    return states * (keep.to(states.dtype) * (1.0 / (1.0 - p))).view(states.shape)


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
    weights = torch.matmul(query, key.transpose(2, 3)) * scaling  # (B, H, L, L)
    if attention_mask is not None:
        weights = weights + attention_mask
    with torch.autocast(weights.device.type, enabled=False):  # autocast would widen the largest tensor to float32
        weights = nn.functional.softmax(weights, dim=-1)
    weights = _dropout(weights, dropout, module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights  # (B, L, H, D / H)


_dropout = dropout  # the attention interface names an argument of its own "dropout"


class CateAttention(nn.Module):
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
        self, states: torch.Tensor, attention_mask: torch.Tensor, edges: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
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
        context, weights = attention_interface(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=self.config.attention_probs_dropout_prob if self.training else 0.0,
            scaling=self.scaling,
        )
        return self.output(context.reshape(batch, length, size)), weights


class CateLayer(GradientCheckpointingLayer):
    """A pre-LayerNorm block: attention under the graph's mask, then the feed-forward network."""

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
        self, states: torch.Tensor, attention_mask: torch.Tensor, edges: torch.Tensor | None = None
    ) -> torch.Tensor:
        p, training = self.dropout_prob, self.training
        context, _ = self.attention(self.attention_norm(states), attention_mask, edges)
        states = states + dropout(context, p, training)
        expanded = self.activation(self.intermediate(self.feed_forward_norm(states)))  # (B, L, F)
        return states + dropout(self.output(dropout(expanded, p, training)), p, training)


class CatePreTrainedModel(PreTrainedModel):
    config_class = CateConfig
    config: CateConfig
    base_model_prefix = "cate"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True
    _no_split_modules = ["CateLayer"]
    _can_record_outputs = {"hidden_states": CateLayer, "attentions": OutputRecorder(CateAttention, index=1)}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=self.config.hidden_size**-0.5)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, CateAttention) and module.edge_bias is not None:
            init.zeros_(module.edge_bias)


class CateModel(CatePreTrainedModel):
    """Encodes one architecture: adjacency and operations in, one vector a node and one an architecture out."""

    # AutoModel loads the encoder out of a pre-training checkpoint; the rest of that checkpoint is not missed.
    _keys_to_ignore_on_load_unexpected = [r"^cross_", r"^segment_embeddings", r"^head\."]

    def __init__(self, config: CateConfig):
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            CateLayer(config, config.intermediate_size, config.edge_bias) for _ in range(config.num_hidden_layers)
        )
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module):
        self.embeddings = value

    def attention_masks(
        self, adjacency: torch.Tensor, attention_mask: torch.Tensor, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """From adjacency (B, L, L) and attention_mask (B, L): the additive mask (B, 1 or H, L, L) that lets each node
        see what the configuration says, and the direct edges (B, 1 or H, L, L) in the same orientation."""
        config = self.config
        descendants = reachability(adjacency)  # (B, L, L)
        edges = adjacency.to(dtype) if config.edge_bias else None
        if config.attention_direction == "descendants":
            visible = descendants.unsqueeze(1)
            edges = edges.unsqueeze(1) if edges is not None else None
        elif config.attention_direction == "ancestors":
            visible = descendants.transpose(1, 2).unsqueeze(1)
            edges = edges.transpose(1, 2).unsqueeze(1) if edges is not None else None
        else:
            half = config.num_attention_heads // 2
            up_and_down = torch.stack([descendants.transpose(1, 2), descendants], dim=1)  # (B, 2, L, L)
            visible = up_and_down.repeat_interleave(half, dim=1)  # (B, H, L, L)
            if edges is not None:
                edges = torch.stack([edges.transpose(1, 2), edges], dim=1).repeat_interleave(half, dim=1)
        eye = torch.eye(adjacency.shape[-1], dtype=torch.bool, device=adjacency.device)
        if config.attend_to_self:
            visible = visible | eye
        if not config.padding_is_visible:
            visible = visible & attention_mask.bool()[:, None, None, :]
            visible = visible | (eye & ~visible.any(-1, keepdim=True))  # nobody is left with nothing to see
        return _additive(visible, dtype), edges

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        adjacency: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs,
    ) -> BaseModelOutputWithPooling:
        """
        Args:
            input_ids: (B, L) operation ids.
            attention_mask: (B, L), 1 on real nodes; by default all are real.
            adjacency: (B, L, L), 1 where an edge goes from node i to node j > i.
            inputs_embeds: (B, L, D) in place of input_ids; scaled like them.

        Returns last_hidden_state (B, L, D) and pooler_output (B, D), the architecture's encoding.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        if adjacency is None:
            raise ValueError("adjacency (B, L, L) is required: the tokenizer returns it beside input_ids")
        states = self.embeddings(input_ids) if inputs_embeds is None else inputs_embeds  # (B, L, D)
        if adjacency.shape != (*states.shape[:2], states.shape[1]):
            raise ValueError(
                f"adjacency must be (B, L, L) for nodes {tuple(states.shape[:2])}, not {tuple(adjacency.shape)}"
            )
        if attention_mask is None:
            attention_mask = torch.ones(states.shape[:2], dtype=torch.long, device=states.device)
        if self.config.embedding_scale:
            states = states * self.config.hidden_size**0.5
        states = dropout(states, self.config.hidden_dropout_prob, self.training)
        mask, edges = self.attention_masks(adjacency, attention_mask, states.dtype)
        for layer in self.layers:
            states = layer(states, mask, edges)
        states = self.norm(states)
        return BaseModelOutputWithPooling(last_hidden_state=states, pooler_output=self.pool(states, attention_mask))

    def pool(self, states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(B, L, D) → (B, D): the mean over real nodes, or the last position (the paper's)."""
        if self.config.pooling == "last":
            return states[:, -1]
        weights = attention_mask.to(states.dtype).unsqueeze(-1)  # (B, L, 1)
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1)


@dataclass
class CateForPreTrainingOutput(ModelOutput):
    """
    Args:
        loss: label-smoothed KL divergence over the masked nodes of X and Y, divided by their number.
        logits: (B, L, V) masked-operation scores of X.
        pair_logits: (B, L, V) those of Y.
        hidden_states, attentions: of the cross encoder, over the L + L positions of the pair.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    pair_logits: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


class CateHead(nn.Module):
    """Scores of the masked operations: Linear → tanh → dropout → Linear."""

    def __init__(self, config: CateConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.dropout_prob = config.hidden_dropout_prob

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.decoder(dropout(torch.tanh(self.dense(states)), self.dropout_prob, self.training))


class CateForPreTraining(CatePreTrainedModel):
    """The pair model: X and Y through one encoder, their outputs with segment embeddings through a cross encoder in
    which every node sees every other, and a head that predicts the masked operations of both."""

    _tied_weights_keys = {"head.decoder.weight": "cate.embeddings.weight"}

    def __init__(self, config: CateConfig):
        super().__init__(config)
        self.cate = CateModel(config)
        self.segment_embeddings = nn.Embedding(config.segment_vocab_size, config.hidden_size)
        self.cross_layers = nn.ModuleList(
            CateLayer(config, config.cross_intermediate_size, edge_bias=False) for _ in range(config.num_cross_layers)
        )
        self.cross_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.head = CateHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.head.decoder

    def set_output_embeddings(self, value: nn.Module):
        self.head.decoder = value

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        adjacency: torch.Tensor,
        pair_input_ids: torch.Tensor,
        pair_attention_mask: torch.Tensor,
        pair_adjacency: torch.Tensor,
        labels: torch.Tensor | None = None,
        pair_labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> CateForPreTrainingOutput:
        """X (B, L) and its pair Y (B, L), padded to one length. labels and pair_labels (B, L) hold the original ids of
        masked nodes and -100 elsewhere. num_items_in_batch: what the summed loss is divided by in place of the number
        of masked nodes here (the global number in distributed or accumulated training)."""
        batch, length = input_ids.shape
        if pair_input_ids.shape != input_ids.shape:
            raise ValueError(
                f"X and Y must be padded to one length: {tuple(input_ids.shape)} and {tuple(pair_input_ids.shape)}"
            )
        both = torch.cat([attention_mask, pair_attention_mask])  # (2B, L)
        states = self.cate(
            input_ids=torch.cat([input_ids, pair_input_ids]),
            attention_mask=both,
            adjacency=torch.cat([adjacency, pair_adjacency]),
            output_hidden_states=False,
            output_attentions=False,
        ).last_hidden_state  # (2B, L, D)
        segments = self.segment_embeddings.weight[:2]  # (2, D)
        if self.config.embedding_scale:
            segments = segments * self.config.hidden_size**0.5
        states = states.view(2, batch, length, -1)
        segments = segments.to(states.dtype).view(2, 1, 1, -1).expand_as(states)
        states = states + dropout(segments, self.config.hidden_dropout_prob, self.training)
        states = states.transpose(0, 1).reshape(batch, 2 * length, -1)  # (B, 2L, D): X's positions, then Y's
        visible = torch.cat([attention_mask, pair_attention_mask], dim=1).bool()[:, None, None, :]  # (B, 1, 1, 2L)
        if self.config.padding_is_visible:
            visible = torch.ones_like(visible)
        mask = _additive(visible, states.dtype).expand(-1, -1, 2 * length, -1)
        for layer in self.cross_layers:
            states = layer(states, mask)
        logits, pair_logits = self.head(self.cross_norm(states)).split(length, dim=1)  # (B, L, V) each
        loss = None
        if labels is not None and pair_labels is not None:
            total, count = masked_operation_loss(
                torch.cat([logits, pair_logits], 1), torch.cat([labels, pair_labels], 1), self.config
            )
            loss = total / (count.clamp(min=1) if num_items_in_batch is None else num_items_in_batch)
        return CateForPreTrainingOutput(loss=loss, logits=logits, pair_logits=pair_logits)


def masked_operation_loss(
    logits: torch.Tensor, labels: torch.Tensor, config: CateConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed KL divergence of logits (..., V) to label-smoothed targets, and the number of nodes it sums over. The
    smoothing is spread over the operations other than the label; PAD (and with it the operation that it aliases in the
    paper preset) is never a target."""
    targets = torch.full((config.vocab_size,), 1.0, device=logits.device)
    targets[config.pad_token_id] = 0.0
    if config.num_special_ids:
        targets[config.mask_token_id] = 0.0
    others = max(int(targets.sum().item()) - 1, 1) if not torch.compiler.is_compiling() else config.vocab_size - 2
    masked = (labels != IGNORED_LABEL) & (labels != config.pad_token_id)
    log_probabilities = logits.float().log_softmax(-1)
    one_hot = nn.functional.one_hot(labels.clamp(min=0), config.vocab_size).float()
    smoothing = config.label_smoothing
    target = one_hot * (1 - smoothing) + (1 - one_hot) * targets * (smoothing / others)  # (..., V)
    divergence = (torch.xlogy(target, target) - target * log_probabilities).sum(-1)
    return (divergence * masked).sum(), masked.sum()


class CateForSequenceClassification(CatePreTrainedModel):
    """Predicts `num_labels` numbers from an architecture's encoding; with one label, its accuracy."""

    def __init__(self, config: CateConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.cate = CateModel(config)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        adjacency: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs,
    ) -> SequenceClassifierOutput:
        """labels: (B,) or (B, num_labels) numbers. The loss is the squared error, plus `ranking_loss_weight` times the
        mean of log(1 + exp(-(s_i - s_j))) over the pairs of the batch with label i above label j."""
        outputs = self.cate(input_ids, attention_mask, adjacency, inputs_embeds=inputs_embeds, **kwargs)
        hidden = torch.relu(self.dense(outputs.pooler_output))
        logits = self.classifier(dropout(hidden, self.config.hidden_dropout_prob, self.training))  # (B, num_labels)
        loss = None
        if labels is not None:
            labels = labels.to(logits.dtype).view_as(logits)
            loss = nn.functional.mse_loss(logits, labels)
            if self.config.ranking_loss_weight:
                loss = loss + self.config.ranking_loss_weight * pairwise_ranking_loss(logits, labels)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


def pairwise_ranking_loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logistic loss over the ordered pairs of scores (B, K) that labels (B, K) rank; 0 without any such pair."""
    margins = scores.unsqueeze(1) - scores.unsqueeze(0)  # (B, B, K)
    ranked = labels.unsqueeze(1) > labels.unsqueeze(0)
    return (nn.functional.softplus(-margins) * ranked).sum() / ranked.sum().clamp(min=1)


def _additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    hidden = _HIDDEN.get(dtype, _HIDDEN_DEFAULT)
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill(~visible, hidden)


__all__ = ["CateForPreTraining", "CateForSequenceClassification", "CateModel", "CatePreTrainedModel"]
