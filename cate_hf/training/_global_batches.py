"""The global batches of a run: each a function of (settings, step), so that any number of processes draw the same."""

from collections.abc import Iterator

import numpy as np

from cate_hf.training._batches import IdRange, TokenArrays, cut, training_batches
from cate_hf.training._statistics_targets import StatisticsTargets, statistics_batch
from cate_hf.training.settings import PretrainSettings


def global_batches(
    settings: PretrainSettings,
    tokens: TokenArrays,
    pairs: np.ndarray,
    ranges: IdRange,
    targets: StatisticsTargets | None,
    start: int,
    stop: int,
    length_multiple: int = 0,
) -> Iterator[dict[str, np.ndarray]]:
    """The model's inputs of steps start .. stop - 1: masked pairs where masked operations have a weight, and
    architectures with statistics where those have one.

    Args:
        length_multiple: of the positions of a batch, see `training_batches`.
    """
    if settings.masked_weight:
        batches = training_batches(
            tokens, pairs, ranges, settings.batch_size, settings.seed, start, stop, length_multiple
        )
    else:
        batches = ({} for _ in range(start, stop))
    for step, batch in enumerate(batches, start):
        if targets is not None:
            rng = np.random.default_rng([settings.seed, 6, step])
            some = statistics_batch(tokens, targets, settings.statistics_batch_size, rng)
            batch |= cut(some, length_multiple) if length_multiple else some
        yield batch
