"""All parts of a predictor as one prediction: weights, scale and uncertainty, by labels held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cate_hf.surrogates.measures import measures

_OF_ENSEMBLE = 0.45  # the share that members' is drawn towards, where they are as good as the best other part
_ENSEMBLE_GAIN = 0.02  # of Kendall τ: what all members together have over each of them, which is what is held out
_PRIOR_LABELS = 100
_NEAR = 0.5  # standard errors of a part's quality behind the best within which it counts as good
_ERROR_OF_TAU = 0.7  # standard error of Kendall τ, times the root of the number of labels
SPREAD_OF_STARTS = 0.1  # of Kendall τ, how far head starts are to be trusted
_SPREADS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_KEPT = 200
NORMAL = 0.6826894921370859
"""The probability that a normal variable is within one standard deviation."""


@dataclass(frozen=True)
class Combination:
    """Of one target, in standardised units: mean = shift + Σ weights · parts, deviation² = noise² + (spread · v)², v
    the deviation among trees.

    Attributes:
        weights: (P,) of the parts, in the order of `Predictor.part_names`.
        held_out: (Q,) ascending |residual| / deviation of labels held out, by which intervals are made.
    """

    weights: np.ndarray
    shift: float
    noise: float
    spread: float
    held_out: np.ndarray

    @classmethod
    def fit(
        cls,
        parts: np.ndarray,
        deviations: np.ndarray,
        wanted: np.ndarray,
        true: np.ndarray,
        ensemble: bool = False,
        head_starts: Sequence[float] | None = None,
        spreads: Sequence[float] | None = None,
    ) -> "Combination":
        """From labels that were held out.

        Args:
            parts: (P, m) predictions of them; deviations: (m,) among the trees.
            wanted: (m,) standardised labels, cut; true: (m,) without the cut.
            ensemble: whether the first part is an ensemble, each of whose predictions here is of one member alone: all
                of them together are better than they look here, and so shares are drawn towards more of them.
            head_starts: (P,) Kendall τ that each part is expected to be ahead of others; 0 for all when None.
            spreads: (P,) how far these are to be trusted; 0.1 for all when None.
        """
        scales = np.maximum(parts.std(1), 1e-6)
        starts = np.zeros(len(parts)) if head_starts is None else np.asarray(head_starts)
        trusted = np.full(len(parts), SPREAD_OF_STARTS) if spreads is None else np.asarray(spreads)
        share = _shares(parts / scales[:, None], wanted, starts, trusted, ensemble)
        mixed = share @ (parts / scales[:, None])
        # Of few labels the slope is drawn towards the one that keeps the spread of the labels.
        slope = _slope(mixed, wanted)
        shift = float(np.mean(wanted - slope * mixed))
        residuals = true - (shift + slope * mixed)
        noise, spread = _spread(np.clip(residuals, -4, 4), deviations)
        # Shares, slope and shift were fitted to the same labels: of few the residuals are too small.
        residuals = residuals * np.sqrt((len(true) + 1) / max(len(true) - 2, 1))
        scaled = np.sort(np.abs(residuals) / np.sqrt(noise**2 + (spread * deviations) ** 2))
        if len(scaled) > _KEPT:  # ranks that a conformal quantile needs are kept closely enough
            scaled = np.quantile(scaled, (np.arange(_KEPT) + 1) / _KEPT)
        return cls(slope * share / scales, shift, noise, spread, scaled)

    def __call__(self, parts: np.ndarray, deviations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation (N,) of parts (P, N), standardised; the deviation before the held-out labels' factor."""
        return self.shift + self.weights @ parts, np.sqrt(self.noise**2 + (self.spread * deviations) ** 2)

    def factor(self, level: float) -> float:
        """Deviations on either side of the mean that hold a label with this probability: the conformal quantile
        (Papadopoulos et al. 2002) of the labels held out. Where they are too few for the level, their largest, further
        out by as much as the level is in Student's distribution.
        """
        from scipy.stats import t

        count = len(self.held_out)
        rank = int(np.ceil(level * (count + 1))) - 1
        if rank < count or count < 2:
            return float(self.held_out[min(max(rank, 0), count - 1)])
        ends = [t.ppf((1 + share) / 2, count - 1) for share in (level, count / (count + 1))]
        return float(self.held_out[-1] * ends[0] / ends[1])

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


def _shares(
    scaled: np.ndarray, wanted: np.ndarray, head_starts: np.ndarray, spreads: np.ndarray, ensemble: bool
) -> np.ndarray:
    """(P,) shares of the parts (P, m), each of spread 1: non-negative least squares, drawn towards equal shares of the
    good parts by as much as `_PRIOR_LABELS` labels weigh.

    Which parts are good is told by Kendall τ, of few labels by what is known of such parts beforehand.
    """
    from scipy.optimize import nnls

    if len(scaled) == 1:
        return np.ones(1)
    taus = np.array([measures(part, wanted)["kendall_tau"] for part in scaled])
    taus[0] += _ENSEMBLE_GAIN if ensemble else 0.0
    known, measured = spreads**-2.0, len(wanted) / _ERROR_OF_TAU**2
    expected = np.average(taus - head_starts, weights=known) + head_starts
    quality = (measured * taus + known * expected) / (measured + known)
    behind = (quality.max() - quality) * np.sqrt(measured + known)  # in standard errors
    good = np.exp(-0.5 * (behind / _NEAR) ** 2)
    if ensemble:
        good[0] *= _OF_ENSEMBLE / (1 - _OF_ENSEMBLE) * max(good[1:].sum(), 0.1)
    good /= good.sum()
    inputs = scaled - scaled.mean(1, keepdims=True)
    target = (wanted - wanted.mean()) / max(float(wanted.std()), 1e-9)
    likely = np.sin(np.pi / 2 * np.clip(quality.max(), 0.05, 1.0))  # the correlation of a normal pair with this τ
    weight = np.sqrt(_PRIOR_LABELS)
    stacked = np.vstack([inputs.T, weight * np.eye(len(scaled))])
    found, _ = nnls(stacked, np.concatenate([target, weight * likely * good]))
    return found / found.sum() if found.sum() > 1e-9 else good


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
