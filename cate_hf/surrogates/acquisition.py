"""Expected improvement, and the candidates that have most of it."""

from typing import Protocol

import numpy as np
from scipy.special import erfcx, log_ndtr

from cate_hf.core._parallel import over_chunks

__all__ = ["Surrogate", "log_expected_improvement", "most_expected_improvement"]

_FIRST = 64  # candidates predicted exactly to begin with
_CHUNK = 32_768
_EXACT_CHUNK = 2048
_ROUNDING = 1e-9  # relative, of a logarithm of expected improvement in float64


class Surrogate(Protocol):
    """A model whose prediction is a normal distribution."""

    def predict(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (n,) and standard deviation (n,) in float64; inputs (n, D)."""
        ...

    def upper_bounds(self, inputs: np.ndarray, longest: float) -> tuple[np.ndarray, np.ndarray]:
        """(N,) numbers that mean and deviation do not exceed, rounding included, at a fraction of the cost.

        Args:
            inputs: (N, D) float32.
            longest: no row of them is longer.
        """
        ...


def log_expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """Logarithm of E[max(f - best, 0)], f ~ N(mean, deviation²): finite where the improvement itself underflows.

    Ament et al., "Unexpected Improvements to Expected Improvement", NeurIPS 2023, equation 9.
    """
    deviation = np.maximum(np.asarray(deviation, np.float64), 1e-12)
    z = (np.asarray(mean, np.float64) - best) / deviation
    result = np.empty_like(z)
    near = z > -1
    result[near] = np.log(np.exp(-0.5 * z[near] ** 2) / np.sqrt(2 * np.pi) + z[near] * np.exp(log_ndtr(z[near])))
    far = z[~near]
    # φ(z) + zΦ(z) = φ(z) (1 - |z| √(π/2) erfcx(|z|/√2)); beyond 1e3 the bracket is 1 / z²
    with np.errstate(divide="ignore", invalid="ignore"):
        bracket = np.log1p(far * np.sqrt(np.pi / 2) * erfcx(-far / np.sqrt(2)))
    bracket = np.where(far > -1e3, bracket, -2 * np.log(-far))
    result[~near] = -0.5 * far**2 - 0.5 * np.log(2 * np.pi) + bracket
    return result + np.log(deviation)


def most_expected_improvement(
    surrogate: Surrogate, encodings: np.ndarray, free: np.ndarray, count: int, target: float, longest: float
) -> list[int]:
    """The `count` free rows with the most expected improvement over `target`, best first, ties by row.

    Exact, at a fraction of the cost of predicting all: expected improvement grows with mean and deviation, so that
    their upper bounds give one for it, and only rows whose bound reaches the `count`-th best improvement are predicted
    in float64.

    Args:
        encodings: (N, D) float32.
        free: (N,) bool.
        longest: the largest Euclidean length of a row of the encodings.
    """
    count = min(count, int(free.sum()))
    if count < 1:
        return []
    bound = _improvement_bounds(surrogate, encodings, target, longest)
    bound[~free] = -np.inf
    first = min(max(_FIRST, 4 * count), int(free.sum()))
    rows = np.argpartition(-bound, first - 1)[:first]
    improvement = log_expected_improvement(*surrogate.predict(encodings[rows]), target)
    threshold = np.partition(improvement, first - count)[first - count]
    bound[rows] = -np.inf
    rest = np.flatnonzero(bound >= threshold - _ROUNDING * abs(threshold))
    if len(rest):
        parts = over_chunks(
            lambda part: log_expected_improvement(*surrogate.predict(encodings[rest[part]]), target),
            len(rest),
            _EXACT_CHUNK,
        )
        rows, improvement = np.concatenate([rows, rest]), np.concatenate([improvement, *parts])
    return rows[np.lexsort((rows, -improvement))[:count]].tolist()


def _improvement_bounds(surrogate: Surrogate, encodings: np.ndarray, target: float, longest: float) -> np.ndarray:
    mean, deviation = surrogate.upper_bounds(encodings, longest)
    parts = over_chunks(
        lambda part: log_expected_improvement(mean[part], deviation[part], target), len(encodings), _CHUNK
    )
    return np.concatenate(parts)
