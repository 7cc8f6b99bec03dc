"""Members and trees as one prediction: weights, scale and uncertainty from predictions of labels that were held out."""

from dataclasses import dataclass

import numpy as np

_WEIGHTS = np.linspace(0, 1, 11)
_SPREADS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_KEPT = 200
NORMAL = 0.6826894921370859
"""The probability that a normal variable is within one standard deviation."""


@dataclass(frozen=True)
class Combination:
    """Of one target, in standardised units: mean = shift + Σ weights · parts, deviation² = noise² + (spread · v)² with v
    the deviation among trees.

    Attributes:
        weights: (P,) of the parts: the members' mean, then the trees' mean, those that there are.
        held_out: (Q,) ascending |residual| / deviation of labels held out, by which intervals are made.
    """

    weights: np.ndarray
    shift: float
    noise: float
    spread: float
    held_out: np.ndarray

    @classmethod
    def fit(cls, parts: np.ndarray, deviations: np.ndarray, wanted: np.ndarray, true: np.ndarray) -> "Combination":
        """From labels that were held out.

        Args:
            parts: (P, m) predictions of them; deviations: (m,) among the trees.
            wanted: (m,) standardised labels, cut; true: (m,) without the cut.
        """
        scales = np.maximum(parts.std(1), 1e-6)
        if len(parts) == 1:
            share = np.ones(1)
        else:
            share = _best_share(parts / scales[:, None], wanted)
        mixed = share @ (parts / scales[:, None])
        # Of few labels the slope is drawn towards the one that keeps the spread of the labels.
        slope = _slope(mixed, wanted)
        shift = float(np.mean(wanted - slope * mixed))
        residuals = true - (shift + slope * mixed)
        noise, spread = _spread(np.clip(residuals, -4, 4), deviations)
        scaled = np.sort(np.abs(residuals) / np.sqrt(noise**2 + (spread * deviations) ** 2))
        if len(scaled) > _KEPT:  # ranks that a conformal quantile needs are kept closely enough
            scaled = np.quantile(scaled, (np.arange(_KEPT) + 1) / _KEPT)
        return cls(slope * share / scales, shift, noise, spread, scaled)

    def __call__(self, parts: np.ndarray, deviations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation (N,) of parts (P, N), standardised; the deviation before the held-out labels' factor."""
        return self.shift + self.weights @ parts, np.sqrt(self.noise**2 + (self.spread * deviations) ** 2)

    def factor(self, level: float) -> float:
        """Deviations on either side of the mean that hold a label with this probability: the conformal quantile
        (Papadopoulos et al. 2002) of the labels held out; of few labels for a high level their largest."""
        count = len(self.held_out)
        rank = int(np.ceil(level * (count + 1))) - 1
        return float(self.held_out[min(max(rank, 0), count - 1)])

    def arrays(self) -> dict[str, np.ndarray]:
        numbers = np.array([self.shift, self.noise, self.spread])
        return {"weights": self.weights.astype(np.float64), "numbers": numbers, "held_out": self.held_out}

    @classmethod
    def from_arrays(cls, arrays, parts: int, source: str) -> "Combination":
        """The inverse of `arrays`. Raises ValueError for what is no combination of that many parts."""
        found = {name: np.asarray(arrays.get(name, np.nan), np.float64) for name in ("weights", "numbers", "held_out")}
        shapes = found["weights"].shape == (parts,) and found["numbers"].shape == (3,)
        if not shapes or found["held_out"].ndim != 1 or not len(found["held_out"]):
            raise ValueError(f"{source}: its combination of members and trees is damaged")
        if not all(np.isfinite(value).all() for value in found.values()):
            raise ValueError(f"{source}: its combination of members and trees is not finite")
        return cls(found["weights"], *map(float, found["numbers"]), found["held_out"])


def _best_share(scaled: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(2,) shares of members and trees with the highest Kendall τ; few labels leave them near one half each."""
    from scipy.stats import kendalltau

    taus = np.array([kendalltau(w * scaled[0] + (1 - w) * scaled[1], wanted)[0] for w in _WEIGHTS])
    pull = 0.25 / np.sqrt(len(wanted))
    best = _WEIGHTS[int(np.argmax(np.nan_to_num(taus) - pull * (2 * _WEIGHTS - 1) ** 2))]
    return np.array([best, 1 - best])


def _slope(mixed: np.ndarray, wanted: np.ndarray) -> float:
    """Of the regression of wanted on mixed; never negative, and at least a tenth of the ratio of spreads."""
    centred = mixed - mixed.mean()
    variance = float(centred @ centred)
    if variance < 1e-12:
        return 0.0
    least = 0.1 * float(wanted.std()) / float(centred.std())
    return max(float(centred @ (wanted - wanted.mean())) / variance, least)


def _spread(residuals: np.ndarray, deviations: np.ndarray) -> tuple[float, float]:
    """The noise and the factor of the trees' deviation under which normal residuals are likeliest."""
    best = (np.inf, 1.0, 0.0)
    total = max(float(np.mean(residuals**2)), 1e-8)
    for spread in _SPREADS:
        explained = (spread * deviations) ** 2
        for noise in np.sqrt(total * np.array([0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0])):
            variance = noise**2 + explained
            cost = float(np.mean(residuals**2 / variance + np.log(variance)))
            best = min(best, (cost, float(noise), spread))
    return best[1], best[2]
