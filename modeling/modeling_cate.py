"""CATE: a Transformer over the nodes of a neural architecture whose attention mask is the graph's reachability
(Yan et al., "CATE: Computation-aware Neural Architecture Encoding with Transformers", ICML 2021).

B architectures, L positions (nodes and padding), D hidden size, H heads, V token ids.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .configuration_cate import CateConfig
from .graph_features_cate import (
    NUM_NODE_FEATURES,
    identity,
    longest_paths,
    node_features,
    nodes_of_paths,
    reachability,
    relations,
)
from .layers_cate import CateAttention, CateHead, CateLayer, CatePooler, CateRelationBias, additive, dropout
from .losses_cate import masked_operation_loss, pairwise_ranking_loss, statistics_loss
from .wiring_cate import CateWiring


@dataclass
class CateModelOutput(BaseModelOutputWithPooling):
    """
    Args:
        last_hidden_state: (B, L, D), one state a node.
        pooler_output: (B, config.encoding_size), the encoding.
        statistics: (B, S) predicted statistics of the computation, standardised, in the order of config.statistics;
            None in a model without them.
        hidden_states, attentions: of each layer, where asked for.
    """

    statistics: torch.Tensor | None = None


class CatePreTrainedModel(PreTrainedModel):
    """What the models share: their configuration, the layers, and how weights start."""

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
        elif isinstance(module, CateRelationBias):
            init.zeros_(module.biases)
        elif isinstance(module, CatePooler):
            init.zeros_(module.shift)
            init.ones_(module.scale)
        elif isinstance(module, CateWiring):
            init.copy_(module.of_counts, module.sketch())
            init.zeros_(module.of_parts)
            init.zeros_(module.shift)
        elif isinstance(module, CateForSequenceClassification) and module.config.label_transforms is not None:
            init.copy_(module.label_numbers, torch.tensor([[1.0], [0.0], [1.0]]).expand_as(module.label_numbers))


class CateModel(CatePreTrainedModel):
    """Encodes one architecture, as drawn: adjacency and operations in, one vector a node and one an architecture out.

    Nodes on no path to the output count; `cate_hf.load_encoder(...).encode` leaves them out first.
    """

    # AutoModel loads the encoder out of a pre-training checkpoint; the rest of that checkpoint is not missed.
    _keys_to_ignore_on_load_unexpected = [r"^cross_", r"^segment_embeddings", r"^head\.", r"^members\."]

    def __init__(self, config: CateConfig):
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            CateLayer(config, config.intermediate_size, config.edge_bias) for _ in range(config.num_hidden_layers)
        )
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.node_features = None
        if config.node_features:
            self.node_features = nn.Sequential(
                nn.Linear(NUM_NODE_FEATURES, config.hidden_size),
                nn.ReLU(),
                nn.Linear(config.hidden_size, config.hidden_size),
            )
        self.relation_bias = CateRelationBias(config) if config.relation_buckets else None
        self.pooler = CatePooler(config) if config.pooling == "mean_output_sum" else None
        self.wiring = CateWiring(config) if config.wiring_dim else None
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The embeddings of operations."""
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module):
        """Replace the embeddings of operations."""
        self.embeddings = value

    def attention_masks(
        self, adjacency: torch.Tensor, attention_mask: torch.Tensor, descendants: torch.Tensor, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """From adjacency (B, L, L), attention_mask (B, L) and the closure (B, L, L): the additive mask
        (B, 1 or H, L, L) that lets each node see what the configuration says, and the direct edges (B, 1 or H, L, L)
        in the same orientation.
        """
        config = self.config
        edges = adjacency.to(dtype) if config.edge_bias else None
        eye = identity(adjacency)
        if config.attention_direction == "all":  # edges count in both directions
            descendants = (~eye).expand_as(adjacency)
            edges = edges + edges.transpose(1, 2) if edges is not None else None
        if config.attention_direction in ("descendants", "all"):
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
        if config.attend_to_self:
            visible = visible | eye
        if not config.padding_is_visible:
            visible = visible & attention_mask.bool()[:, None, None, :]
            visible = visible | (eye & ~visible.any(-1, keepdim=True))  # nobody is left with nothing to see
        return additive(visible, dtype), edges

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        adjacency: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs,
    ) -> CateModelOutput:
        """
        Args:
            input_ids: (B, L) operation ids.
            attention_mask: (B, L), 1 on real nodes; by default all are real.
            adjacency: (B, L, L), 1 where an edge goes from node i to node j > i.
            inputs_embeds: (B, L, D) in place of input_ids; scaled like them.

        Returns last_hidden_state (B, L, D), pooler_output (B, config.encoding_size), the architecture's encoding, and
        the statistics that it predicts.
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
        longest = nodes_of_paths(adjacency, self.config.max_nodes)
        if self.config.relation_buckets:
            related, reach = relations(adjacency, self.config.relation_buckets, longest)
        else:
            reach = reachability(adjacency, longest)
        features: Any = None
        if self.node_features is not None or self.wiring is not None:
            features = node_features(adjacency, attention_mask, reach, longest)  # (B, L, F)
        if self.node_features is not None:
            states = states + self.node_features(features.to(self.node_features[0].weight.dtype))
        states = dropout(states, self.config.hidden_dropout_prob, self.training)
        mask, edges = self.attention_masks(adjacency, attention_mask, reach, states.dtype)
        masks = [mask] * len(self.layers)
        if self.relation_bias is not None:
            masks = self.relation_bias(related, mask)  # (layers, B, H, L, L)
        with_attentions = bool(kwargs.get("output_attentions", self.config.output_attentions))
        for layer, layer_mask in zip(self.layers, masks, strict=True):
            states = layer(states, layer_mask, edges, with_attentions)
        states = self.norm(states)
        encoding, statistics = self.pool(states, attention_mask)
        if self.wiring is not None:
            if input_ids is None and inputs_embeds is not None:  # the operations that the embeddings are nearest to
                input_ids = torch.cdist(inputs_embeds.float(), self.embeddings.weight.float()).argmin(-1)
            wiring = self.wiring(input_ids, attention_mask, adjacency, longest_paths(features), encoding)
            encoding = torch.cat([encoding, wiring.to(encoding.dtype)], dim=-1)
        return CateModelOutput(last_hidden_state=states, pooler_output=encoding, statistics=statistics)

    def pool(self, states: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(B, L, D) → encoding and predicted statistics: what `CatePooler` makes, the mean over real nodes, or the last
        position (the paper's).
        """
        if self.pooler is not None:
            return self.pooler(states, attention_mask)
        if self.config.pooling == "last":
            return states[:, -1], None
        weights = attention_mask.to(states.dtype).unsqueeze(-1)  # (B, L, 1)
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1), None


