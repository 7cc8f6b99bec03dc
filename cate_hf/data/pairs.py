"""Computation-aware pairs: architectures of about the same cost (Yan et al. 2021, section 3.2).

A set of pairs is two columns of row numbers into ONE table of architectures; no matrix is copied.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cate_hf.files import atomic_output, check_output
from cate_hf.spaces import get_space
from cate_hf.table import ArchitectureTable

ARCHITECTURES_FILE = "architectures.parquet"
FACTS_FILE = "pairs.json"
SPLITS = ("train", "validation")


@dataclass(frozen=True)
class PairSettings:
    """How pairs are chosen.

    Attributes:
        cost: "parameters" or "flops", or any cost the space knows.
        window: the largest difference of cost within a pair, in units of the cost.
        partners: the most earlier partners an architecture gets (K of the paper).
        validation_fraction: share of first architectures whose pairs are held out.
        seed: of the choice of partners and of the split.
    """

    cost: str = "parameters"
    window: int = 2_000_000
    partners: int = 2
    validation_fraction: float = 0.05
    seed: int = 0

    def __post_init__(self):
        if self.window < 0:
            raise ValueError(f"window must be 0 or more, in units of {self.cost}, not {self.window}")
        if self.partners < 1:
            raise ValueError(f"partners must be at least 1, not {self.partners}")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be in [0, 1), not {self.validation_fraction}")


def default_settings(space_name: str, **overrides) -> PairSettings:
    """The space's own pair settings (those of the paper where it has them), with overrides that are not None."""
    space = get_space(space_name)
    return PairSettings(**(space.pairing | {k: v for k, v in overrides.items() if v is not None}))


def make_pairs(costs: np.ndarray, window: int, partners: int, seed: int) -> np.ndarray:
    """Pairs of rows whose costs differ by at most `window`.

    The rows are sorted by cost; each gets up to `partners` distinct earlier rows drawn uniformly from those within the
    window. Both members of a pair are row numbers of `costs` in its given order.

    Args:
        costs: (N,) numbers.

    Returns:
        (P, 2) int32: first (the later in the order) and second.
    """
    costs = np.asarray(costs)
    order = np.argsort(costs, kind="stable")
    sorted_costs = costs[order]
    start = np.searchsorted(sorted_costs, sorted_costs - window, side="left")
    candidates = np.arange(len(costs)) - start  # earlier rows within the window
    rng = np.random.default_rng(seed)
    chosen = np.empty((len(costs), 0), np.int64)  # offsets from `start`, sorted along each row
    pairs = []
    for rank in range(partners):
        enough = np.flatnonzero(candidates > rank)
        # The rank-th draw is among candidates - rank; stepping over each chosen offset makes it distinct.
        offset = rng.integers(0, np.maximum(candidates - rank, 1))
        for column in range(rank):
            offset += offset >= chosen[:, column]
        chosen = np.sort(np.column_stack([chosen, offset]), axis=1)
        pairs.append(np.column_stack([order[enough], order[start[enough] + offset[enough]]]))
    return np.concatenate(pairs).astype(np.int32)


def split_by_first(pairs: np.ndarray, rows: int, validation_fraction: float, seed: int) -> dict[str, np.ndarray]:
    """Hold out all pairs of a random share of the first architectures: {"train": (P, 2), "validation": (Q, 2)}."""
    held_out = np.random.default_rng([seed, 1]).random(rows) < validation_fraction
    mask = held_out[pairs[:, 0]]
    return {"train": pairs[~mask], "validation": pairs[mask]}


def build_pairs(
    space_name: str, settings: PairSettings | None = None, progress: bool = False
) -> tuple[ArchitectureTable, dict[str, np.ndarray], dict]:
    """All architectures of a space, their pairs by split, and the facts about them that a card states."""
    settings = settings or default_settings(space_name)
    space = get_space(space_name)
    table = space.enumerate(progress=progress)
    costs = space.costs(table, settings.cost)
    pairs = make_pairs(costs, settings.window, settings.partners, settings.seed)
    splits = split_by_first(pairs, len(table), settings.validation_fraction, settings.seed)
    gaps = costs[pairs[:, 0]] - costs[pairs[:, 1]]
    facts = {
        "space": space_name,
        "space_version": space.version,
        "architectures": len(table),
        "pairs": len(pairs),
        "train_pairs": len(splits["train"]),
        "validation_pairs": len(splits["validation"]),
        "without_partner": int(len(table) - len(np.unique(pairs[:, 0]))),
        "in_no_pair": int(len(table) - len(np.unique(pairs))),
        "cost_gap_quantiles": {str(q): int(np.quantile(gaps, q)) for q in (0, 0.25, 0.5, 0.75, 1)} if len(gaps) else {},
        **asdict(settings),
    }
    return table, splits, facts


def write_pairs(
    space_name: str,
    output: str | os.PathLike,
    settings: PairSettings | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> dict:
    """Write a folder of pairs: architectures.parquet, train.parquet and validation.parquet (columns first, second),
    pairs.json and a card. Returns the facts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from cate_hf.hub.cards import render_dataset_card

    check_output(output, overwrite)
    table, splits, facts = build_pairs(space_name, settings, progress)
    with atomic_output(output, overwrite) as folder:
        folder.mkdir(parents=True)
        table.to_parquet(folder / ARCHITECTURES_FILE)
        for split, pairs in splits.items():
            columns = {"first": pairs[:, 0], "second": pairs[:, 1]}
            pq.write_table(pa.table(columns), folder / f"{split}.parquet")
        (folder / FACTS_FILE).write_text(json.dumps(facts, indent=2) + "\n")
        (folder / "README.md").write_text(render_dataset_card(facts))
    return facts


def read_pairs(folder: str | os.PathLike) -> tuple[ArchitectureTable, dict[str, np.ndarray], dict]:
    """Read what `write_pairs` wrote: the table, {"train": (P, 2), "validation": (Q, 2)} int32, and the facts."""
    import pyarrow.parquet as pq

    folder = Path(folder)
    for name in (FACTS_FILE, ARCHITECTURES_FILE, *(f"{split}.parquet" for split in SPLITS)):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: not a folder of pairs: {name} is missing (make one with `cate pairs`)")
    table = ArchitectureTable.from_parquet(folder / ARCHITECTURES_FILE)
    splits = {}
    for split in SPLITS:
        try:
            columns = pq.read_table(folder / f"{split}.parquet", columns=["first", "second"])
        except Exception as error:
            raise ValueError(f"{folder / split}.parquet: cannot be read as pairs: {error}") from error
        pairs = np.column_stack([columns["first"].to_numpy(), columns["second"].to_numpy()]).astype(np.int32)
        if len(pairs) and not 0 <= pairs.min() <= pairs.max() < len(table):
            row = int(np.flatnonzero(((pairs < 0) | (pairs >= len(table))).any(1))[0])
            raise ValueError(
                f"{folder / split}.parquet, row {row}: not a row of {ARCHITECTURES_FILE} ({len(table)} rows)"
            )
        splits[split] = pairs
    return table, splits, json.loads((folder / FACTS_FILE).read_text())


def load_pairs(space: str, **settings):
    """Computation-aware pairs of a space (by name) or of a folder made by `cate pairs`.

    Keyword arguments are those of `PairSettings`. Columns first and second are rows of the space's enumeration
    (`get_space(space).enumerate()`), or of the folder's architectures.parquet.

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
