"""NAS-Bench-101 results (Ying et al., ICML 2019): every run from the published files, or a table with a row a cell."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.benchmarks.base import Benchmark, Result, check_run
from cate_hf.benchmarks.nasbench101._records import FIELDS, RUNS

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.graphs.table import ArchitectureTable

__all__ = ["BENCHMARK"]

_EPOCHS = 108
_WORDS = {
    "training_seconds": "training time in seconds",
    "train_accuracy": "training accuracy",
    "validation_accuracy": "validation accuracy",
    "test_accuracy": "test accuracy",
}
# Of a table, which has a row a cell: the columns of the published results' summary, and those of a table of one's own.
_TABLE_ORACLES = {
    "test_accuracy": "mean test accuracy of 3 runs of 108 epochs",
    "validation_accuracy": "one run's validation accuracy after 108 epochs",
    "training_seconds": "one run's training time, 108 epochs",
    "parameters": "trainable parameters",
    "validation_accuracy_4": "one run's validation accuracy after 4 epochs",
    "validation_accuracy_12": "one run's validation accuracy after 12 epochs",
    "validation_accuracy_36": "one run's validation accuracy after 36 epochs",
    "train_accuracy": "training accuracy after 108 epochs, as the table gives it",
    "halfway_training_seconds": "training time half-way through 108 epochs, as the table gives it",
    "halfway_train_accuracy": "training accuracy half-way through 108 epochs, as the table gives it",
    "halfway_validation_accuracy": "validation accuracy half-way through 108 epochs, as the table gives it",
    "halfway_test_accuracy": "test accuracy half-way through 108 epochs, as the table gives it",
}


class NasBench101Benchmark(Benchmark):
    """NAS-Bench-101 from what a user has.

    Runs of each cell come from nasbench_only108.tfrecord or nasbench_full.tfrecord (kept in the cache folder after the
    first time), from such a cache, or from a folder with one of either. A Parquet or CSV table with the columns hash,
    test_accuracy and others gives one number a cell and field.

    Attributes:
        seed: of the runs that `run="random"` draws.
        epochs: numbers of epochs of which there are results.
        simulated_seconds: training time of all queries since the benchmark was loaded or `reset`: of each the training
            time of the run that was asked for (the mean one for "mean"), half-way for a field that begins with
            halfway_, none for parameters. NaN after a result whose time is not known.
    """

    name = "nasbench101"
    space_name = "nasbench101"
    oracles = _TABLE_ORACLES

    def __init__(self, path: str | os.PathLike, seed: int = 0, progress: bool = True):
        """Read it.

        Args:
            path: a file or folder, as above.
            seed: an integer, 0 or more.
            progress: draw a progress bar while a published file is read.

        Raises:
            ValueError: one line that names the file, and the record or row of what is wrong.
        """
        from cate_hf.benchmarks.nasbench101._files import open_results

        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"seed must be an integer, 0 or more, not {seed!r}")
        self.seed = int(seed)
        hashes, columns, runs, self._source = open_results(Path(path), progress)
        self._runs = runs or {}
        self.epochs = sorted(self._runs) if self._runs else [_EPOCHS]
        super().__init__(path, "nasbench101", hashes, columns)
        self.reset()

    @property
    def fields(self) -> list[str]:
        """Names of the fields."""
        return [*reversed(FIELDS), *self._columns] if self._runs else list(self._columns)

    def candidates(self, progress: bool = False) -> "ArchitectureTable":
        """The cells that a search may ask for: those that the file has, with columns hash and the costs."""
        cells = super().candidates(progress)
        absent = self._search(cells.columns["hash"])[1]
        return cells[np.delete(np.arange(len(cells)), absent)] if len(absent) else cells

    def reset(self) -> None:
        """Set the simulated time to zero and the drawing of runs to its seed."""
        self.simulated_seconds = 0.0
        self._random = np.random.default_rng(self.seed)

    def query(
        self,
        architecture: "Architecture | str",
        field: str | None = None,
        epochs: int | None = None,
        run: str | int = "mean",
    ) -> Result | float:
        """All that is known of an architecture, in any isomorphic drawing; or one field of it.

        Accuracies are in [0, 1], times in seconds. Fields that begin with halfway_ are of the same training half-way.

        Args:
            epochs: of the training: 108, or the most there are in the file, when None.
            run: "mean" of the runs there are, one of them (0, 1 or 2), or "random", drawn anew at each query.

        Raises:
            ValueError: the architecture is not of the space or not in the benchmark, or there is no such field, number
                of epochs or run.
        """
        epochs, run = self._settle(epochs, run)
        if field is not None:
            self._check_field(field)
        architecture = self._one(architecture)
        rows = self.rows([architecture])
        chosen = self._choose(rows, epochs, run)
        known = {name: self._values(name, rows, epochs, chosen)[0] for name in self.fields}
        if self._runs and field != "parameters" and np.isnan(known["training_seconds"]):
            count = int(self._num_runs(rows, epochs)[0])
            asked = f", asked for run {run} (counted from 0)" if count else ""
            hash_ = self.hashes[rows[0]]
            raise ValueError(f"{self.name}: cell {hash_} has {count} runs of {epochs} epochs in {self.path}{asked}")
        result = Result({name: value.item() for name, value in known.items() if not np.isnan(value)})
        answer = result if field is None else result[field]
        self._charge(field or "test_accuracy", rows, epochs, chosen)
        return answer

    def query_many(
        self,
        architectures: "ArchitectureTable | Sequence[Architecture]",
        field: str = "test_accuracy",
        missing: str = "raise",
        epochs: int | None = None,
        run: str | int = "mean",
    ) -> np.ndarray:
        """(N,) float64 of one field. A table with a hash column is found by it.

        Args:
            missing: what to do where there is no value: "raise", or "nan".
            epochs, run: as for `query`; "random" draws a run for each architecture.
        """
        epochs, run = self._settle(epochs, run)
        self._check_field(field)
        rows = self.rows(architectures)
        chosen = self._choose(rows, epochs, run)
        values = self._values(field, rows, epochs, chosen).astype(np.float64, copy=False)
        self._present(values, field, missing)
        known = ~np.isnan(values)
        self._charge(field, rows[known], epochs, None if chosen is None else chosen[known])
        return values

    def best(
        self, field: str | None = "test_accuracy", epochs: int | None = None, run: str | int = "mean"
    ) -> tuple[str, float]:
        """Hash and value of the highest value of a field; this is no query and takes no simulated time."""
        epochs, run = self._settle(epochs, run)
        field = field or self.default_field
        if run == "random":
            raise ValueError("the best of random runs is not defined; run must be 'mean', 0, 1 or 2")
        self._check_field(field)
        rows = np.arange(len(self))
        values = self._values(field, rows, epochs, self._choose(rows, epochs, run))
        if np.isnan(values).all():
            raise ValueError(f"{self.name}: no cell has {field!r} of that run")
        row = int(np.nanargmax(values))
        return str(self.hashes[row]), float(values[row])

    def oracle(self, field: str, epochs: int | None = None, run: str | int = "mean") -> str:
        """What a field's number is, in words."""
        epochs, run = self._settle(epochs, run)
        self._check_field(field)
        if not self._runs or field == "parameters":
            return self.oracles[field]
        words = _WORDS[field.removeprefix("halfway_")]
        if field.startswith("halfway_"):
            words = f"half-way {words}"
        if run == "mean":
            whole = len(self) == (self._num_runs(np.arange(len(self)), epochs) == RUNS).sum()
            return f"mean {words} of {RUNS if whole else f'up to {RUNS}'} runs of {epochs} epochs"
        return f"{words} of {'a random run' if run == 'random' else f'run {run}'} of {epochs} epochs"

    def _settle(self, epochs: int | None, run: str | int) -> tuple[int, str | int]:
        """The number of epochs and the run that are meant. Raises ValueError where there are none such."""
        if epochs is None:
            epochs = _EPOCHS if _EPOCHS in self.epochs else self.epochs[-1]
        if isinstance(epochs, bool) or epochs not in self.epochs:
            known = ", ".join(map(str, self.epochs))
            raise ValueError(f"{self.name}: no results of {epochs!r} epochs in {self.path}; it has {known}")
        check_run(run, RUNS)
        if not self._runs and run != "mean":
            raise ValueError(
                f"{self.name}: {self.path} is a table with one number a cell, its runs are not known; run must be "
                f"'mean', not {run!r}"
            )
        return int(epochs), run if isinstance(run, str) else int(run)

    def _num_runs(self, rows: np.ndarray, epochs: int) -> np.ndarray:
        return (~np.isnan(self._runs[epochs][0][:, rows])).sum(axis=0)

    def _choose(self, rows: np.ndarray, epochs: int, run: str | int) -> np.ndarray | None:
        """(n,) the run of each row, drawn among those that there are for "random"; None for their mean."""
        if run == "random":
            return self._random.integers(0, np.maximum(self._num_runs(rows, epochs), 1))
        return None if run == "mean" else np.full(len(rows), run)

    def _values(self, field: str, rows: np.ndarray, epochs: int, chosen: np.ndarray | None) -> np.ndarray:
        """(n,) of one field, NaN where there is none."""
        if field in self._columns:
            return self._columns[field][rows]
        runs = self._runs[epochs][FIELDS.index(field)]
        if chosen is not None:
            return runs[chosen, rows].astype(np.float64)
        runs = runs[:, rows].astype(np.float64)
        counts = (~np.isnan(runs)).sum(axis=0)
        return np.where(counts, np.nansum(runs, axis=0) / np.maximum(counts, 1), np.nan)

    def _charge(self, field: str, rows: np.ndarray, epochs: int, chosen: np.ndarray | None) -> None:
        if field == "parameters" or not len(rows):
            return
        time = "halfway_training_seconds" if field.startswith("halfway_") else "training_seconds"
        known = time in self.fields
        self.simulated_seconds += float(self._values(time, rows, epochs, chosen).sum()) if known else float("nan")

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}; {self._source}>"


BENCHMARK = NasBench101Benchmark
