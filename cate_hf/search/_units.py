"""In which units values are reported."""

from collections.abc import Iterable


def percentage_points(field: str, trials: Iterable[dict]) -> tuple[float, str]:
    """What a field's numbers are multiplied by to be in percentage points, and their unit: 100 of accuracies that are
    fractions, 1 of those in per cent, which the best that the trials found tells; 1 and no unit of other fields.
    """
    if not field.endswith("accuracy"):
        return 1.0, ""
    best = max((value for trial in trials for value in trial["best_so_far"]), default=0.0)
    return (1.0 if best > 1 else 100.0), " %"


def in_words(name: str, unit: tuple[float, str], value: float, error: float | None = None) -> str:
    """A regret or a best so far, in a unit of `percentage_points`."""
    scale, percent = unit
    spread = "" if error is None else f" ± {scale * error:.3f}"
    return f"{name.replace('_so_far', '')} {scale * value:.3f}{spread}{percent}"