@dataclass
class CateForPreTrainingOutput(ModelOutput):
    """
    Args:
        loss: weighted sum of the two parts below.
        masked_loss: label-smoothed KL divergence over the masked nodes of X and Y, divided by their number.
        statistics_loss: smooth L1 of the predicted statistics, divided by the number of those that are known.
        logits: (B, L, V) masked-operation scores of X; None where masked operations have no weight.
        pair_logits: (B, L, V) those of Y.
        statistics: (M, S) predicted statistics.
        hidden_states, attentions: of the cross encoder, over the L + L positions of the pair.
    """

    loss: torch.Tensor | None = None
    masked_loss: torch.Tensor | None = None
    statistics_loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    pair_logits: torch.Tensor | None = None
    statistics: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


class CateForPreTraining(CatePreTrainedModel):
    """The pair model: X and Y through one encoder, their outputs with segment embeddings through a cross encoder in
    which every node sees every other, and a head that predicts the masked operations of both. Beside it, statistics of
    whole architectures, unmasked, that are predicted from their encodings.
    """

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
        """The layer that scores masked operations."""
        return self.head.decoder

    def set_output_embeddings(self, value: nn.Module):
        """Replace the layer that scores masked operations."""
        self.head.decoder = value

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        adjacency: torch.Tensor | None = None,
        pair_input_ids: torch.Tensor | None = None,
        pair_attention_mask: torch.Tensor | None = None,
        pair_adjacency: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        pair_labels: torch.Tensor | None = None,
        statistics_input_ids: torch.Tensor | None = None,
        statistics_attention_mask: torch.Tensor | None = None,
        statistics_adjacency: torch.Tensor | None = None,
        statistics_labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        num_statistics_in_batch: torch.Tensor | int | None = None,
        **kwargs,
    ) -> CateForPreTrainingOutput:
        """
        Args:
            input_ids, attention_mask, adjacency: X, (B, L), (B, L) and (B, L, L); pair_...: Y, padded to the same L.
            labels, pair_labels: (B, L), the original ids of masked nodes and -100 elsewhere.
            statistics_input_ids, ...: M architectures as they are, padded to L; statistics_labels: (M, S),
                standardised, in the order of the configuration's statistics, NaN where one is not known.
            num_items_in_batch, num_statistics_in_batch: what the summed losses are divided by in place of the numbers
                of masked nodes and of known statistics here (the global numbers in distributed or accumulated
                training).
        """
        parts = []
        with_pairs = bool(self.config.masked_loss_weight) and input_ids is not None
        if with_pairs:
            assert input_ids is not None
            assert pair_input_ids is not None
            batch, length = input_ids.shape
            if pair_input_ids.shape != input_ids.shape:
                raise ValueError(
                    f"X and Y must be padded to one length: {tuple(input_ids.shape)} and {tuple(pair_input_ids.shape)}"
                )
            parts += [(input_ids, attention_mask, adjacency), (pair_input_ids, pair_attention_mask, pair_adjacency)]
        if statistics_input_ids is not None:
            parts.append((statistics_input_ids, statistics_attention_mask, statistics_adjacency))
        if not parts:
            raise ValueError("give pairs, where masked_loss_weight is not 0, or statistics_input_ids, or both")
        ids, mask, graphs = (torch.cat(part) for part in zip(*parts, strict=True))  # one pass of the encoder for all
        encoded = self.cate(
            input_ids=ids,
            attention_mask=mask,
            adjacency=graphs,
            output_hidden_states=False,
            output_attentions=False,
        )
        output = CateForPreTrainingOutput()
        losses = []
        if with_pairs:
            real = torch.cat([attention_mask, pair_attention_mask], dim=1)  # (B, 2L)
            states = encoded.last_hidden_state[: 2 * batch]
            with_attentions = bool(kwargs.get("output_attentions", self.config.output_attentions))
            logits = self.cross_encode(states, real, with_attentions)  # (B, 2L, V)
            output.logits, output.pair_logits = logits.split(length, dim=1)
            if labels is not None and pair_labels is not None:
                total, count = masked_operation_loss(logits, torch.cat([labels, pair_labels], 1), self.config)
                divisor = count.clamp(min=1) if num_items_in_batch is None else num_items_in_batch
                output.masked_loss = total / divisor
                losses.append(self.config.masked_loss_weight * output.masked_loss)
        if statistics_input_ids is not None and encoded.statistics is not None:
            output.statistics = encoded.statistics[-len(statistics_input_ids) :]
            if statistics_labels is not None:
                total, count = statistics_loss(output.statistics, statistics_labels)
                divisor = count.clamp(min=1) if num_statistics_in_batch is None else num_statistics_in_batch
                output.statistics_loss = total / divisor
                losses.append(self.config.statistics_loss_weight * output.statistics_loss)
        output.loss = sum(losses) if losses else None
        return output

    def cross_encode(self, states: torch.Tensor, real: torch.Tensor, output_attentions: bool = False) -> torch.Tensor:
        """States of B Xs, then of their Ys (2B, L, D), and which of a pair's positions are nodes (B, 2L), to the scores
        of operations (B, 2L, V): X's positions, then Y's.
        """
        batch, length = len(states) // 2, states.shape[1]
        segments = self.segment_embeddings.weight[:2]  # (2, D)
        if self.config.embedding_scale:
            segments = segments * self.config.hidden_size**0.5
        states = states.view(2, batch, length, -1)
        segments = segments.to(states.dtype).view(2, 1, 1, -1).expand_as(states)
        states = states + dropout(segments, self.config.hidden_dropout_prob, self.training)
        states = states.transpose(0, 1).reshape(batch, 2 * length, -1)  # (B, 2L, D)
        visible = real.bool()[:, None, None, :]  # (B, 1, 1, 2L)
        if self.config.padding_is_visible:
            visible = torch.ones_like(visible)
        mask = additive(visible, states.dtype).expand(-1, -1, 2 * length, -1)
        for layer in self.cross_layers:
            states = layer(states, mask, None, output_attentions)
        return self.head(self.cross_norm(states))


