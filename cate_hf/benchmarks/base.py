"""A table of results, found by the hash of an architecture."""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from cate_hf.graphs._hashes import HashIndex, hash_text
from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space, get_space

__all__ = ["Benchmark", "Result"]


class Result(dict):
    """What is known of one architecture; asking for what is not says so."""

    def __missing__(self, field: str):
        raise ValueError(f"the benchmark has no {field!r} for this architecture; it has {', '.join(self)}")


class Benchmark:
    """Results of architectures of one space, by field.

    Attributes:
        name, path, space: of the benchmark, its file and its search space.
        space_name: name of the search space; needs_path: whether it can only be read from a file of the user's.
        hashes: (N,) text (<U32), sorted.
        oracles: field -> what the number is, in words.
    """

    name: str
    space_name: str
    needs_path: bool = True
    tabular: bool = True  # False: results are computed when asked for, as a surrogate's are
    oracles: dict[str, str]

    def __init__(self, path, space: "str | Space", hashes: np.ndarray, columns: dict[str, np.ndarray]):
        self.path, self.space = path, get_space(space)
        hashes = hash_text(hashes)
        order = None if (hashes[1:] > hashes[:-1]).all() else np.argsort(hashes, kind="stable")
        self.hashes = hashes if order is None else hashes[order]
        self._columns = columns if order is None else {k: v[order] for k, v in columns.items()}
        self._index = HashIndex(self.hashes)
        twice = np.flatnonzero(self.hashes[1:] == self.hashes[:-1])
        if len(twice):
            raise ValueError(f"{path}: hash {self.hashes[twice[0]]} is in two rows, expected one a cell")

    @classmethod
    def open(cls, *path: Any, **options: Any) -> "Benchmark":
        """The benchmark that a path holds: what `load_benchmark` calls; one of several classes where files differ."""
        return cls(*path, **options)

    @classmethod
    def option_names(cls) -> list[str]:
        """Names of the keyword arguments of `load_benchmark`, besides the path."""
        opened, made = (inspect.signature(function).parameters for function in (cls.open, cls.__init__))
        named = [name for name, found in opened.items() if found.kind not in (found.VAR_KEYWORD, found.VAR_POSITIONAL)]
        return [name for name in (named if len(named) > 1 else made) if name not in ("self", "path")]

    @property
    def fields(self) -> list[str]:
        """Names of the fields."""
        return list(self._columns)

    @property
    def default_field(self) -> str:
        """The field that a search maximises when none is named: the first accuracy, or the first of all."""
        accuracies = [name for name in self.fields if name.endswith("accuracy")]
        accuracies.sort(key=lambda name: {"test_accuracy": 0, "validation_accuracy": 1}.get(name, 2))
        return (accuracies or self.fields)[0]

    def __len__(self) -> int:
        return len(self.hashes)

    def candidates(self, progress: bool = False) -> ArchitectureTable:
        """The architectures that a search may ask this benchmark for, with columns hash and the costs."""
        return self.space.pool(progress=progress)

    def query(self, architecture: Architecture | str, field: str | None = None) -> "Result | float":
        """All that is known of an architecture, in any isomorphic drawing, or in text that the space's `parse` reads;
        or one field of it.

        Accuracies are in [0, 1], times in seconds.

        Raises:
            ValueError: the architecture is not of the space or not in the benchmark, or has no such field.
        """
        row = self.rows([self._one(architecture)])[0]
        known = {name: values[row].item() for name, values in self._columns.items() if not np.isnan(values[row])}
        result = Result(known)
        if field is None:
            return result
        self._check_field(field)
        return result[field]

    def _one(self, architecture: Any) -> Architecture:
        """An architecture from what the space's `parse` reads."""
        known = isinstance(architecture, Architecture) or hasattr(architecture, "normal")
        return architecture if known else self.space.parse(architecture)

    def query_many(
        self,
        architectures: Any,
        field: str = "test_accuracy",
        missing: str = "raise",
    ) -> np.ndarray:
        """(N,) float64 of one field: of architectures in any form that `space.table` takes. A table with a hash column
        is found by it.

        Args:
            missing: what to do where the field has no value: "raise", or "nan".
        """
        self._check_field(field)
        return self._present(self._columns[field][self.rows(architectures)].astype(np.float64), field, missing)

    def measured(self, *fields: str, progress: bool = False) -> tuple[Any, dict[str, np.ndarray]]:
        """The candidates that have a value of each of these fields, and field -> (N,) values, which `fit_predictor`
        takes as labels. Without fields, of `default_field`.
        """
        table = self.candidates(progress)
        values = {name: self.query_many(table, name, missing="nan") for name in fields or (self.default_field,)}
        known = ~np.isnan(list(values.values())).any(axis=0)
        return table[known], {name: numbers[known] for name, numbers in values.items()}

    def _present(self, values: np.ndarray, field: str, missing: str) -> np.ndarray:
        """The values (N,) of a field, unless some are missing where none may be."""
        if missing not in ("raise", "nan"):
            raise ValueError(f"missing must be 'raise' or 'nan', not {missing!r}")
        absent = np.flatnonzero(np.isnan(values))
        if missing == "raise" and len(absent):
            raise ValueError(
                f"{self.name}: no {field!r} for {len(absent)} of {len(values)} architectures, first row {absent[0]}; "
                f"missing='nan' gives NaN there, and measured({field!r}) those that have it"
            )
        return values

    def rows(self, architectures: ArchitectureTable | Sequence[Architecture]) -> np.ndarray:
        """(N,) rows of this benchmark. Raises ValueError naming the first architecture that is not in it."""
        if isinstance(architectures, ArchitectureTable) and "hash" in architectures.columns:
            return self._found(architectures.columns["hash"])
        return self._found(self._hashes(architectures))

    def _found(self, hashes: np.ndarray) -> np.ndarray:
        """Rows (N,) of hashes (N,). Raises ValueError naming the first that is not in the benchmark."""
        rows, absent = self._search(hashes)
        if len(absent):
            raise ValueError(f"{self.name}: architecture {absent[0]} (hash {hashes[absent[0]]}) is not in {self.path}")
        return rows

    def _hashes(self, architectures: Any) -> np.ndarray:
        if isinstance(architectures, list | tuple) and all(isinstance(item, Architecture) for item in architectures):
            architectures = self.space.table([self._validate(i, a) for i, a in enumerate(architectures)])
            return self.space.hash_many(architectures)
        architectures = self.space.table(architectures)
        return self.space.hash_many(self.space.validate_many(architectures))

    def _validate(self, position: int, architecture: "Architecture") -> Architecture:
        try:
            return self.space.validate(architecture)
        except ValueError as error:
            raise ValueError(f"architecture {position}: {error}") from None

    def _search(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of hashes, and the positions of those that are not in the benchmark."""
        rows = self._index.rows(hashes)
        return rows, np.flatnonzero(rows < 0)

    def best(self, field: str | None = None) -> tuple[str, float]:
        """Hash and value of the highest value of a field, by default of `default_field`."""
        field = field or self.default_field
        self._check_field(field)
        row = int(np.nanargmax(self._columns[field]))
        return str(self.hashes[row]), float(self._columns[field][row])

    def check_best(self, architecture: "Architecture") -> str | None:
        """A warning for what a search calls its best, where this benchmark is known to be wrong there; else None."""
        return None

    def oracle(self, field: str) -> str:
        """What a field's number is, in words."""
        self._check_field(field)
        return self.oracles[field]

    def _check_field(self, field: str) -> None:
        if field not in self.fields:
            raise ValueError(f"{self.name} has no field {field!r}; it has {', '.join(self.fields)}")

    def __repr__(self) -> str:
        return f"<benchmark {self.name}: {len(self):,} architectures of {self.space.name}; {', '.join(self.fields)}>"


def check_run(run: str | int, runs: int) -> None:
    """Refuse what is neither "mean", "random" nor the number of a run."""
    whole = isinstance(run, int | np.integer) and not isinstance(run, bool) and 0 <= run < runs
    if not whole and run not in ("mean", "random"):
        raise ValueError(f"run must be 'mean', 'random', or 0, 1 or 2, not {run!r}")
