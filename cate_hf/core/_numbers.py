"""Numbers made of others by a fixed rule."""

import numpy as np


def splitmix64(z):
    """A bijection of 64 bits that spreads each over all: the output function of SplitMix64 (Steele, Lea, Flood, OOPSLA
    2014), of a uint64 or an array of them.
    """
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def check_one_unit(source: str, accuracies: np.ndarray, rows: np.ndarray | None = None) -> None:
    """Raise ValueError where some accuracies (n,) are fractions and others in per cent; both rows are named. Zeros, NaN
    and 1, which a diverged run in per cent may have, are of either.

    Args:
        rows: (n,) what their rows are called; 0, 1, … when None.
    """
    fractions, per_cent = np.flatnonzero((accuracies > 0) & (accuracies < 1)), np.flatnonzero(accuracies > 1)
    if len(fractions) and len(per_cent):
        names = np.arange(len(accuracies)) if rows is None else rows
        one, other = (f"row {names[row]} ({accuracies[row]:g})" for row in (fractions[0], per_cent[0]))
        raise ValueError(
            f"{source}: {one} is a fraction and {other} in per cent; give all in one unit (divide those in per cent by "
            "100)"
        )
