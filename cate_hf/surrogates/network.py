"""A network with one hidden layer, trained on few points and applied to very many."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from cate_hf.core._compiled import compiled
from cate_hf.core._parallel import over_chunks

__all__ = ["Network", "Training", "fit_networks"]

CHUNK = 2048  # rows at a time: their activations stay in the processor's cache
_scratch = threading.local()
_LEAST_SPREAD = 1e-8  # an input that varies less is left as it is


@dataclass(frozen=True)
class Training:
    """How a network is trained: squared error on standardised targets, Adam with decoupled weight decay (AdamW).

    Attributes:
        activation: "tanh" or "relu".
        batch: the last batch of an epoch may be smaller.
    """

    units: int = 128
    epochs: int = 30
    batch: int = 10
    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    activation: str = "tanh"
    activations: ClassVar[tuple[str, ...]] = ("tanh", "relu")

    def __post_init__(self) -> None:
        if self.activation not in self.activations:
            raise ValueError(f"activation must be one of {', '.join(self.activations)}, not {self.activation!r}")

    def settings(self) -> dict[str, int | float]:
        """Return everything but the activation, by name."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "activation"}

    @classmethod
    def of(cls, settings: Mapping[str, Any], activation: str) -> "Training":
        """Pick the training out of all settings of a search."""
        return cls(**{name: settings[name] for name in cls().settings()}, activation=activation)


