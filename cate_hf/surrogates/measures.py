"""How well numbers are predicted: the measures that predictors and encodings are judged by."""

import numpy as np

__all__ = ["measures"]

TOP_SHARE = 0.01


def measures(predicted: np.ndarray, true: np.ndarray, higher_is_better: bool = True) -> dict[str, float]:
    """Return Kendall τ, Spearman's ρ, root mean squared error, and of the best hundredth by prediction the share that
    belongs to the truly best hundredth.

    A correlation is 0 where all predictions, or all labels, are equal: nothing is ranked then.

    Args:
        predicted, true: (n,) numbers.
        higher_is_better: whether the highest are the best.
    """
    from scipy.stats import kendalltau, spearmanr

    equal = np.ptp(predicted) == 0 or np.ptp(true) == 0
    count = max(1, round(TOP_SHARE * len(true)))
    sign = -1.0 if higher_is_better else 1.0
    best = set(np.argsort(sign * true, kind="stable")[:count].tolist())
    chosen = set(np.argsort(sign * predicted, kind="stable")[:count].tolist())
    return {
        "kendall_tau": 0.0 if equal else float(kendalltau(predicted, true)[0]),
        "spearman": 0.0 if equal else float(spearmanr(predicted, true)[0]),
        "rmse": float(np.sqrt(np.mean((predicted - true) ** 2))),
        "precision_at_1_percent": len(best & chosen) / count,
    }
