"""Figures of searches."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._files import atomic_output
from cate_hf.search._units import percentage_points

if TYPE_CHECKING:
    from cate_hf.predictor import Predictor

__all__ = ["draw_front", "draw_regret"]

# Told apart by colour-blind readers, and in grey by their dashes; where there are more, colour and dashes pair anew.
_COLOURS = ("#1b6ca8", "#d1495b", "#5b8c5a", "#8d5a97", "#c98a1b", "#3aa6a6", "#6b4f3a")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))
_LEGEND_INSIDE = 5  # lines; a longer legend stands beside the axes


def draw_regret(
    results: Mapping[str, dict], file: str | os.PathLike, overwrite: bool = False, measure: str = "regret"
) -> None:
    """Mean regret by number of queries, with a band of one standard error, one line a search.

    Args:
        results: label -> what `run_search` returned, of one benchmark and field.
        file: its suffix chooses the format.
        measure: "regret", or "best_so_far" where the best possible is not known.

    Raises:
        ValueError: a search whose best possible value is not known, or no search at all.
        OSError: the file exists and `overwrite` is false, or cannot be written.
    """
    from matplotlib.figure import Figure

    if not results:
        raise ValueError("a figure of regret needs at least one search")
    beside = len(results) > _LEGEND_INSIDE
    figure = Figure(figsize=(8.6 if beside else 6.4, 4.2), layout="constrained")
    axis = figure.add_subplot()
    first = next(iter(results.values()))
    percent, words = percentage_points(
        first["report_field"], [trial for result in results.values() for trial in result["trials"]]
    )
    lowest = np.inf
    for i, (label, result) in enumerate(results.items()):
        colour, line = _COLOURS[i % len(_COLOURS)], _DASHES[i % len(_DASHES)]
        if measure == "regret" and result["best_possible"] is None:
            raise ValueError(f"{label}: the best possible value is not known, so there is no regret")
        values = percent * np.array([trial[measure] for trial in result["trials"]])
        mean = values.mean(axis=0)
        error = values.std(axis=0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.zeros_like(mean)
        queries = np.arange(1, len(mean) + 1)
        name = f"{label} ({len(values)} trials)"
        axis.plot(queries, mean, color=colour, linestyle=line, linewidth=1.6, label=name)
        axis.fill_between(queries, np.maximum(mean - error, 0), mean + error, color=colour, alpha=0.18, linewidth=0)
        lowest = min(lowest, mean[mean > 0].min(initial=np.inf))
    if measure == "regret":
        axis.set_yscale("log")
        if np.isfinite(lowest):
            axis.set_ylim(bottom=lowest / 2)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if measure == "regret":  # 2 and 5 of each decade, as plain numbers
        axis.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "25" else "")
    axis.set_xlabel("architectures queried")
    unit = "" if not words else ", percentage points" if measure == "regret" else ", %"
    name = measure.replace("_", " ")
    axis.set_ylabel(name + unit)
    axis.set_title(f"{first['space']}: {name} of {first['reported']}", fontsize=9, wrap=True)
    axis.grid(alpha=0.3, which="both", linewidth=0.5)
    place = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)} if beside else {}
    axis.legend(frameon=False, fontsize=8 if beside else 9, **place)
    with atomic_output(file, overwrite) as temporary:
        figure.savefig(temporary, dpi=160)


def draw_front(
    predictor: "Predictor", proposals: Any, targets: Sequence[str], file: str | os.PathLike, overwrite: bool = False
) -> None:
    """Two predicted labels of what `propose` gave, with their deviations, and of the architectures that were labelled
    the labels.

    Raises:
        FileExistsError, OSError: the file exists and `overwrite` is false, or cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.add_subplot()
    first, second = targets
    if predictor.labels is not None:
        labels = predictor.labels.columns
        axis.scatter(labels[second], labels[first], s=12, color="#b0b0b0", label="labelled")
    mean, deviation = ([proposals.columns[f"{kind}:{name}"] for name in targets] for kind in ("predicted", "deviation"))
    axis.errorbar(
        mean[1],
        mean[0],
        deviation[0],
        deviation[1],
        "o",
        color=_COLOURS[0],
        markersize=4,
        linewidth=0.8,
        label="proposed",
    )
    axis.set_xlabel(second)
    axis.set_ylabel(first)
    axis.legend()
    with atomic_output(file, overwrite) as temporary:
        figure.savefig(temporary, dpi=130)
