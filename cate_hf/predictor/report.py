"""How good a predictor is on architectures that it has not seen."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.predictor.targets import as_columns

if TYPE_CHECKING:
    from cate_hf.predictor.model import Predictor

_TOP = 0.01


def measures(predicted: np.ndarray, true: np.ndarray, higher_is_better: bool = True) -> dict[str, float | None]:
    """Kendall τ, Spearman's ρ, root mean squared error, and of the best hundredth by prediction the share that belongs
    to the truly best hundredth. A correlation is None where all predictions, or all labels, are equal."""
    from scipy.stats import kendalltau, spearmanr

    equal = np.ptp(predicted) == 0 or np.ptp(true) == 0
    count = max(1, round(_TOP * len(true)))
    sign = -1.0 if higher_is_better else 1.0
    best = set(np.argsort(sign * true, kind="stable")[:count].tolist())
    chosen = set(np.argsort(sign * predicted, kind="stable")[:count].tolist())
    return {
        "kendall_tau": None if equal else float(kendalltau(predicted, true)[0]),
        "spearman": None if equal else float(spearmanr(predicted, true)[0]),
        "rmse": float(np.sqrt(np.mean((predicted - true) ** 2))),
        "precision_at_1_percent": len(best & chosen) / count,
    }


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
        features, parts: what `predictor.features` and `predictor.parts` gave for them, where they are at hand.

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
        result = {"rows": len(true)} | measures(target.inverse(mean), true, target.higher_is_better)
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
