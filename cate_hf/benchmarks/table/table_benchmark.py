"""A table of results of one's own: architectures of a space, and any numbers beside them."""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cate_hf.benchmarks.base import Benchmark
from cate_hf.benchmarks.table._numbers import numbers_of
from cate_hf.core._numbers import check_one_unit
from cate_hf.graphs._columns import read_columns
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space, get_space
from cate_hf.spaces.rows import ARCHITECTURE_COLUMNS, read_rows, understood

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cate_hf.graphs.architecture import Architecture

__all__ = ["TableBenchmark"]


class Results(NamedTuple):
    """What a file holds, a row an architecture, sorted by hash.

    Attributes:
        hashes: (N,) text, each once.
        architectures: N, with columns hash and the costs; None where the file has only hashes.
        metrics: name -> (N,) int64, or float64 with NaN where a value is missing.
        others: name of each column that is no metric -> why.
        rows: (N,) the file's first row of each.
        duplicates: rows whose architecture, in any drawing, an earlier row has; example: the first, and that earlier.
        understood: a line that says what the file was read as, "" where it is of a plain form.
    """

    hashes: np.ndarray
    architectures: ArchitectureTable | None
    metrics: dict[str, np.ndarray]
    others: dict[str, str]
    rows: np.ndarray
    duplicates: int
    example: tuple[int, int] | None
    understood: str = ""


def read_results(path: str | os.PathLike, space: str | os.PathLike | Space, progress: bool = False) -> Results:
    """Read a CSV, JSON Lines or Parquet file; see `TableBenchmark`.

    Raises:
        ValueError: naming the file, and the row or line, of what is wrong or not of the space.
        FileNotFoundError: no such file.
    """
    space = get_space(space)
    source = str(path)
    columns, form = read_columns(path)
    hashes, table, remarks = read_rows(columns, space, source, progress)
    metrics: dict[str, np.ndarray] = {}
    others: dict[str, str] = {}
    for name in columns.column_names:
        if name not in ARCHITECTURE_COLUMNS:
            numbers = numbers_of(columns[name], source, name)
            if isinstance(numbers, str):
                others[name] = numbers
            else:
                if name.endswith("accuracy"):
                    check_one_unit(f"{source}, column {name}", numbers)
                metrics[name] = numbers
    unique, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    later = np.flatnonzero(first[group] != np.arange(len(hashes)))
    if table is None and space.size is not None:
        _check_known(unique, first, space, source, progress)
    if table is not None:
        table = space.with_costs(table[first].with_columns(hash=unique))
    return Results(
        unique,
        table,
        {name: _merged(values, first, group) for name, values in metrics.items()},
        others,
        first,
        len(later),
        (int(later[0]), int(first[group[later[0]]])) if len(later) else None,
        understood(path, form, remarks),
    )


