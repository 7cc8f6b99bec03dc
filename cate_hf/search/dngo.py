"""DNGO (Snoek et al., "Scalable Bayesian Optimization Using Deep Neural Networks", ICML 2015): a tanh network, and
Bayesian linear regression on its last hidden layer."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import erfcx, log_ndtr

UNITS = 128
EPOCHS = 30
BATCH = 10
LEARNING_RATE = 1e-2
_CHUNK = 16384  # candidates at a time: their activations stay in the processor's cache


@dataclass
class BayesianLinearRegression:
    """y = φ·w + noise with w ~ N(0, 1/alpha) and noise of precision beta, both set by the marginal likelihood
    (Bishop, "Pattern Recognition and Machine Learning", sections 3.3 and 3.5). float64 throughout.

    Attributes:
        mean: (K,) posterior mean of the weights.
        root: (K, K) with root @ root.T their posterior covariance.
    """

    alpha: float
    beta: float
    mean: np.ndarray
    root: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, targets: np.ndarray) -> "BayesianLinearRegression":
        """features (n, K), targets (n,)."""
        features, targets = np.asarray(features, np.float64), np.asarray(targets, np.float64)
        gram, projected = features.T @ features, features.T @ targets
        eigenvalues, vectors = np.linalg.eigh(gram)
        eigenvalues = np.maximum(eigenvalues, 0.0)
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

        bounds = [(-10.0, 15.0), (-5.0, 15.0)]
        start = np.array([0.0, np.log(100.0)])
        alpha, beta = np.exp(minimize(negative_evidence, start, jac=True, method="L-BFGS-B", bounds=bounds).x)
        # By the eigenvectors, which never fail; a Cholesky factor of a nearly singular precision may.
        precision = alpha + beta * eigenvalues
        return cls(alpha, beta, vectors @ (beta * rotated / precision), vectors / np.sqrt(precision))


class Dngo:
    """The surrogate of CATE-DNGO-LS, fitted afresh to each round's data.

    Args:
        layers: hidden layers of 128 tanh units (the public DNGO implementations have 3).
    """

    def __init__(self, layers: int = 3, seed: int = 0):
        self.layers, self.seed = layers, seed

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> "Dngo":
        """inputs (n, D), targets (n,), n at least 1."""
        rng = np.random.default_rng(self.seed)
        inputs, targets = np.asarray(inputs, np.float32), np.asarray(targets, np.float64)
        self.input_mean = inputs.mean(0)
        self.input_scale = np.where(inputs.std(0) > 1e-8, inputs.std(0), 1.0).astype(np.float32)
        self.target_mean, spread = targets.mean(), targets.std()
        self.target_scale = spread if spread > 1e-12 else 1.0
        x = (inputs - self.input_mean) / self.input_scale
        y = ((targets - self.target_mean) / self.target_scale).astype(np.float32)
        self.weights = _train(x, y, self.layers, rng)
        hidden = x
        for weight, bias in self.weights:
            hidden = np.tanh(hidden @ weight + bias)
        features = np.column_stack([hidden, np.ones(len(hidden))])
        self.regression = BayesianLinearRegression.fit(features, (targets - self.target_mean) / self.target_scale)
        return self

    @torch.inference_mode()
    def predict(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (N,) and standard deviation (N,), float32, in the units of the targets. inputs (N, D) float32."""
        scale = torch.from_numpy(self.input_scale)
        first_weight, first_bias = (torch.from_numpy(a) for a in self.weights[0])
        first_weight = first_weight / scale[:, None]  # normalising the inputs becomes part of the first layer
        first_bias = first_bias - torch.from_numpy(self.input_mean) @ first_weight
        layers = [
            (first_weight, first_bias),
            *((torch.from_numpy(w), torch.from_numpy(b)) for w, b in self.weights[1:]),
        ]
        root = torch.from_numpy(self.regression.root.astype(np.float32))  # φᵀ S φ = |φᵀ C|² with S = C Cᵀ
        mean = torch.from_numpy(self.regression.mean.astype(np.float32))
        means, variances = torch.empty(len(inputs)), torch.empty(len(inputs))
        for start in range(0, len(inputs), _CHUNK):
            part = slice(start, start + _CHUNK)
            hidden = torch.from_numpy(inputs[part])
            for weight, bias in layers:
                hidden = torch.addmm(bias, hidden, weight).tanh_()
            means[part] = hidden @ mean[:-1] + mean[-1]
            variances[part] = (hidden @ root[:-1] + root[-1]).square_().sum(1)
        deviation = (variances + 1.0 / self.regression.beta).sqrt_() * self.target_scale
        return (means * self.target_scale + self.target_mean).numpy(), deviation.numpy()


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


def _train(x: np.ndarray, y: np.ndarray, layers: int, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Squared error, Adam, written out: at batches of 10 a framework's overhead is most of the time."""
    sizes = [x.shape[1], *[UNITS] * layers, 1]
    # torch's default initialisation of linear layers, as the public implementations have it.
    shapes = list(itertools.pairwise(sizes))
    count = sum((a + 1) * b for a, b in shapes)
    flat = np.concatenate([rng.uniform(-(a**-0.5), a**-0.5, (a + 1) * b) for a, b in shapes]).astype(np.float32)
    gradient, first, second = (np.zeros(count, np.float32) for _ in range(3))

    def views(array: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        result, at = [], 0
        for a, b in shapes:
            result.append((array[at : at + a * b].reshape(a, b), array[at + a * b : at + (a + 1) * b]))
            at += (a + 1) * b
        return result

    weights, gradients = views(flat), views(gradient)
    step = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(x))
        for start in range(0, len(x), BATCH):
            rows = order[start : start + BATCH]
            activations = [x[rows]]
            for weight, bias in weights[:-1]:
                activations.append(np.tanh(activations[-1] @ weight + bias))
            output = activations[-1] @ weights[-1][0][:, 0] + weights[-1][1][0]
            delta = (2.0 / len(rows) * (output - y[rows])).astype(np.float32)[:, None]
            for layer in range(layers, -1, -1):
                np.matmul(activations[layer].T, delta, out=gradients[layer][0])
                delta.sum(0, out=gradients[layer][1])
                if layer:
                    delta = (delta @ weights[layer][0].T) * (1 - activations[layer] ** 2)
            step += 1
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient * gradient - second)
            rate = LEARNING_RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            flat -= np.float32(rate) * first / (np.sqrt(second) + np.float32(1e-8))
    return [(w.copy(), b.copy()) for w, b in weights[:-1]]
