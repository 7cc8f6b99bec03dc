"""Computation-aware pairs: architectures of about the same cost (Yan et al. 2021, section 3.2).

A set of pairs is two columns of row numbers into ONE table of architectures; no matrix is copied.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from cate_hf.files import atomic_output, check_output
from cate_hf.spaces import get_space
from cate_hf.spaces.base import Space
from cate_hf.table import ArchitectureTable

ARCHITECTURES_FILE = "architectures.parquet"
FACTS_FILE = "pairs.json"
SPACE_FILE = "space.yaml"
SPLITS = ("train", "validation")


@dataclass(frozen=True)
class PairSettings:
    """How pairs are chosen.

    Attributes:
        cost: "parameters" or "flops", or any cost the space knows.
        window: the largest difference of cost within a pair, in units of the cost; None for `default_window`.
        partners: the most earlier partners an architecture gets (K of the paper).
        validation_fraction: share of first architectures whose pairs are held out.
        seed: of the choice of partners and of the split.
    """

    cost: str = "parameters"
    window: float | int | None = None
    partners: int = 2
    validation_fraction: float = 0.05
    seed: int = 0

    def __post_init__(self):
        if self.window is not None and not 0 <= self.window < float("inf"):
            raise ValueError(f"window must be a number, 0 or more, in units of {self.cost}, not {self.window}")
        if self.partners < 1:
            raise ValueError(f"partners must be at least 1, not {self.partners}")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be in [0, 1), not {self.validation_fraction}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}")


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
    costs = _checked_costs(costs)
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


def _checked_costs(costs: np.ndarray) -> np.ndarray:
    """Signed whole numbers, or floats without NaN and infinity."""
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


def build_pairs(
    space: str | os.PathLike | Space, settings: PairSettings | None = None, progress: bool = False
) -> tuple[ArchitectureTable, dict[str, np.ndarray], dict]:
    """The architectures of a space (`Space.pool`), their pairs by split, and the facts about them that a card states.

    Args:
        space: a name, the path of a YAML file that describes one, or a `Space`.
        settings: `default_settings` when None.

    Raises:
        ValueError: the space has no such cost, or one that is not a number.
    """
    space = get_space(space)
    settings = settings or default_settings(space)
    table = space.pool(progress=progress)
    costs = _checked_costs(space.costs(table, settings.cost))
    window = default_window(costs) if settings.window is None else settings.window
    settings = replace(settings, window=int(window) if float(window).is_integer() else float(window))
    pairs = make_pairs(costs, settings.window, settings.partners, settings.seed)
    splits = split_by_first(pairs, len(table), settings.validation_fraction, settings.seed)
    gaps = costs[pairs[:, 0]] - costs[pairs[:, 1]]
    is_first = np.bincount(pairs[:, 0], minlength=len(table)) > 0
    is_second = np.bincount(pairs[:, 1], minlength=len(table)) > 0
    facts = {
        "space": space.name,
        "space_version": space.version,
        "architectures": len(table),
        "pairs": len(pairs),
        "train_pairs": len(splits["train"]),
        "validation_pairs": len(splits["validation"]),
        "without_partner": int((~is_first).sum()),
        "in_no_pair": int((~(is_first | is_second)).sum()),
        "cost_gap_quantiles": quantiles(gaps),
        **asdict(settings),
    }
    return table, splits, facts


def quantiles(values: np.ndarray, at: Sequence[float] = (0, 0.25, 0.5, 0.75, 1)) -> dict[str, float | int]:
    """{"0.5": the median, ...}: whole numbers of whole numbers; empty of nothing."""
    if not len(values):
        return {}
    number = int if values.dtype.kind in "iu" else float
    return {str(q): number(value) for q, value in zip(at, np.quantile(values, at), strict=True)}


def write_pairs(
    space: str | os.PathLike | Space,
    output: str | os.PathLike,
    settings: PairSettings | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> dict:
    """Write a folder of pairs: architectures.parquet, train.parquet and validation.parquet (columns first, second),
    pairs.json and a card; of a space that a YAML file describes, also that description, space.yaml.

    Args and errors are those of `build_pairs`.

    Returns:
        the facts.

    Raises:
        FileExistsError: the output exists and `overwrite` is false.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from cate_hf.hub.cards import render_dataset_card

    check_output(output, overwrite)
    space = get_space(space)
    table, splits, facts = build_pairs(space, settings, progress)
    with atomic_output(output, overwrite) as folder:
        folder.mkdir(parents=True)
        table.to_parquet(folder / ARCHITECTURES_FILE)
        for split, pairs in splits.items():
            columns = {"first": pairs[:, 0], "second": pairs[:, 1]}
            pq.write_table(pa.table(columns), folder / f"{split}.parquet")
        if (definition := space.definition()) is not None:
            (folder / SPACE_FILE).write_text(definition, encoding="utf-8")
        (folder / FACTS_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(render_dataset_card(facts), encoding="utf-8")
    return facts


def read_pairs(folder: str | os.PathLike) -> tuple[ArchitectureTable, dict[str, np.ndarray], dict]:
    """Read what `write_pairs` wrote: the table, {"train": (P, 2), "validation": (Q, 2)} int32, and the facts.

    Raises:
        ValueError: naming the file, and the row, of what is missing or wrong.
    """
    folder = Path(folder)
    for name in (FACTS_FILE, ARCHITECTURES_FILE, *(f"{split}.parquet" for split in SPLITS)):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: not a folder of pairs: {name} is missing (make one with `cate pairs`)")
    facts = _read_facts(folder / FACTS_FILE)
    table = ArchitectureTable.from_parquet(folder / ARCHITECTURES_FILE)
    return table, {split: _read_split(folder / f"{split}.parquet", len(table)) for split in SPLITS}, facts


def _read_facts(path: Path) -> dict:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(facts, dict):
        raise ValueError(f"{path}: expected an object of facts about the pairs")
    for name, kind in {
        "space": str,
        **dict.fromkeys(("architectures", "train_pairs", "validation_pairs"), int),
    }.items():
        if not isinstance(facts.get(name), kind):
            raise ValueError(f"{path}: {name!r} is {facts.get(name)!r}, expected a value of type {kind.__name__}")
    return facts


def _read_split(path: Path, rows: int) -> np.ndarray:
    """(P, 2) int32: columns first and second, checked to be row numbers below `rows`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: cannot be read as pairs ({str(error).splitlines()[0]})") from None
    pairs = np.empty((len(table), 2), np.int32)
    for column, name in enumerate(("first", "second")):
        if name not in table.column_names:
            raise ValueError(f"{path}: no column {name!r}; it has {', '.join(table.column_names) or 'none'}")
        values = table[name]
        if not pa.types.is_integer(values.type):
            raise ValueError(f"{path}: column {name!r} holds {values.type}, expected row numbers")
        if values.null_count:
            row = int(np.flatnonzero(values.is_null().to_numpy())[0])
            raise ValueError(f"{path}, row {row}: {name} is missing, expected a row number")
        numbers = values.to_numpy()
        outside = np.flatnonzero((numbers < 0) | (numbers >= rows))
        if len(outside):
            row = int(outside[0])
            raise ValueError(
                f"{path}, row {row}: {name} is {numbers[row]}: not a row of {ARCHITECTURES_FILE} ({rows} rows)"
            )
        pairs[:, column] = numbers
    return pairs


def load_pairs(space: str, **settings):
    """Computation-aware pairs of a space (by name) or of a folder made by `cate pairs`.

    Keyword arguments are those of `PairSettings`. Columns first and second are rows of the space's architectures
    (`get_space(space).pool()`), or of the folder's architectures.parquet.

    Returns:
        a `datasets.DatasetDict` with the splits train and validation.
    """
    from datasets import Dataset, DatasetDict

    if Path(space).is_dir():
        if settings:
            raise ValueError(
                f"{space} is a folder of pairs, made with settings of its own: {sorted(settings)} not wanted"
            )
        _, splits, facts = read_pairs(space)
    else:
        _, splits, facts = build_pairs(space, default_settings(space, **settings))
    columns = {s: Dataset.from_dict({"first": p[:, 0], "second": p[:, 1]}) for s, p in splits.items()}
    for dataset in columns.values():
        dataset.info.description = json.dumps(facts)
    return DatasetDict(columns)
