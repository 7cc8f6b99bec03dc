"""A Gaussian process, exact, with its hyper-parameters set by the marginal likelihood (Rasmussen and Williams,
"Gaussian Processes for Machine Learning", 2006, chapters 2 and 5).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cate_hf.core._parallel import over_chunks
from cate_hf.surrogates.network import standard

__all__ = ["GaussianProcess", "screening_means"]

_ROOT5 = 5**0.5
# Logarithms of length scale (in median distances), signal variance and noise variance (in variances of the targets).
_START = (0.0, 0.0, float(np.log(0.1)))
_BOUNDS = ((-4.0, 4.0), (-6.0, 6.0), (-14.0, 3.0))
_JITTERS = (0.0, 1e-10, 1e-8, 1e-6, 1e-4)  # relative to the signal's variance, tried in turn
_ENTRIES = 2**18  # of covariances with the data at a time: they stay in the processor's cache


@dataclass(frozen=True)
class GaussianProcess:
    """Matérn 5/2 covariance of the distance in L2, constant mean, Gaussian noise. float64 throughout.

    Attributes:
        logs: logarithms of length scale (over the median distance of the data), signal and noise variance.
        inputs: (n, D); factor: (n, n) lower Cholesky factor of their covariance; weights: (n,) its inverse applied to
            the standardised targets.
        length: the length scale; signal, noise: variances of the standardised targets.
        target_mean, target_scale: of the targets.
    """

    logs: list[float]
    inputs: np.ndarray
    factor: np.ndarray
    weights: np.ndarray
    length: float
    signal: float
    noise: float
    target_mean: float
    target_scale: float

    @classmethod
    def fit(
        cls, inputs: np.ndarray, targets: np.ndarray, start: Sequence[float] | None = None, optimize: bool = True
    ) -> "GaussianProcess":
        """Inputs (n, D), targets (n,), n at least 1; start: `logs` to search from, or to take as they are."""
        from scipy.linalg import cho_solve
        from scipy.optimize import minimize

        inputs, targets = np.asarray(inputs, np.float64), np.asarray(targets, np.float64)
        mean, scale = standard(targets)
        y = (targets - mean) / scale
        distances = np.sqrt(_squared_distances(inputs, inputs))
        np.fill_diagonal(distances, 0)
        apart = distances[distances > 0]
        unit = float(np.median(apart)) if len(apart) else 1.0

        def negative_evidence(logs: np.ndarray) -> tuple[float, np.ndarray]:
            length, signal, noise = np.exp(logs)
            scaled = _ROOT5 / (unit * length) * distances
            decay = np.exp(-scaled)
            correlation = (1 + scaled + scaled**2 / 3) * decay
            factor = _cholesky(signal * correlation, noise, signal)
            weights = cho_solve((factor, True), y)
            inverse = cho_solve((factor, True), np.eye(len(y)))
            evidence = -0.5 * y @ weights - np.log(np.diag(factor)).sum()
            sensitivity = np.outer(weights, weights) - inverse  # twice the derivative by each covariance
            by_length = signal * scaled**2 * (1 + scaled) / 3 * decay
            gradient = 0.5 * np.array(
                [
                    np.vdot(sensitivity, by_length),
                    signal * np.vdot(sensitivity, correlation),
                    noise * np.trace(sensitivity),
                ]
            )
            return -evidence, -gradient

        logs = np.clip(_START if start is None else start, *np.transpose(_BOUNDS))
        if optimize:
            logs = minimize(negative_evidence, logs, jac=True, method="L-BFGS-B", bounds=_BOUNDS).x
        length, signal, noise = np.exp(logs)
        factor = _cholesky(signal * _correlation(distances, unit * length), noise, signal)
        weights = cho_solve((factor, True), y)
        return cls(
            logs.tolist(), inputs, factor, weights, float(unit * length), float(signal), float(noise), mean, scale
        )

    def _covariance(self, inputs: np.ndarray) -> np.ndarray:
        """(N, n) with the data."""
        distances = _squared_distances(np.asarray(inputs, np.float64), self.inputs)
        return _correlation(np.sqrt(distances, out=distances), self.length, self.signal)

    def mean(self, inputs: np.ndarray) -> np.ndarray:
        """(n,) means, as `predict` gives them; inputs (n, D)."""
        return self._covariance(inputs) @ self.weights * self.target_scale + self.target_mean

    def predict(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (n,) and standard deviation (n,) of new observations, in the units of the targets; inputs (n, D)."""
        from scipy.linalg import solve_triangular

        covariance = self._covariance(inputs)
        explained = solve_triangular(self.factor, covariance.T, lower=True)
        variance = self.signal - np.einsum("in,in->n", explained, explained)
        deviation = np.sqrt(np.maximum(variance, 0) + self.noise)
        return covariance @ self.weights * self.target_scale + self.target_mean, deviation * self.target_scale

    def upper_bounds(self, inputs: np.ndarray, longest: float) -> tuple[np.ndarray, np.ndarray]:
        """(N,) upper bounds of mean and standard deviation; inputs (N, D).

        The mean is exact but for rounding. What all data explain of the variance is at least what the most correlated
        point of them explains alone.
        """
        mean, deviation = np.empty(len(inputs)), np.empty(len(inputs))
        rounding = 1e-12 * (1 + self.signal * np.abs(self.weights).sum())

        def bound(rows: slice) -> None:
            covariance = self._covariance(inputs[rows])
            mean[rows] = covariance @ self.weights
            variance = self.signal - covariance.max(1) ** 2 / (self.signal + self.noise)
            deviation[rows] = np.sqrt(np.maximum(variance, 0) + self.noise)

        over_chunks(bound, len(inputs), max(64, _ENTRIES // len(self.inputs)))
        mean = (mean + rounding) * self.target_scale + self.target_mean
        return mean, deviation * (self.target_scale * (1 + 1e-9))


def screening_means(processes: "Sequence[GaussianProcess]", inputs: np.ndarray) -> np.ndarray:
    """(P, N) float32 standardised means of processes on the same data, to float32's rounding: enough to tell which of
    many are worth an exact prediction. Distances are computed once for all of them.

    Args:
        inputs: (N, D) float32.
    """
    data = processes[0].inputs.astype(np.float32)
    centre = data.mean(0)
    data = data - centre
    norms = np.einsum("nd,nd->n", data, data)
    weights = [process.weights.astype(np.float32) for process in processes]
    result = np.empty((len(processes), len(inputs)), np.float32)

    def fill(rows: slice) -> None:
        part = inputs[rows] - centre
        distances = part @ (-2 * data.T)
        distances += np.einsum("nd,nd->n", part, part)[:, None]
        distances += norms
        np.sqrt(np.maximum(distances, 0, out=distances), out=distances)
        for process, weight, mean in zip(processes, weights, result, strict=True):
            mean[rows] = _correlation(distances, process.length, process.signal) @ weight

    over_chunks(fill, len(inputs), max(64, 2 * _ENTRIES // len(data)))
    return result


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, n) in float64, by a product, from the data's mean: not below 0."""
    centre = b.mean(0)
    a, b = a - centre, b - centre
    squared = a @ (-2 * b.T)
    squared += np.einsum("nd,nd->n", a, a)[:, None]
    squared += np.einsum("nd,nd->n", b, b)
    return np.maximum(squared, 0, out=squared)


def _correlation(distances: np.ndarray, length: float, signal: float = 1.0) -> np.ndarray:
    """Signal times the Matérn 5/2 correlation."""
    scaled = distances * (_ROOT5 / length)
    decay = np.exp(-scaled)
    polynomial = scaled * (signal / 3)
    polynomial += signal
    polynomial *= scaled
    polynomial += signal
    return np.multiply(polynomial, decay, out=polynomial)


def _cholesky(covariance: np.ndarray, noise: float, signal: float) -> np.ndarray:
    """Lower factor of covariance + noise, with as little more on the diagonal as makes it succeed."""
    for jitter in _JITTERS:
        try:
            return np.linalg.cholesky(covariance + (noise + jitter * signal) * np.eye(len(covariance)))
        except np.linalg.LinAlgError:
            continue
    raise ValueError("the covariance of the data cannot be factored; are the encodings sound?")
