"""How good a predictor is on architectures that it has not seen."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.predictor.targets import as_columns
from cate_hf.surrogates.measures import measures

if TYPE_CHECKING:
    from cate_hf.predictor.model import Predictor

__all__ = ["report"]


def report(
    predictor: "Predictor",
    architectures: Any,
    values: "Mapping[str, Any] | Any",
    features: np.ndarray | None = None,
    progress: bool = False,
    parts: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure a predictor on N labelled architectures that it was not fitted to.

    Args:
        predictor: what is measured.
        architectures: N, as `Predictor.predict` takes them.
        values: (N,) labels, or name -> (N,) of several.
        features: (N, F) that `predictor.features` gave for them, where they are at hand.
        progress: draw a progress bar.
        parts: what `predictor.parts` gave for them, where it is at hand.

    Returns:
        label -> {"rows", what `measures` gives, "coverage_50", "coverage_90"}: the share of labels within the intervals
        of that probability, also of those below the lower hinge ("..._low": further than three interquartile ranges
        below the lower quartile, as of trainings that diverged; "low" says how many) and of the others ("..._normal").
    """
    table = predictor.table(architectures)
    columns = as_columns(values, len(table))
    if parts is None:
        means, deviations = predictor.standardised(table, features, progress)
    else:
        means, deviations = predictor.combined(*parts)
    found = {}
    for i, (target, combination) in enumerate(zip(predictor.targets, predictor.combinations, strict=True)):
        true = columns[target.name]
        low, high = np.quantile(true, [0.25, 0.75])
        fallen = true < low - 3 * (high - low) if target.higher_is_better else true > high + 3 * (high - low)
        mean, deviation = means[i], deviations[i]
        result: dict[str, Any] = {"rows": len(true)} | measures(target.inverse(mean), true, target.higher_is_better)
        for level in (0.5, 0.9):
            half = deviation * combination.factor(level)
            inside = (true >= target.inverse(mean - half)) & (true <= target.inverse(mean + half))
            name = f"coverage_{round(100 * level)}"
            result[name] = float(inside.mean())
            for kind, rows in (("normal", ~fallen), ("low", fallen)):
                result[f"{name}_{kind}"] = float(inside[rows].mean()) if rows.any() else None
        result["low"] = int(fallen.sum())
        found[target.name] = result
    return found
