"""Linear regression in which no column counts against its own correlation with the labels: of few labels, and of
columns each of which would predict them alone.
"""

from dataclasses import dataclass

import numpy as np

from cate_hf.surrogates.ridge import Ridge

__all__ = ["Shares", "SharesAndRidge"]

_NEAR = 1.0  # standard errors of a correlation behind the highest within which a column counts as good
_PRIORS = (0.3, 1.0, 3.0, 10.0, 30.0)  # how many labels the prior shares weigh
_FOLDS = 10
_SUREST = 0.995  # correlations of few labels may come out at 1


@dataclass(frozen=True)
class Shares(Ridge):
    """y = shift + x · weights, each weight of the sign of its column's correlation with y; columns are standardised.

    Non-negative least squares on the columns, turned to correlate positively, drawn towards equal shares of those that
    correlate best. How strongly is chosen by cross-validation.
    """

    @classmethod
    def fit(cls, features: np.ndarray, targets: np.ndarray) -> "Shares":
        """Features (n, F), each of spread about 1 in all architectures, not only in these; targets (n, T)."""
        features = features.astype(np.float64)
        columns = [_chosen(features, column) for column in targets.T]
        count = features.shape[1]
        shift = np.array([c for _, c in columns])
        return cls(np.zeros(count), np.ones(count), np.column_stack([w for w, _ in columns]), shift)


@dataclass(frozen=True)
class SharesAndRidge(Ridge):
    """`Shares` of the last columns, and a ridge regression of what they leave on the columns before."""

    @classmethod
    def fit(cls, features: np.ndarray, targets: np.ndarray, first: int = 0) -> "SharesAndRidge":
        """Features (n, F), the shares from column `first`; targets (n, T)."""
        shares = Shares.fit(features[:, first:], targets)
        ridge = Ridge.fit(features[:, :first], targets - shares.predict(features[:, first:]))
        mean, scale = np.concatenate([ridge.mean, shares.mean]), np.concatenate([ridge.scale, shares.scale])
        return cls(mean, scale, np.concatenate([ridge.weights, shares.weights]), ridge.shift + shares.shift)


def _chosen(inputs: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (F,) and shift for labels (n,)."""
    count = len(wanted)
    folds = np.arange(count) % min(_FOLDS, count)
    errors = np.zeros(len(_PRIORS))
    for fold in np.unique(folds):
        kept = folds != fold
        for i, (weights, shift) in enumerate(_solutions(inputs[kept], wanted[kept], _PRIORS)):
            errors[i] += np.sum((wanted[~kept] - shift - inputs[~kept] @ weights) ** 2)
    return _solutions(inputs, wanted, (_PRIORS[int(np.argmin(errors))],))[0]


def _solutions(inputs: np.ndarray, wanted: np.ndarray, priors: tuple[float, ...]) -> list[tuple[np.ndarray, float]]:
    """Weights and shift under each strength of the prior."""
    from scipy.optimize import nnls

    mean, level = inputs.mean(0), float(wanted.mean())
    centred, target = inputs - mean, wanted - level
    norms = np.sqrt((centred**2).sum(0)) * np.sqrt((target**2).sum())
    correlations = np.clip((centred.T @ target) / np.maximum(norms, 1e-9), -_SUREST, _SUREST)
    signs = np.where(correlations < 0, -1.0, 1.0)
    certainty = np.arctanh(np.abs(correlations)) * np.sqrt(max(len(wanted) - 3, 1))
    good = np.exp(-0.5 * ((certainty.max() - certainty) / _NEAR) ** 2)
    good /= good.sum()
    turned = centred * signs
    base = turned @ good
    slope = max(float(base @ target) / (float(base @ base) + 1e-9), 0.0)
    found = []
    for prior in priors:
        root = np.sqrt(prior)
        stacked = np.vstack([turned, root * np.eye(len(good))])
        weights = nnls(stacked, np.concatenate([target, root * slope * good]))[0] * signs
        found.append((weights, level - float(mean @ weights)))
    return found
