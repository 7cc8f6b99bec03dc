"""Ridge regression on standardised features, its penalty chosen by leaving one out."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Ridge"]

_PENALTIES = np.logspace(-1, 5, 19)
_MOST = 5.0  # standard deviations of the labelled architectures' features


@dataclass(frozen=True)
class Ridge:
    """y = shift + clip((x − mean) / scale) · weights.

    Attributes:
        mean, scale: (F,) float64 of the features that it was fitted to.
        weights: (F, T) float64; shift: (T,).
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    shift: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, targets: np.ndarray) -> "Ridge":
        """Features (n, F), targets (n, T)."""
        features = features.astype(np.float64)
        mean, spread = features.mean(0), features.std(0)
        scale = np.where(spread > 1e-6, spread, 1.0)
        inputs = np.clip((features - mean) / scale, -_MOST, _MOST)
        shift = targets.mean(0)
        left, singular, right = np.linalg.svd(inputs, full_matrices=False)
        squared, projected = singular**2, left.T @ (targets - shift)
        errors = []
        for penalty in _PENALTIES:
            kept = squared / (squared + penalty)
            leverage = left**2 @ kept + 1 / len(targets)
            residuals = targets - shift - left @ (kept[:, None] * projected)
            errors.append(np.mean((residuals / np.maximum(1 - leverage, 1e-3)[:, None]) ** 2, axis=0))
        penalties = _PENALTIES[np.argmin(errors, axis=0)]  # (T,)
        shrunk = singular[:, None] / (squared[:, None] + penalties)
        return cls(mean, scale, right.T @ (shrunk * projected), shift)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(N, T) float64; features (N, F)."""
        inputs = np.clip((features.astype(np.float64) - self.mean) / self.scale, -_MOST, _MOST)
        return inputs @ self.weights + self.shift

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that it consists of."""
        return {"mean": self.mean, "scale": self.scale, "weights": self.weights, "shift": self.shift}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], dim: int, targets: int, source: str = "ridge") -> "Ridge":
        """The inverse of `arrays`, of `dim` features. Raises ValueError for arrays that do not fit together."""
        shapes = {"mean": (dim,), "scale": (dim,), "weights": (dim, targets), "shift": (targets,)}
        found = {name: np.asarray(arrays.get(name, np.nan), np.float64) for name in shapes}
        if not all(found[name].shape == shape and np.isfinite(found[name]).all() for name, shape in shapes.items()):
            raise ValueError(f"{source}: its ridge regression is damaged")
        if not (found["scale"] > 0).all():
            raise ValueError(f"{source}: its ridge regression is damaged")
        return cls(**found)
