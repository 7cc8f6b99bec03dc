"""Members, Gaussian process and trees as one prediction: weights, scale and uncertainty, by labels held out."""

from dataclasses import dataclass

import numpy as np

_STEPS = 10  # of shares
_OF_ENSEMBLE = 0.6  # the share that members' is drawn towards
_SPREADS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_KEPT = 200
NORMAL = 0.6826894921370859
"""The probability that a normal variable is within one standard deviation."""


@dataclass(frozen=True)
class Combination:
    """Of one target, in standardised units: mean = shift + Σ weights · parts, deviation² = noise² + (spread · v)², v
    the deviation among trees.

    Attributes:
        weights: (P,) of the parts: members' mean, Gaussian process and trees' mean, those that there are.
        held_out: (Q,) ascending |residual| / deviation of labels held out, by which intervals are made.
    """

    weights: np.ndarray
    shift: float
    noise: float
    spread: float
    held_out: np.ndarray

    @classmethod
    def fit(
        cls, parts: np.ndarray, deviations: np.ndarray, wanted: np.ndarray, true: np.ndarray, ensemble: bool = False
    ) -> "Combination":
        """From labels that were held out.

        Args:
            parts: (P, m) predictions of them; deviations: (m,) among the trees.
            wanted: (m,) standardised labels, cut; true: (m,) without the cut.
            ensemble: whether the first part is an ensemble, each of whose predictions here is of one member alone: all
                of them together are better than they look here, and so shares are drawn towards more of them.
        """
        scales = np.maximum(parts.std(1), 1e-6)
        centre = np.full(len(parts), 1 / len(parts))
        if ensemble and len(parts) > 1:
            centre = np.array([_OF_ENSEMBLE] + (len(parts) - 1) * [(1 - _OF_ENSEMBLE) / (len(parts) - 1)])
        share = _best_share(parts / scales[:, None], wanted, centre)
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
        shift, noise, spread = map(float, found["numbers"])
        return cls(found["weights"], shift, noise, spread, found["held_out"])


def _best_share(scaled: np.ndarray, wanted: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """(P,) shares of the parts (P, m), each of spread 1, with the highest Kendall τ; of few labels near `centre`."""
    from scipy.stats import kendalltau

    shares = _simplex(len(scaled), _STEPS) / _STEPS
    taus = np.nan_to_num([kendalltau(share @ scaled, wanted)[0] for share in shares])
    away = ((shares - centre) ** 2).sum(1)
    return shares[int(np.argmax(taus - away / (2 * np.sqrt(len(wanted)))))]


def _simplex(parts: int, steps: int) -> np.ndarray:
    """(S, P) all whole numbers from 0 that add up to `steps`."""
    if parts == 1:
        return np.array([[steps]])
    rows = [np.insert(rest, 0, first) for first in range(steps + 1) for rest in _simplex(parts - 1, steps - first)]
    return np.stack(rows)


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
