"""Samples of a space that is too large to be listed."""

from typing import TYPE_CHECKING

import numpy as np

from cate_hf.core._progress import progress_bar
from cate_hf.graphs.table import ArchitectureTable

if TYPE_CHECKING:
    from cate_hf.spaces.base import Space

__all__ = ["different", "sample_unique"]

_DRY_ROUNDS = 20  # rounds of drawing that bring nothing new before a sample is given up
_MOST_AT_ONCE = 262_144


def different(space: "Space", count: int, seed: int, progress: bool = False) -> ArchitectureTable:
    """`space.sample`, but never with repetition. Raises ValueError where the space has not so many."""
    if space.size is not None and count > (have := len(space.pool(progress=progress))):
        raise ValueError(f"{space.name} has {have:,} different architectures, fewer than the {count:,} of the sample")
    return space.sample(count, seed, progress=progress)


def sample_unique(
    space: "Space", n: int, rng: np.random.Generator, progress: bool = False, fewer: bool = False
) -> ArchitectureTable:
    """N architectures that differ, in the order in which `space._draw` gives them, with columns hash and the costs.

    Args:
        fewer: give as many as are found, of a space that has not so many.

    Raises:
        ValueError: so many different ones were not found.
    """
    table = space._draw(0, rng).with_columns(hash=np.empty(0, "U32"))
    dry = 0
    with progress_bar(f"sampling {space.name}", n, "architectures", progress) as advance:
        while len(table) < n:
            drawn = space._draw(min(max(int(1.1 * (n - len(table))), 256), _MOST_AT_ONCE), rng)
            both = ArchitectureTable.concatenate([table, drawn.with_columns(hash=space.hash_many(drawn))])
            _, first = np.unique(both.columns["hash"], return_index=True)
            found = len(table)
            table = both[np.sort(first)[:n]]
            advance(len(table) - found)
            dry = 0 if len(table) > found else dry + 1
            if dry == _DRY_ROUNDS:
                if fewer:
                    break
                raise ValueError(f"{space.name}: {n} different architectures were asked for, {len(table)} found")
    return space.with_costs(table)
