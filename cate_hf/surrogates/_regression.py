"""Bayesian linear regression with its two precisions set by the marginal likelihood."""

from dataclasses import dataclass

import numpy as np

_START = (0.0, float(np.log(100.0)))
_BOUNDS = ((-10.0, 15.0), (-5.0, 15.0))


@dataclass(frozen=True)
class BayesianLinearRegression:
    """y = φ·w + noise with w ~ N(0, 1/alpha) and noise of precision beta, both set by the marginal likelihood
    (Bishop, "Pattern Recognition and Machine Learning", sections 3.3 and 3.5). float64 throughout.

    Attributes:
        mean: (K,) posterior mean of the weights.
        vectors: (K, K) eigenvectors of their posterior covariance, in columns, the surest direction first.
        precisions: (K,) posterior precisions along them, descending.
    """

    alpha: float
    beta: float
    mean: np.ndarray
    vectors: np.ndarray
    precisions: np.ndarray

    @classmethod
    def fit(
        cls, features: np.ndarray, targets: np.ndarray, start: tuple[float, float] = _START
    ) -> "BayesianLinearRegression":
        """features (n, K), targets (n,); start: logarithms of alpha and beta to search from."""
        from scipy.optimize import minimize

        features, targets = np.asarray(features, np.float64), np.asarray(targets, np.float64)
        gram, projected = features.T @ features, features.T @ targets
        eigenvalues, vectors = np.linalg.eigh(gram)
        eigenvalues, vectors = np.maximum(eigenvalues[::-1], 0.0), vectors[:, ::-1]
        rotated, total, count = vectors.T @ projected, targets @ targets, len(targets)

        def negative_evidence(logs: np.ndarray) -> tuple[float, np.ndarray]:
            alpha, beta = np.exp(logs)
            precision = alpha + beta * eigenvalues  # of the weights, along the eigenvectors
            weights = beta * rotated / precision
            error = total - 2 * weights @ rotated + (weights**2) @ eigenvalues
            norm = weights @ weights
            evidence = 0.5 * (
                len(eigenvalues) * logs[0] + count * logs[1] - beta * error - alpha * norm - np.log(precision).sum()
            )
            by_alpha = 0.5 * (len(eigenvalues) - alpha * norm - (alpha / precision).sum())
            by_beta = 0.5 * (count - beta * error - (beta * eigenvalues / precision).sum())
            return -evidence, -np.array([by_alpha, by_beta])

        logs = minimize(negative_evidence, np.array(start), jac=True, method="L-BFGS-B", bounds=_BOUNDS).x
        alpha, beta = np.exp(logs)
        # By the eigenvectors, which never fail; a Cholesky factor of a nearly singular precision may.
        precision = alpha + beta * eigenvalues
        return cls(float(alpha), float(beta), vectors @ (beta * rotated / precision), vectors, precision)

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (n,) and standard deviation (n,) of new observations; features (n, K)."""
        variance = np.square(features @ self.vectors) @ (1 / self.precisions)
        return features @ self.mean, np.sqrt(variance + 1 / self.beta)
