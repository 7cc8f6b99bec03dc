"""The model of a pre-training run, and what is set in it once it is trained."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cate_hf.modeling import CateConfig, CateForPreTraining
from cate_hf.training._evaluation import rows_at_a_time

if TYPE_CHECKING:
    from cate_hf.spaces.base import Space
    from cate_hf.training._batches import TokenArrays
    from cate_hf.training.settings import PretrainSettings

MOST_DIMENSIONS = 128  # of an encoding, the predicted statistics included
LEAST_LEARNT = 16
"""Of an encoding's learned part; where less would be left, the encoding ends as the predicted statistics alone, or
where these are too many, as the learned part alone."""
_SCALE_ROWS = 8192
_LEAST_SPREAD = 1e-3


def pretraining_config(settings: "PretrainSettings", space: "Space", statistics: list[str] | None) -> CateConfig:
    """The model of a preset, with the settings' dropout and loss weights.

    Args:
        statistics: names of those that are predicted; None where they have no weight.
    """
    overrides: dict[str, Any] = {}
    if settings.dropout is not None:
        overrides = {"hidden_dropout_prob": settings.dropout, "attention_probs_dropout_prob": settings.dropout}
    if settings.preset == "paper":
        return CateConfig.paper(space, **overrides)
    overrides |= {"masked_loss_weight": settings.masked_weight, "statistics_loss_weight": settings.statistics_weight}
    if not settings.masked_weight:
        overrides["num_cross_layers"] = 0  # they would never be trained
    config = CateConfig.for_space(space, statistics=statistics, **overrides)
    if config.encoding_size > MOST_DIMENSIONS:
        room = MOST_DIMENSIONS - len(statistics or ())
        both = room >= LEAST_LEARNT
        overrides |= {"encoding_dim": room} if both else {"statistics_in_encoding": False}
        config = CateConfig.for_space(space, statistics=statistics, **overrides)
    return config


def freeze_unused(model: CateForPreTraining) -> None:
    """Weights that the loss does not reach are not trained: of the cross encoder without masked operations, and of the
    pooling without statistics."""
    config, unused = model.config, []
    if not config.masked_loss_weight:
        unused += [model.segment_embeddings, model.cross_layers, model.cross_norm, model.head]
    if model.cate.pooler is not None and not (config.statistics and config.statistics_loss_weight):
        unused.append(model.cate.pooler)
    for module in unused:
        module.requires_grad_(False)


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay on matrices; none on biases, those of relations included, and LayerNorm weights."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    plain = [p for name, p in named if p.ndim <= 1 or name.endswith("biases")]
    decayed = [p for name, p in named if p.ndim > 1 and not name.endswith("biases")]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def adamw(model: torch.nn.Module, settings: "PretrainSettings", fused: bool) -> torch.optim.AdamW:
    """The optimiser of a run, whose learning rate each step sets."""
    return torch.optim.AdamW(
        parameter_groups(model, settings.weight_decay),
        lr=settings.learning_rate,
        eps=settings.adam_epsilon,
        fused=fused,
    )


def finish_encoding(model: CateForPreTraining, tokens: "TokenArrays") -> None:
    """What is done to a trained model's encoding: its scale, and where there was no room for the predicted statistics
    beside the learned part, they take its place."""
    config = model.config
    if config.statistics and not config.statistics_in_encoding and len(config.statistics) <= MOST_DIMENSIONS:
        statistics_as_encoding(model)
    else:
        set_encoding_scale(model, tokens)


@torch.no_grad()
def statistics_as_encoding(model: CateForPreTraining) -> None:
    """Make the encoding the predicted statistics, which are a linear map of the learned part: both maps become one."""
    pooler = model.cate.pooler
    assert pooler is not None
    assert pooler.statistics is not None
    assert model.config.statistics is not None
    before, after = pooler.projection, pooler.statistics
    size = len(model.config.statistics)
    projection, statistics = torch.nn.Linear(before.in_features, size), torch.nn.Linear(size, size)
    projection.weight.copy_(after.weight @ before.weight)
    projection.bias.copy_(after.weight @ before.bias + after.bias)
    statistics.weight.copy_(torch.eye(size))
    statistics.bias.zero_()
    pooler.projection, pooler.statistics = projection.to(before.weight.device), statistics.to(before.weight.device)
    pooler.shift = torch.zeros_like(projection.bias)
    pooler.scale = torch.ones_like(projection.bias)
    model.config.encoding_dim = size


@torch.no_grad()
def set_encoding_scale(model: CateForPreTraining, tokens: "TokenArrays") -> None:
    """Shift and scale the learned part of the encoding to mean 0 and variance 1 over a sample of architectures."""
    pooler = model.cate.pooler
    if pooler is None:
        return
    rows = np.random.default_rng(0).permutation(len(tokens.input_ids))[:_SCALE_ROWS]
    pooler.shift.zero_()
    pooler.scale.fill_(1.0)
    was_training = model.training
    model.eval()
    parts = []
    size = rows_at_a_time(tokens.input_ids.shape[1])
    for start in range(0, len(rows), size):
        some = np.sort(rows[start : start + size])
        arrays = (tokens.input_ids[some].astype(np.int64), tokens.attention_mask[some], tokens.adjacency[some])
        inputs = [torch.from_numpy(array).to(pooler.shift.device) for array in arrays]
        parts.append(model.cate(*inputs).pooler_output[:, : model.config.learnt_size].double())
    model.train(was_training)
    learnt = torch.cat(parts)
    pooler.shift.copy_(learnt.mean(0))
    pooler.scale.copy_(1 / learnt.std(0).clamp(min=_LEAST_SPREAD))
