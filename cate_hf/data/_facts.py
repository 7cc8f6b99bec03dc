"""What a card says of a data set, computed from the data set."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cate_hf.data._pairing import PairSettings
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces.base import Space

_LEVELS = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
_BINS = 12
_OWN_SPACES = "cate_hf.spaces."


def architecture_facts(space: Space, table: ArchitectureTable) -> dict[str, Any]:
    """Facts about the architectures of a space that a data set holds, ready for JSON.

    Args:
        table: `space.pool()`.
    """
    return {
        "space": space.name,
        "space_version": space.version,
        "architectures": len(table),
        "max_nodes": space.max_nodes,
        "max_edges": space.max_edges,
        "vocabulary": list(space.vocabulary),
        "nodes": {str(n): int(count) for n, count in enumerate(np.bincount(table.num_nodes)) if count},
        "cost_quantiles": {name: quantiles(space.costs(table, name)) for name in space.cost_names},
        "sampled": space.size is None,
        "distribution": space.distribution,
        "license": license_of(space),
    }


def pair_facts(
    space: Space, settings: PairSettings, splits: dict[str, np.ndarray], costs: np.ndarray
) -> dict[str, Any]:
    """Facts about pairs, ready for JSON.

    Args:
        settings: with the window that the pairs were made with.
        splits: split -> (P, 2) rows.
        costs: (N,) of the architectures, the cost that they were paired by.
    """
    is_first, is_second = (_marked([pairs[:, column] for pairs in splits.values()], len(costs)) for column in (0, 1))
    gaps = np.concatenate([costs[pairs[:, 0]] - costs[pairs[:, 1]] for pairs in splits.values()])
    return {
        "pairs": sum(map(len, splits.values())),
        **{f"{split}_pairs": len(pairs) for split, pairs in splits.items()},
        "without_partner": int((~is_first).sum()),
        "in_no_pair": int((~(is_first | is_second)).sum()),
        "cost_gap_quantiles": quantiles(gaps),
        "cost_histogram": histogram(costs),
        "command": _command(space, settings),
        **asdict(settings),
    }


def _marked(rows: Sequence[np.ndarray], n: int) -> np.ndarray:
    """(n,) bool: which numbers occur."""
    marked = np.zeros(n, dtype=bool)
    for some in rows:
        marked[some] = True
    return marked


def quantiles(values: np.ndarray, levels: Sequence[float] = _LEVELS) -> dict[str, float | int]:
    """{"0.5": the median, ...}: rounded down to whole numbers of whole numbers; empty of nothing."""
    if not len(values):
        return {}
    number = int if values.dtype.kind in "iu" else float
    return {str(level): number(value) for level, value in zip(levels, np.quantile(values, levels), strict=True)}


def histogram(values: np.ndarray, bins: int = _BINS) -> list[dict[str, float | int]]:
    """Counts in intervals of equal width, each with its lower bound (included) and its upper (only in the last); of few
    different values, the count of each."""
    different, counts = np.unique(values, return_counts=True)
    if len(different) <= bins:
        return [
            {"from": value.item(), "to": value.item(), "count": int(count)}
            for value, count in zip(different, counts, strict=True)
        ]
    counts, edges = np.histogram(values, bins)
    return [
        {"from": float(low), "to": float(high), "count": int(count)}
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]


def license_of(space: Space) -> str | None:
    """The package's licence for what is computed from its own spaces; that of other spaces is not known here."""
    from importlib.metadata import metadata

    if space.definition() is not None or not type(space).__module__.startswith(_OWN_SPACES):
        return None
    stated = metadata("cate_hf")
    return next(stated[name] for name in ("License-Expression", "License") if name in stated).lower()


def _command(space: Space, settings: PairSettings) -> str | None:
    """The command that makes these pairs, where its options can say all settings."""
    if settings.validation_fraction != PairSettings.validation_fraction:
        return None
    named = space.name if space.definition() is None else "space.yaml"
    where = "" if settings.where is None else f'--where "{settings.where}" '
    return (
        f"cate pairs {named} --cost {settings.cost} --window {settings.window} --partners {settings.partners} "
        f"{where}--seed {settings.seed} --output pairs"
    )
