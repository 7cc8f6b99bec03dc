"""Sets of computation-aware pairs (Yan et al. 2021, section 3.2), and folders of them.

A set of pairs is two columns of row numbers into ONE table of architectures; no matrix is copied.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.core._files import atomic_output, check_output
from cate_hf.core._names import printable
from cate_hf.data._facts import architecture_facts, pair_facts
from cate_hf.data._pairing import (
    PairSettings,
    checked_costs,
    default_settings,
    default_window,
    make_pairs,
    split_by_first,
)
from cate_hf.graphs.conditions import where_rows
from cate_hf.graphs.io import GROUP_ROWS, read_parquet, readable_parquet, write_groups, write_parquet
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import get_space
from cate_hf.spaces.base import Space

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FACTS_FILE",
    "OWN_FILES",
    "SPLITS",
    "PairSettings",
    "build_pairs",
    "check_folder",
    "check_pairs",
    "default_settings",
    "default_window",
    "make_pairs",
    "read_pairs",
    "write_pairs",
]

ARCHITECTURES_FILE = "architectures.parquet"
FACTS_FILE = "pairs.json"
SPACE_FILE = "space.yaml"
OWN_FILES = ("architectures.parquet", "train.parquet", "validation.parquet", "pairs.json", "README.md", "space.yaml")
SPLITS = ("train", "validation")
PAIR_COLUMNS = ("first", "second")


def build_pairs(
    space: str | os.PathLike | Space,
    settings: PairSettings | None = None,
    progress: bool = False,
    table: ArchitectureTable | None = None,
) -> tuple[ArchitectureTable, dict[str, np.ndarray], dict]:
    """The architectures of a space (`Space.pool`), their pairs by split, and the facts about them that a card states.

    Args:
        space: a name, the path of a YAML file that describes one, or a `Space`.
        settings: `default_settings` when None.
        table: architectures of the space, with a column hash, in the place of its pool.

    Raises:
        ValueError: the space has no such cost, or one that is not a number; no architecture or no pair is found.
    """
    space = get_space(space)
    settings = settings or default_settings(space)
    table = space.pool(progress=progress) if table is None else table
    if settings.where is not None:
        table = table[where_rows(table, settings.where)]
    costs = checked_costs(space.costs(table, settings.cost))
    if settings.window is None:
        settings = replace(settings, window=default_window(costs))
    assert settings.window is not None
    pairs = make_pairs(costs, settings.window, settings.partners, settings.seed)
    if not len(pairs):
        raise ValueError(
            f"{space.name}: no two of the {len(table):,} architectures are within {settings.window:,} {settings.cost}; "
            "choose a wider window (--window)"
        )
    splits = split_by_first(pairs, len(table), settings.validation_fraction, settings.seed)
    facts = architecture_facts(space, table) | pair_facts(space, settings, splits, costs)
    return table, splits, facts


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
    from cate_hf.hub.cards import render_dataset_card

    check_output(output, overwrite, OWN_FILES)
    space = get_space(space)
    table, splits, facts = build_pairs(space, settings, progress)
    card = render_dataset_card(facts)
    with atomic_output(output, overwrite, OWN_FILES) as folder:
        folder.mkdir(parents=True)
        write_parquet(table, folder / ARCHITECTURES_FILE, class_labels=True)
        write_splits(splits, folder)
        if (definition := space.definition()) is not None:
            (folder / SPACE_FILE).write_text(definition, encoding="utf-8")
        (folder / FACTS_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(card, encoding="utf-8")
    return facts


def write_splits(splits: dict[str, np.ndarray], folder: Path) -> None:
    """Write each split of pairs (P, 2) as a Parquet file of the columns first and second, int32."""
    import pyarrow as pa

    for split, pairs in splits.items():
        parts = (pairs[start : start + GROUP_ROWS] for start in range(0, max(len(pairs), 1), GROUP_ROWS))
        tables = (pa.table({"first": part[:, 0].copy(), "second": part[:, 1].copy()}) for part in parts)
        write_groups(tables, folder / f"{split}.parquet")


def read_pairs(folder: str | os.PathLike) -> tuple[ArchitectureTable, dict[str, np.ndarray], dict]:
    """Read what `write_pairs` wrote: the table, {"train": (P, 2), "validation": (Q, 2)} int32, and the facts.

    Raises:
        ValueError: naming the file, and the row, of what is missing or wrong.
    """
    facts = check_folder(folder)
    table = read_parquet(Path(folder) / ARCHITECTURES_FILE)
    return table, {split: _read_split(Path(folder) / f"{split}.parquet", len(table)) for split in SPLITS}, facts


def check_folder(folder: str | os.PathLike) -> dict:
    """The facts of a folder that `write_pairs` wrote.

    Raises:
        ValueError: a file of it is missing, or the facts cannot be read.
    """
    folder = Path(folder)
    for name in (FACTS_FILE, ARCHITECTURES_FILE, *(f"{split}.parquet" for split in SPLITS)):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: not a folder of pairs: {name} is missing (make one with `cate pairs`)")
    return _read_facts(folder / FACTS_FILE)


def space_of(folder: str | os.PathLike) -> Space:
    """The search space whose pairs a folder holds: of its own description there, or of the name in its facts.

    Raises:
        ValueError: it is not a folder of pairs, or the space is not known.
    """
    facts = check_folder(folder)
    definition = Path(folder) / SPACE_FILE
    return get_space(definition if definition.is_file() else facts["space"])


def check_pairs(folder: str | os.PathLike) -> None:
    """Check all pairs of a folder, a part at a time.

    Raises:
        ValueError: naming the file, and the row, of what is wrong.
    """
    with readable_parquet(Path(folder) / ARCHITECTURES_FILE) as file:
        rows = file.metadata.num_rows
    for split in SPLITS:
        for _ in _split_parts(Path(folder) / f"{split}.parquet", rows):
            pass


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
    """(P, 2) int32: all pairs of a file."""
    return np.concatenate([np.empty((0, 2), np.int32), *_split_parts(path, rows)])


def _split_parts(path: Path, rows: int) -> Iterator[np.ndarray]:
    """(p, 2) int32 at a time, checked to be row numbers below `rows`."""
    with readable_parquet(path) as file:
        done = 0
        for batch in file.iter_batches(GROUP_ROWS):
            yield _checked_pairs(batch, rows, path, done)
            done += len(batch)


def _checked_pairs(batch: "pa.RecordBatch", rows: int, path: str | os.PathLike, first_row: int) -> np.ndarray:
    """(p, 2) int32: columns first and second of some rows of a file, of which the first is `first_row`."""
    import pyarrow as pa

    pairs = np.empty((len(batch), 2), np.int32)
    for column, name in enumerate(PAIR_COLUMNS):
        if name not in batch.schema.names:
            found = printable(", ".join(batch.schema.names))[:500]
            raise ValueError(f"{path}: no column {name!r}; it has {found or 'none'}")
        values = batch[name]
        if not pa.types.is_integer(values.type):
            raise ValueError(f"{path}: column {name!r} holds {values.type}, expected row numbers")
        if values.null_count:
            row = first_row + int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
            raise ValueError(f"{path}, row {row}: {name} is missing, expected a row number")
        numbers = values.to_numpy(zero_copy_only=False)
        outside = np.flatnonzero((numbers < 0) | (numbers >= rows))
        if len(outside):
            row = int(outside[0])
            raise ValueError(
                f"{path}, row {first_row + row}: {name} is {numbers[row]}: "
                f"not a row of {ARCHITECTURES_FILE} ({rows} rows)"
            )
        pairs[:, column] = numbers
    return pairs
