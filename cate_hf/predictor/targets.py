"""What a predictor is fitted to: labels in a form that spreads them, standardised, and the way back."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cate_hf.core._names import unknown
from cate_hf.core._numbers import check_one_unit

__all__ = ["Target"]

TRANSFORMS = ("log-error", "log", "identity")
_LOG_NAMES = ("latency", "seconds", "time", "flops", "parameters", "energy")
_LEAST_ERROR = 1e-6
_WORSE, _BETTER = 2.0, 4.0  # labels further from the median count as so far
_NORMAL_QUARTILES = 1.3489795003921634  # distance of the quartiles of a standard normal distribution


@dataclass(frozen=True)
class Target:
    """One label, as a predictor is fitted to it.

    Attributes:
        name: of the column.
        transform: "log-error", -log(1 - accuracy), which spreads the good ones; "log" of what is above 0, such as a
            latency; or "identity".
        unit: 100 of accuracies in per cent, else 1.
        centre, scale: median and spread of the transformed labels that it was made from; in these units it is
            standardised. The spread is that of the quartiles, so that runs that diverged do not set it.
        higher_is_better: whether a high value is what is looked for; of a latency it is not.
    """

    name: str = "accuracy"
    transform: str = "log-error"
    unit: float = 1.0
    centre: float = 0.0
    scale: float = 1.0
    higher_is_better: bool = True

    @classmethod
    def of(cls, name: str, values: np.ndarray, transform: str | None = None) -> "Target":
        """The target of labels (n,), checked before.

        Args:
            name: of the column.
            values: (n,) labels.
            transform: one of `TRANSFORMS`; by the name of the column and its values when None: accuracies as
                log-error, what is above 0 as its logarithm where it is a latency, a time and the like by its name, or
                where its logarithms are less skewed by more than chance.

        Raises:
            ValueError: an unknown transform, or values that it is not defined for.
        """
        low, high = float(values.min()), float(values.max())
        if transform is None:
            transform = "log-error" if low >= 0 and high <= 100 and "accuracy" in name else "identity"
            if transform == "identity" and low > 0:
                skewed = abs(_skewness(values)) - abs(_skewness(np.log(values))) > 2 * np.sqrt(6 / len(values))
                transform = "log" if skewed or any(word in name for word in _LOG_NAMES) else "identity"
        if transform not in TRANSFORMS:
            raise unknown("transform", transform, TRANSFORMS)
        if transform == "log" and low <= 0:
            raise ValueError(f"{name}: its logarithm needs values above 0, not {low:g}; choose the transform identity")
        if transform == "log-error" and not 0 <= low <= high <= 100:
            raise ValueError(f"{name}: an accuracy is from 0 to 1, or to 100 in per cent, not {low:g} to {high:g}")
        unit = 100.0 if transform == "log-error" and high > 1 else 1.0
        worse = any(word in name for word in (*_LOG_NAMES, "loss", "error"))
        plain = cls(name, transform, unit)._forward(values)
        quartiles = np.quantile(plain, [0.25, 0.5, 0.75])
        spread = (quartiles[2] - quartiles[0]) / _NORMAL_QUARTILES
        scale = float(spread) if spread > 1e-9 * max(1.0, abs(quartiles[1])) else float(plain.std()) or 1.0
        return cls(name, transform, unit, float(quartiles[1]), scale, not worse)

    def _forward(self, values: np.ndarray) -> np.ndarray:
        values = np.asarray(values, np.float64) / self.unit
        if self.transform == "log-error":
            return -np.log(np.maximum(1 - values, _LEAST_ERROR))
        return np.log(values) if self.transform == "log" else values

    def forward(self, values: np.ndarray) -> np.ndarray:
        """(n,) float64: standardised, and cut two spreads to the worse side and four to the better one: runs that
        diverged should not decide a fit, least of all that of a Gaussian process.
        """
        low, high = (-_WORSE, _BETTER) if self.higher_is_better else (-_BETTER, _WORSE)
        return np.clip(self.standardised(values), low, high)

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """`forward` without the cut."""
        return (self._forward(values) - self.centre) / self.scale

    def inverse(self, standard: np.ndarray) -> np.ndarray:
        """Labels (n,) of standardised numbers, in the units in which they were given."""
        plain = np.asarray(standard, np.float64) * self.scale + self.centre
        if self.transform == "log-error":
            return (1 - np.exp(-np.maximum(plain, 0.0))) * self.unit
        return np.exp(plain) if self.transform == "log" else plain


def _skewness(values: np.ndarray) -> float:
    centred = values - values.mean()
    return float(np.mean(centred**3) / max(float(np.mean(centred**2)) ** 1.5, 1e-30))


def check_values(name: str, values: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Labels (n,) as float64.

    Args:
        rows: (n,) what messages call their rows; 0, 1, … when None.

    Raises:
        ValueError: naming the first row that is no finite number; or accuracies in per cent and in fractions mixed.
    """
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"labels {name!r}: expected numbers, got {values!r:.60}") from None
    rows = np.arange(len(np.atleast_1d(numbers))) if rows is None else rows
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if len(wrong):
        value = "NaN" if np.isnan(numbers[wrong[0]]) else "infinite"
        raise ValueError(
            f"labels {name!r}, row {rows[wrong[0]]}: {value}; expected a number for each architecture "
            "(leave out those whose training failed)"
        )
    if "accuracy" in name and len(numbers):
        outside = np.flatnonzero((numbers < 0) | (numbers > 100))
        if len(outside):
            raise ValueError(
                f"labels {name!r}, row {rows[outside[0]]}: an accuracy is from 0 to 1, or to 100 in per cent, not "
                f"{numbers[outside[0]]:g}"
            )
        check_one_unit(f"labels {name!r}", numbers, rows)
    return numbers


def as_columns(labels, rows: int) -> dict[str, np.ndarray]:
    """Labels by name: of a mapping its columns, of (n,) numbers one column "accuracy".

    Raises:
        ValueError: another number of labels than of architectures, or as `check_values`.
    """
    columns = dict(labels) if isinstance(labels, Mapping) else {"accuracy": labels}
    if not columns:
        raise ValueError("no column of labels")
    checked = {}
    for name, values in columns.items():
        numbers = check_values(name, values)
        if numbers.shape != (rows,):
            raise ValueError(f"labels {name!r}: {numbers.shape} for {rows} architectures; expected one for each")
        checked[str(name)] = numbers
    return checked
