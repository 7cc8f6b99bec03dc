"""Fine-tuning of an ensemble: K encoders with a head each, trained as one batched model."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._names import unknown

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cate_hf.graphs.table import ArchitectureTable

__all__ = ["MemberSettings", "make_members", "predict_members", "train_members"]


@dataclass(frozen=True)
class MemberSettings:
    """How members are trained.

    Attributes:
        members: K.
        epochs, batch: passes over the labels and cells a step of each member; 0: by the number of labels.
        encoder_rate, head_rate: learning rates of AdamW; they rise over the first tenth of the steps and then fall to
            zero by a cosine.
        weight_decay: of all weights.
        ranking_weight, regression_weight: of the pairwise logistic ranking loss and of the smooth L1 loss beside it.
        ranking_temperature: T, of the ranking loss (`ranking_loss`): labels that are much closer than it, in spreads of
            the labels, hardly rank; 0: any difference does.
        leave_out: whether each member leaves its own part of the labels out, by which predictions are calibrated.
    """

    members: int = 3
    epochs: int = 0
    batch: int = 0
    encoder_rate: float = 1e-3
    head_rate: float = 2e-3
    weight_decay: float = 1e-2
    ranking_weight: float = 1.0
    regression_weight: float = 0.05
    ranking_temperature: float = 0.3
    leave_out: bool = True

    def for_labels(self, n: int) -> "MemberSettings":
        """With epochs and batch that suit n labels: 50 epochs in batches of 32 at 100, 25 of 128 at 4,236."""
        epochs = self.epochs or int(np.clip(round(25 * (4236 / n) ** 0.185), 15, 60))
        batch = self.batch or int(np.clip(2 ** round(math.log2(max(n, 2)) / 2 + 1.5), 16, 128))
        return MemberSettings(**(self.__dict__ | {"epochs": epochs, "batch": batch}))


def checked_training(training: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `MemberSettings` besides K, epochs and batch. Raises ValueError for others, or for numbers that they
    cannot be.
    """
    names = ("encoder_rate", "head_rate", "weight_decay", "ranking_weight", "regression_weight", "ranking_temperature")
    if not isinstance(training, Mapping):
        raise ValueError(f"training settings must be a mapping of {', '.join(names)}, not {training!r:.80}")
    for name, value in training.items():
        if name not in names:
            raise unknown("training setting", str(name), names)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"training setting {name}: expected a number from 0, not {value!r:.80}")
    settings = MemberSettings(**training)
    if not settings.ranking_weight + settings.regression_weight:
        raise ValueError("ranking_weight and regression_weight are both 0; there is nothing to learn")
    return {name: float(value) for name, value in training.items()}


def left_out(n: int, members: int, rng: np.random.Generator) -> np.ndarray:
    """(K, n) bool: which labels each member leaves out. Each is left out by at most one; a member leaves out a K-th
    part, but at least a tenth stays enough: no more than a tenth of many labels.
    """
    share = min(1 / max(members, 2), max(0.1, min(0.25, 20 / n)))
    size = max(1, int(share * n))
    order = rng.permutation(n)
    result = np.zeros((members, n), dtype=bool)
    for member in range(members):
        result[member, order[member * size : (member + 1) * size]] = True
    return result


def make_members(encoder: "nn.Module", members: int, targets: int, seed: int) -> "list[nn.Module]":
    """K `CateForSequenceClassification` with this encoder's weights and heads of their own."""
    import torch

    from cate_hf.modeling.modeling_cate import CateForSequenceClassification

    config = copy.deepcopy(encoder.config)
    config.num_labels = targets
    config.num_members, config.label_transforms = 1, None  # the encoder may be a predictor's
    found = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(members):
            model = CateForSequenceClassification(config)
            model.cate.load_state_dict(encoder.state_dict())
            found.append(model.float())
    return found


