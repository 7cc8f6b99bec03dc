"""Which architectures are paired: those of about the same cost (Yan et al. 2021, section 3.2)."""

import os
from dataclasses import dataclass

import numpy as np

from cate_hf.graphs.conditions import parse_where
from cate_hf.spaces import get_space
from cate_hf.spaces.base import Space


@dataclass(frozen=True)
class PairSettings:
    """How pairs are chosen.

    Attributes:
        cost: "parameters" or "flops", or any cost the space knows.
        window: the largest difference of cost within a pair, in units of the cost; None for `default_window`.
        partners: the most earlier partners an architecture gets (K of the paper).
        validation_fraction: share of first architectures whose pairs are held out.
        seed: of the choice of partners and of the split.
        where: which architectures, such as "nodes<=6,edges<=7" (see `graphs.conditions`); all of the pool when None.
    """

    cost: str = "parameters"
    window: float | int | None = None
    partners: int = 2
    validation_fraction: float = 0.05
    seed: int = 0
    where: str | None = None

    def __post_init__(self):
        parse_where(self.where)
        if self.window is not None and not 0 <= self.window < float("inf"):
            raise ValueError(f"window must be a number, 0 or more, in units of {self.cost}, not {self.window}")
        if self.partners < 1:
            raise ValueError(f"partners must be at least 1, not {self.partners}")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be in [0, 1), not {self.validation_fraction}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}")
        if self.window is not None:
            object.__setattr__(self, "window", whole_where_possible(self.window))


def default_settings(space: str | os.PathLike | Space, **overrides) -> PairSettings:
    """The space's own pair settings (those of the paper where it has them), with overrides that are not None.

    A space without settings of its own is paired by the first of its costs. Its window is one of its own cost: by
    another cost, and where it has none, the window is `default_window` of the architectures that are paired.

    Raises:
        ValueError: the space has no cost, or a setting is out of its range.
    """
    space = get_space(space)
    if not space.cost_names and not overrides.get("cost"):
        raise ValueError(f"{space.name} has no cost to pair its architectures by; give its operations costs")
    own = {"cost": next(iter(space.cost_names), None)} | space.pairing
    given = {name: value for name, value in overrides.items() if value is not None}
    if given.get("cost", own["cost"]) != own["cost"]:
        own.pop("window", None)
    return PairSettings(**(own | given))


def default_window(costs: np.ndarray) -> float | int:
    """The window of a space that states none: a quarter of the costs' interquartile range.

    That is what 2,000,000 parameters, the paper's window, are on NAS-Bench-101. Where half of the architectures cost
    the same, a twenty-fifth of the whole range (on NAS-Bench-101 the same again). Of whole costs, rounded down.
    """
    if not len(costs):
        return 0
    low, first, third, high = np.quantile(costs, [0, 0.25, 0.75, 1])
    window = float(third - first) / 4 or float(high - low) / 25
    return int(window) if costs.dtype.kind in "iub" else window


def make_pairs(costs: np.ndarray, window: float | int, partners: int, seed: int) -> np.ndarray:
    """Pairs of rows whose costs differ by at most `window`.

    The rows are sorted by cost; each gets up to `partners` distinct earlier rows drawn uniformly from those within the
    window. Both members of a pair are row numbers of `costs` in its given order.

    Args:
        costs: (N,) numbers.

    Returns:
        (P, 2) int32: first (the later in the order) and second.

    Raises:
        ValueError: a cost is missing (NaN) or infinite; names the row.
    """
    costs = checked_costs(costs)
    order = np.argsort(costs, kind="stable")
    sorted_costs = costs[order]
    start = np.searchsorted(sorted_costs, sorted_costs - window, side="left")
    candidates = np.arange(len(costs)) - start  # earlier rows within the window
    rng = np.random.default_rng(seed)
    chosen = np.empty((len(costs), 0), np.int64)  # offsets from `start`, sorted along each row
    pairs = [np.empty((0, 2), np.int64)]
    for rank in range(partners):
        enough = np.flatnonzero(candidates > rank)
        if not len(enough):
            break
        # The rank-th draw is among candidates - rank; stepping over each chosen offset makes it distinct.
        offset = rng.integers(0, np.maximum(candidates - rank, 1))
        for column in range(rank):
            offset += offset >= chosen[:, column]
        chosen = np.sort(np.column_stack([chosen, offset]), axis=1)
        pairs.append(np.column_stack([order[enough], order[start[enough] + offset[enough]]]))
    return np.concatenate(pairs).astype(np.int32)


def whole_where_possible(value: float | int) -> float | int:
    """An int where that is the same number."""
    return int(value) if float(value).is_integer() else float(value)


def checked_costs(costs: np.ndarray) -> np.ndarray:
    """Costs (N,) as int64 where they are whole numbers, else as float64.

    Raises:
        ValueError: a cost is missing (NaN) or infinite; names the row.
    """
    costs = np.asarray(costs)
    if costs.dtype.kind in "iub":
        return costs.astype(np.int64)  # unsigned numbers would wrap round below the window
    costs = costs.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(costs))
    if len(wrong):
        raise ValueError(f"costs, row {wrong[0]}: {costs[wrong[0]]}, expected a finite number")
    return costs


def split_by_first(pairs: np.ndarray, rows: int, validation_fraction: float, seed: int) -> dict[str, np.ndarray]:
    """Hold out all pairs of a random share of the first architectures: {"train": (P, 2), "validation": (Q, 2)}."""
    held_out = np.random.default_rng([seed, 1]).random(rows) < validation_fraction
    mask = held_out[pairs[:, 0]]
    return {"train": pairs[~mask], "validation": pairs[mask]}