def _merged(values: np.ndarray, first: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(G,): the mean over the rows of a group that have a value; NaN where none has."""
    known = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(len(values), dtype=bool)
    counts = np.bincount(group[known], minlength=len(first))
    # Of a single value the value itself: a mean of large whole numbers would round.
    merged = np.full(len(first), np.nan) if values.dtype.kind == "f" else np.zeros(len(first), dtype=values.dtype)
    merged[group[known]] = values[known]
    several = counts > 1
    if several.any():
        sums = np.bincount(group[known], weights=values[known], minlength=len(first))
        means = sums[several] / counts[several]
        if values.dtype.kind != "f" and not (means == np.floor(means)).all():
            merged = merged.astype(np.float64)
        merged[several] = means
    return merged


def _check_known(hashes: np.ndarray, rows: np.ndarray, space: Space, source: str, progress: bool) -> None:
    known = space.enumerate(progress=progress).columns["hash"]
    absent = np.flatnonzero(~np.isin(hashes, known))
    if len(absent):
        worst = absent[np.argmin(rows[absent])]
        raise ValueError(f"{source}, row {rows[worst]}: no architecture of {space.name} has the hash {hashes[worst]}")


class TableBenchmark(Benchmark):
    """A CSV, JSON Lines or Parquet file of architectures and numbers, as a benchmark.

    An architecture is given by the columns `operations` and `adjacency` (lists, or text of them, also by the names of
    NAS-Bench-101, `module_operations` and `module_adjacency`), else by
    `architecture`, text that `space.parse` reads, else by `hash`. Every other column of numbers is a field; empty cells
    and NaN are missing values. Rows of one architecture, in any drawing, are merged: a field is the mean over the rows
    that have it (`UserWarning`).

    Args:
        path: the file.
        space: of its architectures.
        progress: draw a progress bar where reading takes long.

    Attributes:
        duplicates: number of rows that were merged into an earlier one.
        understood: a line that says what the file was read as, "" where it is of a plain form.

    Raises:
        ValueError: naming the file, and the row or line, of what is wrong or not of the space.
        FileNotFoundError: no such file.
    """

    def __init__(
        self, path: str | os.PathLike, space: str | os.PathLike | Space, progress: bool = True, **options: Any
    ):
        if options:
            raise ValueError(f"{path}: a table takes no option {next(iter(options))!r}")
        space = get_space(space)
        self._results = results = read_results(path, space, progress)
        self.name, self.space_name, self.duplicates = Path(path).name, space.name, results.duplicates
        self.understood = results.understood
        if not results.metrics:
            raise ValueError(f"{path}: no column of numbers beside the architectures{_reasons(results.others)}")
        merged = ", mean over the rows of an architecture" if results.duplicates else ""
        self.oracles = {name: f"column {name} of {self.name}{merged}" for name in results.metrics}
        super().__init__(path, space, results.hashes, results.metrics)
        if results.example is not None:
            row, earlier = results.example
            count = results.duplicates
            warnings.warn(
                f"{path}: {count:,} {'row has' if count == 1 else 'rows have'} the architecture of an earlier one "
                f"(row {row} that of row {earlier}); the mean of each field is taken",
                stacklevel=2,
            )

    @property
    def default_field(self) -> str:
        """The only field beside the space's costs, else the first accuracy.

        Raises:
            ValueError: there is none such, or an accuracy that is no column of numbers; a field has to be named.
        """
        fields = [name for name in self.fields if name not in self.space.cost_names] or self.fields
        if any(name.endswith("accuracy") for name in fields):
            return super().default_field
        for name in self._results.others:
            if name.endswith("accuracy"):  # what was meant, surely: one value that is no number hides it
                self._check_field(name)
        if len(fields) == 1:
            return fields[0]
        raise ValueError(f"{self.name} has several fields, name one of {', '.join(fields)}")

    def candidates(self, progress: bool = False) -> ArchitectureTable:
        """The architectures of the file, with columns hash and the costs; of a file of hashes, those that the space's
        pool has.

        Raises:
            ValueError: a file of hashes none of which is in the pool.
        """
        if self._results.architectures is not None:
            return self._results.architectures
        pool = self.space.pool(progress=progress)
        pool = pool[np.isin(pool.columns["hash"], self.hashes)]
        if not len(pool):
            raise ValueError(
                f"{self.path}: none of its hashes is among the {self.space.name} architectures that are drawn from; "
                "give columns operations and adjacency"
            )
        return pool

    def file_rows(self, architectures: "ArchitectureTable | Sequence[Architecture]") -> np.ndarray:
        """(N,) the first row of each in the file, counted from 0."""
        return self._results.rows[self.rows(architectures)]

    def query_many(
        self,
        architectures: "ArchitectureTable | Sequence[Architecture]",
        field: str | None = None,
        missing: str = "raise",
    ) -> np.ndarray:
        """(N,) float64 of one field, `default_field` when None; see `Benchmark.query_many`."""
        return super().query_many(architectures, self.default_field if field is None else field, missing)

    def best(self, field: str | None = None) -> tuple[str, float]:
        """Hash and value of the highest value of a field, `default_field` when None."""
        return super().best(self.default_field if field is None else field)

    def _check_field(self, field: str) -> None:
        if field in self._results.others:
            raise ValueError(f"{self.path}: column {field!r} has no numbers: {self._results.others[field]}")
        super()._check_field(field)

    def __repr__(self) -> str:
        merged = f"; {self.duplicates:,} rows merged" if self.duplicates else ""
        return f"{super().__repr__()[:-1]}{merged}>"


def _reasons(others: dict[str, str]) -> str:
    name = next(iter(others), None)
    return "" if name is None else f"; of column {name!r}, {others[name]}"
