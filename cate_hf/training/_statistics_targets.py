"""What the encoding is asked to predict in pre-training: label-free statistics of each architecture's computation.

The statistics of its graph with its costs (`cate_hf.statistics.structure`), for every architecture, and those of its
network at initialisation (`cate_hf.statistics.initialisation`), for a sample of them. No accuracy is among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.spaces.mixed import MixedSpace
from cate_hf.statistics.initialisation import InitialisationSettings, initialisation, initialisation_names
from cate_hf.statistics.structure import structure, structure_names

if TYPE_CHECKING:
    from cate_hf.graphs.table import ArchitectureTable
    from cate_hf.spaces.base import Space
    from cate_hf.training._batches import TokenArrays

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
        mean, spread: (S,) float32, of the statistics in their own units: they are mean + spread × standardised. Of a
            mixed space (members, S), NaN where a member has no such statistic: each member has its own.
        groups: of what is trained on, rows and positions in `measured`, of each member of a mixed space.
    """

    names: list[str]
    structure: np.ndarray
    measured: np.ndarray
    initialisation: np.ndarray
    rows: np.ndarray
    held_out: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    groups: tuple[tuple[np.ndarray, np.ndarray], ...] = ()

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
    cells: int | Sequence[int] = 0,
    initialisations: int = 1,
    seed: int = 0,
    progress: bool = False,
) -> StatisticsTargets:
    """Statistics of a table, each standardised and cut at ±4.

    Args:
        cells: architectures whose networks are measured, at random from the table; what is measured is kept in the
            cache folder. Of a mixed space so many of each member, or a number for each.
        initialisations: of each network, which the statistics are averaged over.

    Raises:
        ValueError: networks are asked for of a space that has none; the space cannot tell the cost of a row; `cells`
            has not a number for each member.
    """
    if isinstance(space, MixedSpace):
        return _mixed_targets(space, table, cells, initialisations, seed, progress)
    if not isinstance(cells, int):
        raise ValueError(f"statistics cells: expected one number for {space.name}, not {len(cells)}")
    order = np.random.default_rng([seed, 4]).permutation(len(table))
    measured = np.sort(order[:cells])
    held_out = measured if cells else order
    # By lot among the measured, so that what is held out is held out of both kinds.
    count = min(round(HELD_OUT_SHARE * len(held_out)), MOST_HELD_OUT)
    held_out = np.random.default_rng([seed, 5]).permutation(held_out)[:count]
    if cells:
        measured = np.concatenate([held_out, np.setdiff1d(measured, held_out)])
    of_graph, names = structure(space, table), structure_names(space)
    mean = np.asarray(np.nanmean(of_graph, 0, dtype=np.float64))
    spread = np.asarray(np.nanstd(of_graph, 0, dtype=np.float64))
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
        numbers[order] = initialisation(space, table[measured[order]], settings, progress=progress)
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


def _mixed_targets(
    space: MixedSpace,
    table: "ArchitectureTable",
    cells: int | Sequence[int],
    initialisations: int,
    seed: int,
    progress: bool,
) -> StatisticsTargets:
    """Those of each member, as it has them alone, over the union of the names: standardised within the member, for what
    tells the members apart would be most of the spread else.
    """
    cells = [cells] * len(space.members) if isinstance(cells, int) else list(cells)
    if len(cells) != len(space.members):
        raise ValueError(f"statistics cells: expected a number for each of {space.name}, not {len(cells)} numbers")
    if any(cells) and not all(cells):
        raise ValueError(f"statistics cells of {space.name}: expected none at all, or some of each, not {cells}")
    of, parts, places = space.member_of(table), [], []
    for number, (member, count) in enumerate(zip(space.members, cells, strict=True)):
        rows = np.flatnonzero(of == number)
        if len(rows):
            own = table[rows].recode(member.vocabulary)
            parts.append(statistics_targets(member, own, count, initialisations, seed, progress))
            places.append(rows)
    of_graph = list(dict.fromkeys(name for part in parts for name in part.names[: part.num_structure]))
    names = of_graph + list(dict.fromkeys(name for part in parts for name in part.names[part.num_structure :]))
    column = {name: i for i, name in enumerate(names)}
    held_out = [len(part.held_out) for part in parts]
    trained = [len(part.measured) - out if any(cells) else 0 for part, out in zip(parts, held_out, strict=True)]
    # The held-out of all members first, as `StatisticsTargets.measured` wants it.
    starts = sum(held_out) + np.cumsum([0, *trained])
    graph = np.full((len(table), len(of_graph)), np.nan, np.float16)
    initial = np.full((int(starts[-1]) if any(cells) else 0, len(names) - len(of_graph)), np.nan, np.float32)
    measured = np.empty(len(initial), np.int64)
    mean, spread = np.full((2, len(parts), len(names)), np.nan, np.float32)
    groups, first = [], 0
    for number, (part, rows) in enumerate(zip(parts, places, strict=True)):
        at = np.array([column[name] for name in part.names])
        mean[number, at], spread[number, at] = part.mean, part.spread
        graph[np.ix_(rows, at[: part.num_structure])] = part.structure
        positions = np.arange(starts[number], starts[number] + trained[number])
        if any(cells):
            to = np.concatenate([np.arange(first, first + held_out[number]), positions])
            measured[to] = rows[part.measured]
            initial[np.ix_(to, at[part.num_structure :] - len(of_graph))] = part.initialisation
        first += held_out[number]
        groups.append((rows[part.rows].astype(np.int32), positions))
    return StatisticsTargets(
        names,
        graph,
        measured,
        initial,
        np.sort(np.concatenate([rows for rows, _ in groups])),
        np.concatenate([rows[part.held_out] for part, rows in zip(parts, places, strict=True)]),
        mean,
        spread,
        tuple(groups),
    )


def statistics_batch(
    tokens: "TokenArrays", targets: StatisticsTargets, size: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The model's inputs of `size` architectures and their labels, half of them (rounded down) among the measured.

    They are mixed, so that each share of a batch has about as many of both. Of a mixed space there are as many of each
    member.
    """
    first = min(len(targets.held_out), len(targets.measured))
    groups = targets.groups or ((targets.rows, np.arange(first, len(targets.measured))),)
    shares = np.diff(np.linspace(0, size, len(groups) + 1).astype(int))
    rows, measured = [], []
    for (own, trained), share in zip(groups, shares, strict=True):
        count = share // 2 if len(trained) else 0
        measured.append(trained[rng.integers(0, max(len(trained), 1), count)])
        rows.append(own[rng.integers(0, len(own), share - count)])
    mixed = rng.permutation(size)
    return _inputs(tokens, targets, np.concatenate(rows), np.concatenate(measured), mixed)


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
