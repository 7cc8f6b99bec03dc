"""What a pre-training run is trained on: architectures, pairs of them, and statistics of their computation."""

from typing import TYPE_CHECKING

from cate_hf.data.pairs import build_mixed_pairs, build_pairs, default_settings, read_input, read_pairs
from cate_hf.spaces.mixed import MixedSpace
from cate_hf.training.statistics_targets import StatisticsTargets, statistics_targets

if TYPE_CHECKING:
    import numpy as np

    from cate_hf.graphs.table import ArchitectureTable
    from cate_hf.spaces.base import Space
    from cate_hf.training.settings import PretrainSettings


def training_pairs(
    settings: "PretrainSettings", space: "Space"
) -> tuple["ArchitectureTable", dict[str, "np.ndarray"], dict]:
    """The architectures, their pairs as rows (Q, 2) of the splits train and validation, and what a card says of them.

    Raises:
        ValueError: pairs of another space; an input that is not of the space; a cost that nothing has.
        OSError: a file cannot be read.
    """
    if settings.pairs is not None:
        found = read_pairs(settings.pairs)
        if found[2]["space"] != space.name:
            raise ValueError(f"{settings.pairs} holds pairs of {found[2]['space']}, not of {space.name}")
        return found
    table = None if settings.input is None else read_input(space, settings.input, settings.cost)
    if isinstance(space, MixedSpace):
        return build_mixed_pairs(space, settings.cost, table=table)
    return build_pairs(space, default_settings(space, cost=settings.cost), table=table)


def training_statistics(
    settings: "PretrainSettings", space: "Space", table: "ArchitectureTable", progress: bool = False
) -> StatisticsTargets | None:
    """The statistics that the encoding is to predict, of the rows of `table`; None where they have no weight."""
    if not settings.statistics_weight:
        return None
    return statistics_targets(
        space, table, settings.statistics_cells, settings.initialisations, settings.seed, progress=progress
    )
