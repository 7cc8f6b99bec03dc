"""What the encoding is asked to predict in pre-training: label-free statistics of each architecture's computation.

The statistics of its graph with its costs (`cate_hf.statistics.structure`), for every architecture, and those of its
network at initialisation (`cate_hf.statistics.initialisation`), for a sample of them. No accuracy is among them.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.spaces.mixed import MixedSpace
from cate_hf.statistics.initialisation import InitialisationSettings, initialisation, initialisation_names
from cate_hf.statistics.structure import structure, structure_names

if TYPE_CHECKING:
    from cate_hf.data.batches import TokenArrays
    from cate_hf.spaces.base import Space
    from cate_hf.table import ArchitectureTable

MOST = 4.0
"""Standardised statistics are cut at ± this."""
HELD_OUT_SHARE, MOST_HELD_OUT = 0.05, 2048
_SPREAD = 1e-6  # a statistic whose standard deviation is less is the same for all


@dataclass(frozen=True)
class StatisticsTargets:
    """Standardised statistics of the N architectures of a table.

    Attributes:
        names: of the S statistics: those of the structure, then those at initialisation with that prefix.
        structure: (N, S') float16.
        measured: (M,) rows whose networks were measured, and initialisation: (M, S - S') float32, theirs.
        rows: rows that are trained on; held_out: (H,) the others; of the measured ones the first H are held out too.
        mean, spread: (S,) float32, of the statistics in their own units: they are mean + spread × standardised.
    """

    names: list[str]
    structure: np.ndarray
    measured: np.ndarray
    initialisation: np.ndarray
    rows: np.ndarray
    held_out: np.ndarray
    mean: np.ndarray
    spread: np.ndarray

    @property
    def num_structure(self) -> int:
        return self.structure.shape[1]

    def facts(self, settings) -> dict:
        """What a card says of them."""
        measured = {"initialisations": settings.initialisations} if len(self.measured) else {}
        return {"statistics": len(self.names), "statistics_cells": len(self.measured), **measured}

    def labels(self, rows: np.ndarray, measured: np.ndarray) -> np.ndarray:
        """(B, S) float32 of table rows, then of positions in `measured`; NaN where a statistic is not known."""
        labels = np.full((len(rows) + len(measured), len(self.names)), np.nan, np.float32)
        labels[:, : self.num_structure] = self.structure[np.concatenate([rows, self.measured[measured]])]
        labels[len(rows) :, self.num_structure :] = self.initialisation[measured]
        return labels


def statistics_targets(
    space: "Space",
    table: "ArchitectureTable",
    cells: int = 0,
    initialisations: int = 1,
    seed: int = 0,
    progress: bool = False,
) -> StatisticsTargets:
    """Statistics of a table, each standardised and cut at ±4.

    Args:
        cells: architectures whose networks are measured, at random from the table; what is measured is kept in the
            cache folder.
        initialisations: of each network, which the statistics are averaged over.

    Raises:
        ValueError: networks are asked for of a space that has none; the space cannot tell the cost of a row.
    """
    order = np.random.default_rng([seed, 4]).permutation(len(table))
    measured = np.sort(order[:cells])
    held_out = measured if cells else order
    # By lot among the measured, so that what is held out is held out of both kinds.
    count = min(round(HELD_OUT_SHARE * len(held_out)), MOST_HELD_OUT)
    held_out = np.random.default_rng([seed, 5]).permutation(held_out)[:count]
    if cells:
        measured = np.concatenate([held_out, np.setdiff1d(measured, held_out)])
    of_graph, names = _of_graph(space, table)
    mean, spread = np.nanmean(of_graph, 0, dtype=np.float64), np.nanstd(of_graph, 0, dtype=np.float64)
    kept = spread > _SPREAD
    names = [name for name, keep in zip(names, kept, strict=True) if keep]
    mean, spread = mean[kept], spread[kept]
    standardised = np.empty((len(table), len(names)), np.float16)
    for column, source in enumerate(np.flatnonzero(kept)):  # one at a time: a float64 copy of all would be large
        standardised[:, column] = np.clip((of_graph[:, source] - mean[column]) / spread[column], -MOST, MOST)
    of_network = np.empty((0, 0), np.float32)
    if cells:
        order = np.argsort(measured)
        settings = InitialisationSettings(initialisations=initialisations)
        numbers = np.empty((len(measured), len(initialisation_names())), np.float32)
        numbers[order] = _at_initialisation(space, table[measured[order]], settings, progress)
        # The mean and spread of extreme values say little: those of the middle 98 % do.
        low, high = np.quantile(numbers, [0.01, 0.99], axis=0)
        middle = np.clip(numbers, low, high)
        kept = middle.std(0) > _SPREAD
        mean, spread = np.append(mean, middle.mean(0)[kept]), np.append(spread, middle.std(0)[kept])
        names += [f"initialisation:{n}" for n, keep in zip(initialisation_names(), kept, strict=True) if keep]
        at = slice(standardised.shape[1], None)
        of_network = np.clip((numbers[:, kept] - mean[at]) / spread[at], -MOST, MOST).astype(np.float32)
    rows = np.setdiff1d(np.arange(len(table)), held_out).astype(np.int32)
    return StatisticsTargets(
        names, standardised, measured, of_network, rows, held_out, mean.astype(np.float32), spread.astype(np.float32)
    )


def _of_graph(space: "Space", table: "ArchitectureTable") -> tuple[np.ndarray, list[str]]:
    """Statistics (N, S') of the structure, and their names. Of a mixed space those of all members; NaN where an
    architecture's member does not have one."""
    if not isinstance(space, MixedSpace):
        return structure(space, table), structure_names(space)
    names = list(dict.fromkeys(name for member in space.members for name in structure_names(member)))
    numbers = np.full((len(table), len(names)), np.nan, np.float32)
    of = space.member_of(table)
    for number, member in enumerate(space.members):
        rows, columns = np.flatnonzero(of == number), [names.index(name) for name in structure_names(member)]
        numbers[np.ix_(rows, columns)] = structure(member, table[rows].recode(member.vocabulary))
    return numbers, names


def _at_initialisation(
    space: "Space", table: "ArchitectureTable", settings: InitialisationSettings, progress: bool
) -> np.ndarray:
    """(M, T) statistics at initialisation; of a mixed space, by the network of each one's member."""
    if not isinstance(space, MixedSpace):
        return initialisation(space, table, settings, progress=progress)
    numbers = np.empty((len(table), len(initialisation_names())), np.float32)
    of = space.member_of(table)
    for number, member in enumerate(space.members):
        rows = np.flatnonzero(of == number)
        if len(rows):
            some = table[rows].recode(member.vocabulary)
            numbers[rows] = initialisation(member, some, settings, progress=progress)
    return numbers


def statistics_batch(
    tokens: "TokenArrays", targets: StatisticsTargets, size: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The model's inputs of `size` architectures and their labels, half of them (rounded down) among the measured.

    They are mixed, so that each share of a batch has about as many of both.
    """
    trained = len(targets.measured) - len(targets.held_out)
    count = size // 2 if trained > 0 else 0
    measured = len(targets.held_out) + rng.integers(0, max(trained, 1), count)
    rows = targets.rows[rng.integers(0, len(targets.rows), size - count)]
    mixed = rng.permutation(size)
    return _inputs(tokens, targets, rows, measured, mixed)


def held_out_batches(tokens: "TokenArrays", targets: StatisticsTargets, size: int = 1024):
    """Batches of what is held out, as `statistics_batch` gives them."""
    for start in range(0, len(targets.held_out), size):
        some = np.arange(start, min(start + size, len(targets.held_out)))
        if len(targets.measured):
            yield _inputs(tokens, targets, targets.rows[:0], some, slice(None))
        else:
            yield _inputs(tokens, targets, targets.held_out[some], some[:0], slice(None))


def _inputs(tokens, targets: StatisticsTargets, rows: np.ndarray, measured: np.ndarray, mixed) -> dict[str, np.ndarray]:
    at = np.concatenate([rows, targets.measured[measured]])[mixed]
    return {
        "statistics_input_ids": tokens.input_ids[at].astype(np.int64),
        "statistics_attention_mask": tokens.attention_mask[at],
        "statistics_adjacency": tokens.adjacency[at],
        "statistics_labels": targets.labels(rows, measured)[mixed],
    }