def train_members(
    models: "Sequence[nn.Module]",
    inputs: "Mapping[str, torch.Tensor]",
    targets: np.ndarray,
    absent: np.ndarray,
    settings: MemberSettings,
    seed: int,
    device: str = "cpu",
    advance: Callable[[int], None] = lambda steps: None,
) -> None:
    """Train K models in place, all in one batched computation (`torch.func.vmap` over their stacked weights), without
    dropout.

    On a CPU by one thread: operations are small, and more threads collapse where other programs want the cores. A step
    of three members takes about twice the time of one member's.

    Args:
        models: of one shape, each with its own weights.
        inputs: input_ids (n, L), attention_mask (n, L) and adjacency (n, L, L).
        targets: (n, T) standardised.
        absent: (K, n) bool: labels that a member does not see.
        settings: with epochs and batch set.
        advance: called with the number of steps done.
    """
    import torch
    from torch.func import functional_call, stack_module_state, vmap
    from torch.nn.functional import smooth_l1_loss

    models = list(models)
    for model in models:
        model.to(device).train()
        model.set_attn_implementation("eager")  # the fused one has no gradient of a learned bias under vmap
    parameters, buffers = stack_module_state(models)
    template = without_dropout(copy.deepcopy(models[0])).to("meta")
    names = ("input_ids", "attention_mask", "adjacency")
    data = [inputs[name].to(device) for name in names]
    wanted = torch.as_tensor(targets, dtype=torch.float32, device=device)

    def loss_of(weights: dict, constants: dict, *batch: "torch.Tensor") -> "torch.Tensor":
        *graph, label = batch
        scores = functional_call(template, (weights, constants), tuple(graph), {"return_dict": True}).logits
        ranking = settings.ranking_weight * ranking_loss(scores, label, settings.ranking_temperature)
        return ranking + settings.regression_weight * smooth_l1_loss(scores, label)

    batched = vmap(loss_of, randomness="different")
    head = [v for k, v in parameters.items() if not k.startswith("cate.")]
    encoder = [v for k, v in parameters.items() if k.startswith("cate.")]
    optimizer = torch.optim.AdamW(
        [{"params": encoder, "lr": settings.encoder_rate}, {"params": head, "lr": settings.head_rate}],
        weight_decay=settings.weight_decay,
    )
    order = batches(absent, settings.epochs, settings.batch, seed)  # (steps, K, B)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _warm_cosine(len(order)))
    with one_torch_thread():
        for rows in torch.from_numpy(order).to(device):
            batch = [array[rows] for array in (*data, wanted)]  # (K, B, ...) each
            batched(parameters, buffers, *batch).sum().backward()
            _clip(parameters.values())
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            advance(1)
    with torch.no_grad():
        for k, model in enumerate(models):
            model.load_state_dict({name: v[k] for name, v in (*parameters.items(), *buffers.items())}, strict=False)
            model.set_attn_implementation("sdpa")
            model.eval()


def without_dropout(model: "nn.Module") -> "nn.Module":
    """The same model. Its dropout has random numbers that vmap cannot draw; of few labels the ensemble does as much."""
    for module in model.modules():
        if hasattr(module, "dropout_prob"):
            module.dropout_prob = 0.0
        if (config := getattr(module, "config", None)) is not None:
            config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    return model


@contextmanager
def one_torch_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def ranking_loss(scores: "torch.Tensor", labels: "torch.Tensor", temperature: float) -> "torch.Tensor":
    """Pairwise logistic loss of scores (B, T) and standardised labels (B, T).

    The probability that i is above j is σ(s_i - s_j), the one it should have σ((y_i - y_j) / temperature): of labels
    with noise one that is little better need not be so the next time (RankNet: Burges et al., ICML 2005, with target
    probabilities). Of temperature 0 it is 1 for any y_i > y_j.
    """
    from torch.nn.functional import softplus

    from cate_hf.modeling.losses_cate import pairwise_ranking_loss

    if not temperature:
        return pairwise_ranking_loss(scores, labels)
    margins = scores.unsqueeze(1) - scores.unsqueeze(0)  # (B, B, T)
    wanted = ((labels.unsqueeze(1) - labels.unsqueeze(0)) / temperature).sigmoid()
    return (softplus(margins) - wanted * margins).mean()


def batches(absent: np.ndarray, epochs: int, batch: int, seed: int) -> np.ndarray:
    """(steps, K, B) rows: for each member passes in random order over the labels that it sees.

    An epoch is cut into equal batches, the last few labels of its order left over.
    """
    rng = np.random.default_rng([seed, 1])
    seen = [np.flatnonzero(~row) for row in absent]
    least = min(map(len, seen))
    steps = max(1, round(least / batch))
    size = least // steps
    passes = [
        np.stack([rng.permutation(rows)[: steps * size].reshape(steps, size) for _ in range(epochs)]) for rows in seen
    ]
    return np.stack(passes, axis=2).reshape(epochs * steps, len(seen), size)


def predict_members(
    models: "Sequence[nn.Module]",
    tokenizer: Callable,
    table: "ArchitectureTable",
    batch_size: int = 1024,
    advance: Callable[[int], None] = lambda rows: None,
) -> np.ndarray:
    """(K, N, T) float32 standardised scores of each member."""
    import torch

    from cate_hf.core._batches import run_on_cores

    targets = models[0].classifier.out_features
    scores = np.empty((len(models), len(table), targets), np.float32)
    device = next(models[0].parameters()).device

    def part(start: int) -> int:
        rows = slice(start, start + batch_size)
        batch = tokenizer(table[rows], return_tensors="pt").to(device)
        with torch.inference_mode():
            for k, model in enumerate(models):
                scores[k, rows] = model(**batch).logits.float().cpu().numpy()
        return len(batch["input_ids"])

    starts = range(0, len(table), batch_size)
    for count in run_on_cores(part, starts) if device.type == "cpu" else map(part, starts):
        advance(count)
    return scores


def _warm_cosine(steps: int) -> Callable[[int], float]:
    rise = max(1, steps // 10)

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))

    return factor


def _clip(parameters, most: float = 1.0) -> None:
    """Each member's gradient, all its weights together, to a length of at most `most`."""
    import torch

    gradients = [p.grad for p in parameters if p.grad is not None]
    squared = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0)  # (K,)
    factor = (most / squared.sqrt().clamp(min=1e-12)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.dim() - 1)))
