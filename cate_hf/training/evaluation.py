"""How well masked operations are predicted on held-out pairs."""

import numpy as np
import torch

from cate_hf.data.batches import IdRange, TokenArrays, pair_batch

BATCH = 1024


@torch.inference_mode()
def evaluate(
    model, tokens: TokenArrays, pairs: np.ndarray, ranges: IdRange, seed: int, accelerator, masked_operation_loss
) -> dict[str, float]:
    """Loss and accuracy over the masked nodes of `pairs` (Q, 2), X and Y apart. The masks depend on the seed alone, and
    each process takes its share of the batches.

    Returns:
        validation_loss, validation_accuracy, and the same with suffixes _x and _y; NaN where there is no pair.
    """
    was_training = model.training
    model.eval()
    sums = torch.zeros(2, 3, dtype=torch.float64)  # of X and Y: summed loss, right, masked
    batches = [pairs[i : i + BATCH] for i in range(0, len(pairs), BATCH)]
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
