"""A Gaussian process on the features of labelled architectures, for its mean."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cate_hf.core._parallel import over_chunks
from cate_hf.surrogates.gp import GaussianProcess

__all__ = ["MultiTargetGaussianProcess"]

_CHUNK = 2048
_OPTIMIZED = 400
_MOST = 5.0  # standard deviations of the labelled architectures' features


@dataclass(frozen=True)
class MultiTargetGaussianProcess:
    """One Gaussian process (`cate_hf.surrogates.gp`) a target, on standardised features.

    Attributes:
        mean, scale: (F,) float64 of the labelled architectures' features.
        targets: T processes on the same inputs.
    """

    mean: np.ndarray
    scale: np.ndarray
    targets: tuple[GaussianProcess, ...]

    @classmethod
    def fit(
        cls, features: np.ndarray, targets: np.ndarray, logs: "list[list[float]] | None" = None
    ) -> "MultiTargetGaussianProcess":
        """Features (n, F), targets (n, T); logs: hyper-parameters of each target, to be taken as they are.

        Of many labels the marginal likelihood is that of 400 of them: each of its steps takes a time that grows with
        the cube of their number.
        """
        features = features.astype(np.float64)
        spread = features.std(0)
        found = cls(features.mean(0), np.where(spread > 1e-6, spread, 1.0), ())
        inputs = found._inputs(features)
        if logs is None:
            few = np.random.default_rng(0).permutation(len(inputs))[:_OPTIMIZED]
            logs = [GaussianProcess.fit(inputs[few], column[few]).logs for column in targets.T]
        processes = [
            GaussianProcess.fit(inputs, column, start, optimize=False)
            for column, start in zip(targets.T, logs, strict=True)
        ]
        return replace(found, targets=tuple(processes))

    @property
    def logs(self) -> list[list[float]]:
        """Hyper-parameters of each target."""
        return [list(process.logs) for process in self.targets]

    def _inputs(self, features: np.ndarray) -> np.ndarray:
        """In float32, as they are kept."""
        return np.clip((features - self.mean) / self.scale, -_MOST, _MOST).astype(np.float32)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(N, T) float64 means; features (N, F)."""

        def part(rows: slice) -> np.ndarray:
            inputs = self._inputs(features[rows].astype(np.float64))
            return np.column_stack([process.mean(inputs) for process in self.targets])

        parts = over_chunks(part, len(features), _CHUNK)
        return np.concatenate(parts) if parts else np.empty((0, len(self.targets)))

    def arrays(self) -> dict[str, np.ndarray]:
        """What the means need."""
        numbers = [[p.length, p.signal, p.noise, p.target_mean, p.target_scale] for p in self.targets]
        return {
            "mean": self.mean,
            "scale": self.scale,
            "inputs": self.targets[0].inputs.astype(np.float32),
            "weights": np.column_stack([p.weights for p in self.targets]),
            "numbers": np.array(numbers, dtype=np.float64),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], dim: int, targets: int, source: str = "process"
    ) -> "MultiTargetGaussianProcess":
        """The inverse of `arrays`, of `dim` features; its processes give means alone.

        Raises:
            ValueError: arrays that do not fit together, or are not finite.
        """
        names = ("mean", "scale", "inputs", "weights", "numbers")
        found = {name: np.asarray(arrays.get(name, np.nan), np.float64) for name in names}
        count = len(found["inputs"]) if found["inputs"].ndim else 0
        shapes = {"mean": (dim,), "scale": (dim,), "inputs": (count, dim), "weights": (count, targets)}
        shapes["numbers"] = (targets, 5)
        fits = all(found[name].shape == shape and np.isfinite(found[name]).all() for name, shape in shapes.items())
        if not count or not fits or not (found["scale"] > 0).all() or not (found["numbers"][:, :2] > 0).all():
            raise ValueError(f"{source}: its Gaussian process is damaged")
        processes = [
            GaussianProcess([], found["inputs"], np.empty((0, 0)), weights, *map(float, numbers))
            for weights, numbers in zip(found["weights"].T, found["numbers"], strict=True)
        ]
        return cls(found["mean"], found["scale"], tuple(processes))
