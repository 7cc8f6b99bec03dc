"""Labelled architectures: checked, of one space, each once."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.forms import as_item, held_columns
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.predictor.targets import as_columns
from cate_hf.spaces.darts.genotypes import CellPair
from cate_hf.spaces.darts.pairs import CellPairTable
from cate_hf.spaces.darts.space import Darts

if TYPE_CHECKING:
    from cate_hf.spaces import Space

LEAST_LABELS = 5
TEXT = "text"
"""The column of what an architecture was given as, where that was text: isomorphic ones may be told apart by it."""
_TEXT_COLUMNS = (TEXT, "architecture", "cell")
_NO_SEQUENCES = (ArchitectureTable, CellPairTable, Architecture, Mapping, str)


@dataclass(frozen=True)
class Labels:
    """n architectures with a column hash, each once, and their labels.

    Attributes:
        table: an `ArchitectureTable`, or a `CellPairTable` of pairs of cells.
        columns: name -> (n,) float64.
        merged: rows that were merged into an earlier one of an isomorphic architecture.
        group: of each row that was given, which of the n it is.
    """

    table: Any
    columns: dict[str, np.ndarray]
    merged: int = 0
    group: np.ndarray = field(default_factory=lambda: np.empty(0, np.intp))

    def __len__(self) -> int:
        return len(self.table)


def as_labels(
    space: "Space",
    architectures: Any,
    values: "Mapping[str, Any] | Any",
    least: int = LEAST_LABELS,
) -> Labels:
    """Check labels, and merge isomorphic architectures: the label is then the mean of theirs (`UserWarning`).

    Args:
        values: (n,) numbers, or name -> (n,) of several.
        least: fewer different architectures are refused.

    Raises:
        ValueError: an architecture of another space, numbers that are none, too few labels, or labels that are all the
            same; it names the row or the column.
    """
    table = with_texts(space, architectures, "labelled architectures")
    columns = as_columns(values, len(table))
    hashes = space.hash_many(table)
    unique, first, group, counts = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)  # as they were given
    merged = len(hashes) - len(unique)
    if merged:
        later = int(np.flatnonzero(first[group] != np.arange(len(hashes)))[0])
        warnings.warn(
            f"{merged} labelled {'architecture is' if merged == 1 else 'architectures are'} isomorphic to an earlier "
            f"one (row {later} to row {first[group[later]]}); the mean of their labels is taken",
            stacklevel=3,
        )
        columns = {name: np.bincount(group, weights=v) / counts for name, v in columns.items()}
        columns = {name: v[order] for name, v in columns.items()}
    rows = first[order]
    if len(rows) < least:
        raise ValueError(f"{len(rows)} labelled architectures; a predictor needs at least {least} different ones")
    for name, numbers in columns.items():
        if least > 1 and np.ptp(numbers) == 0:
            raise ValueError(f"labels {name!r}: all {len(rows)} are {numbers[0]:g}; there is nothing to learn")
    kept = {"hash": hashes[rows]}
    if TEXT in table.columns:  # of merged ones no single text
        kept[TEXT] = np.where(counts[order] > 1, "", table.columns[TEXT][rows])
    return Labels(table[rows].replace_columns(kept), columns, merged, np.argsort(order)[group])


def with_texts(space: "Space", architectures: Any, what: str = "architectures") -> Any:
    """As `as_table`, with a column `TEXT` where architectures were given as text, or with their text in a column."""
    if not isinstance(architectures, _NO_SEQUENCES) and held_columns(architectures) is None:
        architectures = list(architectures)
        texts = architectures if architectures and isinstance(architectures[0], str) else None
    elif (held := held_columns(architectures)) is not None:
        name = next((name for name in _TEXT_COLUMNS if name in held.column_names), None)
        texts = None if name is None else held[name].to_pylist()
    else:
        texts = [architectures] if isinstance(architectures, str) else None
        columns = getattr(architectures, "columns", {})
        name = next((name for name in _TEXT_COLUMNS if name in columns), None)
        texts = texts if name is None else columns[name]
    table = as_table(space, architectures, what)
    if texts is None or not all(isinstance(text, str) for text in texts):
        return table
    return table.with_columns(**{TEXT: np.array([text.strip() for text in texts], dtype=object)})


def as_table(space: "Space", architectures: Any, what: str = "architectures") -> Any:
    """Return architectures in any form that `space.table` takes as a table of the space, pruned; of pairs of cells as a
    table of pairs.

    Raises:
        ValueError: an item is no architecture of a single cell, or is of another space; the row is named.
    """
    pairs = isinstance(architectures, CellPairTable)
    if isinstance(architectures, CellPair):
        architectures = [architectures]
    architectures = as_item(architectures)
    if not isinstance(architectures, _NO_SEQUENCES) and held_columns(architectures) is None:
        architectures = list(architectures) if isinstance(architectures, Iterable) else architectures
        pairs = isinstance(architectures, list) and architectures[:1] != [] and isinstance(architectures[0], CellPair)
    if pairs:
        if not isinstance(space, Darts):
            raise ValueError(f"pairs of cells are of darts, not of {space.name} (the predictor is of {space.name})")
        if not isinstance(architectures, CellPairTable):
            for row, item in enumerate(architectures):
                if not isinstance(item, CellPair):
                    raise ValueError(f"row {row}: expected a pair of cells, got {type(item).__name__}")
            architectures = space.pairs(architectures)
    try:
        return space.validate_many(architectures if pairs else space.table(architectures), what)
    except ValueError as error:
        raise ValueError(f"{error} (the predictor is of {space.name})") from None
