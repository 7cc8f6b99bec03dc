"""Losses of pre-training and of accuracy prediction.

V token ids, S statistics.
"""

import torch
from torch import nn

from .configuration_cate import CateConfig

__all__ = ["masked_operation_loss", "pairwise_ranking_loss"]

IGNORED_LABEL = -100


def masked_operation_loss(
    logits: torch.Tensor, labels: torch.Tensor, config: CateConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed KL divergence of logits (..., V) to label-smoothed targets, and the number of nodes it sums over. The
    smoothing is spread over the operations other than the label; PAD (and with it the operation that it aliases in the
    paper preset) is never a target.
    """
    never = {config.pad_token_id, config.mask_token_id} if config.num_special_ids else {config.pad_token_id}
    targets = torch.ones(config.vocab_size, device=logits.device)
    for unused in never:
        targets[unused] = 0.0
    others = max(config.vocab_size - len(never) - 1, 1)
    masked = (labels != IGNORED_LABEL) & (labels != config.pad_token_id)
    log_probabilities = logits.float().log_softmax(-1)
    one_hot = nn.functional.one_hot(labels.clamp(min=0), config.vocab_size).float()
    smoothing = config.label_smoothing
    target = one_hot * (1 - smoothing) + (1 - one_hot) * targets * (smoothing / others)  # (..., V)
    divergence = (torch.xlogy(target, target) - target * log_probabilities).sum(-1)
    return (divergence * masked).sum(), masked.sum()


def statistics_loss(predicted: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed smooth L1 loss of predicted (M, S) statistics, and the number of known labels, those that are not NaN."""
    known = ~labels.isnan()
    losses = nn.functional.smooth_l1_loss(predicted.float(), labels.float().nan_to_num(), reduction="none")
    return (losses * known).sum(), known.sum()


def pairwise_ranking_loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logistic loss over the ordered pairs of scores (B, K) that labels (B, K) rank; 0 without any such pair."""
    margins = scores.unsqueeze(1) - scores.unsqueeze(0)  # (B, B, K)
    ranked = labels.unsqueeze(1) > labels.unsqueeze(0)
    return (nn.functional.softplus(-margins) * ranked).sum() / ranked.sum().clamp(min=1)
