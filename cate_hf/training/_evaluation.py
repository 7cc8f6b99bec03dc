"""How well masked operations are predicted on held-out pairs, and statistics on held-out architectures."""

import numpy as np
import torch

from cate_hf.modeling.losses_cate import masked_operation_loss
from cate_hf.training._batches import IdRange, TokenArrays, pair_batch
from cate_hf.training._statistics_targets import StatisticsTargets, held_out_batches

BATCH = 1024
_WEIGHTS = BATCH * 32**2  # of a head's attention, in a batch


def rows_at_a_time(length: int) -> int:
    """How many architectures of so many positions come at a time: memory grows by the square of their length."""
    return max(1, min(BATCH, _WEIGHTS // length**2))


@torch.inference_mode()
def evaluate(
    model, tokens: TokenArrays, pairs: np.ndarray, ranges: IdRange, seed: int, accelerator
) -> dict[str, float]:
    """Loss and accuracy over the masked nodes of `pairs` (Q, 2), X and Y apart. The masks depend on the seed alone, and
    each process takes its share of the batches.

    Returns:
        validation_loss, validation_accuracy, and the same with suffixes _x and _y; NaN where there is no pair.
    """
    was_training = model.training
    model.eval()
    sums = torch.zeros(2, 3, dtype=torch.float64)  # of X and Y: summed loss, right, masked
    size = rows_at_a_time(tokens.input_ids.shape[1])
    batches = [pairs[i : i + size] for i in range(0, len(pairs), size)]
    for index in range(accelerator.process_index, len(batches), accelerator.num_processes):
        arrays = pair_batch(tokens, batches[index], ranges, np.random.default_rng([seed, 2, index]))
        batch = {k: torch.from_numpy(v).to(accelerator.device) for k, v in arrays.items()}
        labels = [batch.pop("labels"), batch.pop("pair_labels")]
        with accelerator.autocast():
            output = model(**batch)
        for side, (logits, target) in enumerate(zip((output.logits, output.pair_logits), labels, strict=True)):
            loss, count = masked_operation_loss(logits, target, model.config)
            right = (logits.argmax(-1) == target).sum()
            sums[side] += torch.stack([loss.double(), right.double(), count.double()]).cpu()
    model.train(was_training)
    sums = accelerator.reduce(sums.to(accelerator.device), "sum").cpu()
    result = {}
    for suffix, (loss, right, count) in (("", sums.sum(0)), ("_x", sums[0]), ("_y", sums[1])):
        result[f"validation_loss{suffix}"] = (loss / count).item()
        result[f"validation_accuracy{suffix}"] = (right / count).item()
    return result


@torch.inference_mode()
def evaluate_statistics(model, tokens: TokenArrays, targets: StatisticsTargets, accelerator) -> dict[str, float]:
    """Coefficients of determination of the predicted statistics over the held-out architectures; each process takes its
    share of the batches.

    Returns:
        validation_r2_structure and, where networks were measured, validation_r2_initialisation: means over the
        statistics that differ among the held-out architectures.
    """
    was_training = model.training
    model.eval()
    sums = torch.zeros(4, len(targets.names), dtype=torch.float64)  # known, label, label², squared error
    for index, arrays in enumerate(held_out_batches(tokens, targets, rows_at_a_time(tokens.input_ids.shape[1]))):
        if index % accelerator.num_processes != accelerator.process_index:
            continue
        labels = torch.from_numpy(arrays.pop("statistics_labels")).double()
        ids, mask, adjacency = (torch.from_numpy(array).to(accelerator.device) for array in arrays.values())
        with accelerator.autocast():
            predicted = model.cate(ids, mask, adjacency).statistics.double().cpu()
        known = ~labels.isnan()
        labels = labels.nan_to_num()
        error = (predicted - labels).square() * known
        sums += torch.stack([known.double().sum(0), labels.sum(0), labels.square().sum(0), error.sum(0)])
    model.train(was_training)
    count, total, squares, error = accelerator.reduce(sums.to(accelerator.device), "sum").cpu()
    variance = squares / count - (total / count).square()
    # Of a statistic that is the same for all held-out ones there is nothing to determine.
    determined = torch.where(variance > 1e-4, 1 - error / count / variance, torch.nan)
    result = {"validation_r2_structure": determined[: targets.num_structure].nanmean().item()}
    if len(targets.measured):
        result["validation_r2_initialisation"] = determined[targets.num_structure :].nanmean().item()
    return result
