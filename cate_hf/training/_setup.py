"""The model of a pre-training run, and what is set in it once it is trained."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cate_hf.modeling import CateConfig, CateForPreTraining
from cate_hf.modeling.graph_features_cate import longest_paths, node_features, reachability
from cate_hf.modeling.wiring_cate import CateWiring, wiring_counts
from cate_hf.training._evaluation import rows_at_a_time

if TYPE_CHECKING:
    from cate_hf.spaces.base import Space
    from cate_hf.training._batches import TokenArrays
    from cate_hf.training.settings import PretrainSettings

MOST_DIMENSIONS = 128  # of an encoding but for its wiring
WIRING_WEIGHT, WIRING_WEIGHT_MEASURED = 1.0, 0.15
"""Of the counts in the wiring part of an encoding, beside its other parts; the second where these have statistics of
networks at initialisation (chosen on development cells: docs/results/ablations.md)."""
_SCALE_ROWS = 8192
_MOST_COUNTS = 1024  # of nodes and edges, those that vary most
_LEAST_SPREAD = 1e-3
_LEAST_VARIANCE = 1e-7  # share of a principal component that counts


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
    if config.encoding_size - config.wiring_dim > MOST_DIMENSIONS:  # too many statistics: the learned part has them
        config = CateConfig.for_space(space, statistics=statistics, statistics_in_encoding=False, **overrides)
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
    """Set what a trained model's encoding takes from a sample of the architectures: the scale of its learned part and
    the map of its wiring."""
    rows = np.random.default_rng(0).permutation(len(tokens.input_ids))[:_SCALE_ROWS]
    set_encoding_scale(model, tokens, rows)
    if model.cate.wiring is not None:
        fit_wiring(model, tokens, rows)


@torch.no_grad()
def _in_parts(model: CateForPreTraining, tokens: "TokenArrays", rows: np.ndarray, function) -> torch.Tensor:
    """What a function of the model's inputs, in their order, gives for rows of the tokens, in double precision."""
    was_training, parts = model.training, []
    model.eval()
    size = rows_at_a_time(tokens.input_ids.shape[1])
    for start in range(0, len(rows), size):
        some = np.sort(rows[start : start + size])
        inputs = (tokens.input_ids[some].astype(np.int64), tokens.attention_mask[some], tokens.adjacency[some])
        parts.append(function(*(torch.from_numpy(array).to(model.device) for array in inputs)).double())
    model.train(was_training)
    return torch.cat(parts)


@torch.no_grad()
def set_encoding_scale(model: CateForPreTraining, tokens: "TokenArrays", rows: np.ndarray) -> None:
    """Shift and scale the learned part of the encoding to mean 0 and variance 1 over a sample of architectures."""
    pooler = model.cate.pooler
    if pooler is None or not model.config.learnt_in_encoding:
        return
    pooler.shift.zero_()
    pooler.scale.fill_(1.0)
    learnt = _in_parts(model, tokens, rows, lambda *inputs: model.cate(*inputs).pooler_output)
    learnt = learnt[:, : model.config.learnt_size]
    pooler.shift.copy_(learnt.mean(0))
    pooler.scale.copy_(1 / learnt.std(0).clamp(min=_LEAST_SPREAD))


@torch.no_grad()
def fit_wiring(model: CateForPreTraining, tokens: "TokenArrays", rows: np.ndarray) -> None:
    """Fit the map of the encoding's wiring part to a sample of architectures, without labels.

    The standardised counts of nodes and edges and the other parts of the encoding, each side of total variance 1 (the
    counts times `WIRING_WEIGHT`), are projected on their principal components, and these turned by a random rotation:
    each number then has about the same variance, so that standardising them, as predictors do, leaves distances as they
    are. Last, each number is scaled to variance 1. Where fewer components have any variance, the part becomes as short.
    """
    wiring, others = model.cate.wiring, model.config.encoding_size - model.config.wiring_dim

    def both(input_ids, attention_mask, adjacency):
        encoding = model.cate(input_ids, attention_mask, adjacency).pooler_output[:, :others]
        features = node_features(adjacency, attention_mask, reachability(adjacency))
        graph = (input_ids, attention_mask, adjacency, longest_paths(features))
        return torch.cat([encoding, wiring_counts(*graph, wiring.vocab_size, wiring.depths)], dim=-1)

    numbers = _in_parts(model, tokens, rows, both)
    mean, spread = numbers.mean(0), numbers.std(0)
    scale = torch.where(spread > _LEAST_SPREAD, 1 / spread.clamp(min=_LEAST_SPREAD), 0.0)
    measured = any(name.startswith("initialisation:") for name in model.config.statistics or ())
    weights = (1.0, WIRING_WEIGHT_MEASURED if measured else WIRING_WEIGHT)
    for part, weight in zip((scale[:others], scale[others:]), weights, strict=True):
        part *= weight * (part > 0).sum().clamp(min=1) ** -0.5
    kept = (scale[others:] > 0).nonzero().squeeze(1)
    kept = kept[spread[others:][kept].topk(min(len(kept), _MOST_COUNTS)).indices]
    columns = torch.cat([torch.arange(others), others + kept.cpu()]).to(scale.device)
    centred = (numbers - mean)[:, columns] * scale[columns]
    variances, components = torch.linalg.eigh(centred.T @ centred)
    size = min(model.config.wiring_dim, int((variances > _LEAST_VARIANCE * variances.sum()).sum()))
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn((size, size), generator=generator, dtype=torch.float64)).Q.to(components)
    whole = torch.zeros(len(scale), size, dtype=torch.float64, device=scale.device)
    whole[columns] = scale[columns, None] * (components.flip(1)[:, :size] @ turn)
    whole /= ((numbers - mean) @ whole).std(0).clamp(min=_LEAST_SPREAD)
    model.config.wiring_dim = size
    model.cate.wiring = wiring = CateWiring(model.config).to(model.device)
    wiring.of_parts.copy_(whole[:others])
    wiring.of_counts.copy_(whole[others:])
    wiring.shift.copy_(-mean @ whole)