class CateMember(nn.Module):
    """An encoder and a head of its own, of an ensemble."""

    def __init__(self, config: CateConfig):
        super().__init__()
        self.cate = CateModel(config)
        self.dense = nn.Linear(config.encoding_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)


class CateForSequenceClassification(CatePreTrainedModel):
    """Predicts `num_labels` numbers from an architecture's encoding; with one label, its accuracy. With several
    members it is their mean, mapped back to the labels' units where the configuration says how.
    """

    def __init__(self, config: CateConfig):
        if config.problem_type not in (None, "regression"):
            raise ValueError(f"problem_type must be 'regression', for labels are numbers, not {config.problem_type!r}")
        config.problem_type = "regression"  # pipelines would put one number through a sigmoid
        super().__init__(config)
        self.num_labels = config.num_labels
        self.cate = CateModel(config)
        self.dense = nn.Linear(config.encoding_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.members = nn.ModuleList(CateMember(config) for _ in range(config.num_members - 1))
        if config.label_transforms is not None:  # factor, offset and unit of each label
            self.register_buffer("label_numbers", torch.tensor([[1.0], [0.0], [1.0]]).repeat(1, config.num_labels))
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
        mean of log(1 + exp(-(s_i - s_j))) over the pairs of the batch with label i above label j. hidden_states and
        attentions are the first member's.
        """
        outputs = self.cate(input_ids, attention_mask, adjacency, inputs_embeds=inputs_embeds, **kwargs)
        logits = self._scores(self, outputs.pooler_output)  # (B, num_labels)
        for member in self.members:
            encoding = member.cate(input_ids, attention_mask, adjacency, inputs_embeds=inputs_embeds).pooler_output
            logits = logits + self._scores(member, encoding)
        logits = self._to_labels(logits / self.config.num_members)
        loss = None
        if labels is not None:
            labels = labels.to(logits.dtype).view_as(logits)
            loss = nn.functional.mse_loss(logits, labels)
            if self.config.ranking_loss_weight:
                loss = loss + self.config.ranking_loss_weight * pairwise_ranking_loss(logits, labels)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )

    def _scores(self, member: nn.Module, encoding: torch.Tensor) -> torch.Tensor:
        """(B, E) → (B, num_labels) by a member's head."""
        hidden = torch.relu(member.dense(encoding.to(member.dense.weight.dtype)))
        return member.classifier(dropout(hidden, self.config.hidden_dropout_prob, self.training))

    def _to_labels(self, scores: torch.Tensor) -> torch.Tensor:
        if self.config.label_transforms is None:
            return scores
        factor, offset, unit = self.label_numbers.to(scores.dtype)  # (num_labels,) each
        labels = []
        for x, transform in zip((scores * factor + offset).unbind(-1), self.config.label_transforms, strict=True):
            if transform == "log-error":
                x = -torch.expm1(-x.clamp(min=0))
            labels.append(torch.exp(x) if transform == "log" else x)
        return torch.stack(labels, dim=-1) * unit


__all__ = ["CateForPreTraining", "CateForSequenceClassification", "CateModel", "CateModelOutput", "CatePreTrainedModel"]