@dataclass(frozen=True)
class Network:
    """y = target_mean + target_scale · (b₂ + w₂ · f((x − input_mean) / input_scale · w₁ + b₁)).

    Attributes:
        w1, b1, w2, b2: (D, U), (U,), (U,) and () float32.
        input_mean, input_scale: (D,) float64; target_mean, target_scale: of the training data.
    """

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.float32
    input_mean: np.ndarray
    input_scale: np.ndarray
    target_mean: float
    target_scale: float
    activation: str

    @classmethod
    def fit(cls, inputs: np.ndarray, targets: np.ndarray, training: Training, seed: int) -> "Network":
        """Inputs (n, D), targets (n,), finite, n at least 1."""
        rng = np.random.default_rng(seed)
        inputs, targets = np.asarray(inputs, np.float64), np.asarray(targets, np.float64)
        mean, spread = inputs.mean(0), inputs.std(0)
        scale = np.where(spread > _LEAST_SPREAD, spread, 1.0)
        x = ((inputs - mean) / scale).astype(np.float32)
        target_mean, target_scale = standard(targets)
        y = ((targets - target_mean) / target_scale).astype(np.float32)
        width, units = x.shape[1], training.units

        def uniform(fan_in: int, *shape: int) -> np.ndarray:
            # The usual initialisation of linear layers, which the public implementations have too.
            return rng.uniform(-(fan_in**-0.5), fan_in**-0.5, shape).astype(np.float32)

        w1, b1, w2, b2 = uniform(width, width, units), uniform(width, units), uniform(units, units), uniform(units, 1)
        order = rng.permuted(np.tile(np.arange(len(x)), (training.epochs, 1)), axis=1)
        rate, decay = np.float32(training.learning_rate), np.float32(training.weight_decay)
        _train(x, y, order, w1, b1, w2, b2, training.activation == "tanh", training.batch, rate, decay)
        return cls(w1, b1, w2, b2[0], mean, scale, target_mean, target_scale, training.activation)

    def hidden(self, inputs: np.ndarray) -> np.ndarray:
        """(n, U) float64 activations of the hidden layer."""
        total = (np.asarray(inputs, np.float64) - self.input_mean) / self.input_scale @ self.w1.astype(np.float64)
        return self._activate(total + self.b1)

    def folded(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (D, U) and biases (U,) float32 of the hidden layer that take inputs as they are."""
        weight = self.w1 / self.input_scale[:, None]
        return weight.astype(np.float32), (self.b1 - self.input_mean @ weight).astype(np.float32)

    def hidden_of_chunk(self, inputs: np.ndarray, folded: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """(n, U) float32 activations, fast: inputs (n, D) float32 with n at most CHUNK. The thread's next call writes
        over them.
        """
        weight, bias = folded
        scratch = getattr(_scratch, "hidden", None)
        if scratch is None or scratch.shape[1] != len(bias):
            scratch = _scratch.hidden = np.empty((CHUNK, len(bias)), np.float32)
        hidden = np.matmul(inputs, weight, out=scratch[: len(inputs)])
        hidden += bias
        return self._activate(hidden)

    def _activate(self, total: np.ndarray) -> np.ndarray:
        """In place."""
        return np.tanh(total, out=total) if self.activation == "tanh" else np.maximum(total, 0, out=total)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """(N,) float32; inputs (N, D) float32."""
        folded = self.folded()
        scale, shift = np.float32(self.target_scale), np.float32(self.target_mean + self.b2 * self.target_scale)
        weight = self.w2 * scale
        parts = over_chunks(lambda rows: self.hidden_of_chunk(inputs[rows], folded) @ weight, len(inputs), CHUNK)
        return np.concatenate(parts) + shift if parts else np.empty(0, np.float32)


def fit_networks(inputs: np.ndarray, targets: np.ndarray, training: Training, seeds: Sequence[int]) -> list[Network]:
    """An ensemble: one network a seed, on the same data, shared among threads."""
    return over_chunks(lambda i: Network.fit(inputs, targets, training, seeds[i.start]), len(seeds), 1)


def standard(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation, 1 where the values are all the same."""
    spread = float(values.std())
    return float(values.mean()), spread if spread > 1e-12 else 1.0


@compiled(nogil=True)
def _train(x, y, order, w1, b1, w2, b2, tanh, batch, rate, decay):
    """All epochs, in place; order (epochs, n) says which rows. At batches this small a framework's overhead would be
    most of the time.
    """
    points, width = x.shape
    units = len(b1)
    one, two, epsilon = np.float32(1), np.float32(2), np.float32(1e-8)
    keep1, keep2 = np.float32(0.9), np.float32(0.999)
    hidden, delta = np.empty((batch, units), np.float32), np.empty((batch, units), np.float32)
    gradients = np.zeros((width + 2, units), np.float32)  # of w1, b1 and w2, a row each
    first, second = np.zeros_like(gradients), np.zeros_like(gradients)
    first_b2, second_b2 = np.float32(0), np.float32(0)
    step = 0
    for epoch in range(len(order)):
        for start in range(0, points, batch):
            size = min(batch, points - start)
            gradients[:] = 0
            gradient_b2 = np.float32(0)
            for i in range(size):
                row = order[epoch, start + i]
                h, d = hidden[i], delta[i]
                for j in range(units):
                    h[j] = b1[j]
                for k in range(width):
                    value, weights = x[row, k], w1[k]
                    for j in range(units):
                        h[j] += value * weights[j]
                output = b2[0]
                for j in range(units):
                    h[j] = np.tanh(h[j]) if tanh else max(h[j], np.float32(0))
                    output += h[j] * w2[j]
                error = two / np.float32(size) * (output - y[row])
                gradient_b2 += error
                for j in range(units):
                    slope = one - h[j] * h[j] if tanh else (one if h[j] > 0 else np.float32(0))
                    d[j] = error * w2[j] * slope
                    gradients[width, j] += d[j]
                    gradients[width + 1, j] += error * h[j]
                for k in range(width):
                    value, gradient = x[row, k], gradients[k]
                    for j in range(units):
                        gradient[j] += value * d[j]
            step += 1
            size_of_step = np.float32(rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step))
            shrink = one - rate * decay
            for k in range(width + 2):
                weights = w1[k] if k < width else (b1 if k == width else w2)
                g, m, v = gradients[k], first[k], second[k]
                for j in range(units):
                    m[j] = keep1 * m[j] + (one - keep1) * g[j]
                    v[j] = keep2 * v[j] + (one - keep2) * g[j] * g[j]
                    weights[j] = weights[j] * shrink - size_of_step * m[j] / (np.sqrt(v[j]) + epsilon)
            first_b2 = keep1 * first_b2 + (one - keep1) * gradient_b2
            second_b2 = keep2 * second_b2 + (one - keep2) * gradient_b2 * gradient_b2
            b2[0] = b2[0] * shrink - size_of_step * first_b2 / (np.sqrt(second_b2) + epsilon)
