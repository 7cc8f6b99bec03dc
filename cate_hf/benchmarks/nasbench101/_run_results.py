"""Training runs of NAS-Bench-101's cells, gathered from the published files."""

import os
from pathlib import Path

import numpy as np

from cate_hf.benchmarks.nasbench101._cells import BenchmarkCells, benchmark_cells
from cate_hf.benchmarks.nasbench101._layout import Layout
from cate_hf.benchmarks.nasbench101._records import (
    FIELDS,
    RUNS,
    Block,
    first_impossible,
    parse_record,
    read_blocks,
)
from cate_hf.core._progress import progress_bar

_MOST_LAYOUTS = 8  # of one length, before the rest is parsed one by one


class RunResults:
    """Metrics of each run of each cell.

    Attributes:
        cells: (N,) int32 rows of the space's enumeration, increasing; hashes: (N,) text.
        parameters: (N,) int64, trainable parameters.
        runs: epochs -> (8, 3, N) in the order of FIELDS, NaN where a cell has fewer runs; float32 where that loses
            nothing of the file's doubles (the published ones), float64 else.
    """

    def __init__(self, cells: np.ndarray, hashes: np.ndarray, parameters: np.ndarray, runs: dict[int, np.ndarray]):
        self.cells, self.hashes, self.parameters, self.runs = cells, hashes, parameters, runs

    @property
    def epochs(self) -> list[int]:
        """Numbers of epochs of which there are results."""
        return sorted(self.runs)

    def num_runs(self, epochs: int) -> np.ndarray:
        """(N,) number of runs of each cell with so many epochs."""
        return (~np.isnan(self.runs[epochs][0])).sum(axis=0)


class _Collector:
    """Takes runs in the order of the file: the first of a cell and a number of epochs is run 0, and so on."""

    def __init__(self, cells: int):
        self._cells = cells
        self._runs: dict[int, np.ndarray] = {}
        self._counts: dict[int, np.ndarray] = {}
        self._parameters = np.zeros(cells, dtype=np.int64)

    def add(self, rows: np.ndarray, epochs: np.ndarray, values: np.ndarray, parameters: np.ndarray) -> int | None:
        """Take n runs, or none and give the position of the first that would be a fourth of its cell and epochs."""
        numbers = np.empty(len(rows), dtype=np.int64)
        for kind in np.unique(epochs).tolist():
            if kind not in self._runs:
                self._runs[kind] = np.full((len(FIELDS), RUNS, self._cells), np.nan, dtype=np.float32)
                self._counts[kind] = np.zeros(self._cells, dtype=np.int64)
            of_kind = np.flatnonzero(epochs == kind)
            numbers[of_kind] = self._counts[kind][rows[of_kind]] + _occurrence(rows[of_kind])
        if (numbers >= RUNS).any():
            return int(np.argmax(numbers >= RUNS))
        for kind in np.unique(epochs).tolist():
            of_kind = epochs == kind
            cells, run, metrics = rows[of_kind], numbers[of_kind], values[of_kind]
            if self._runs[kind].dtype == np.float32 and (metrics.astype(np.float32) != metrics).any():
                self._runs[kind] = self._runs[kind].astype(np.float64)
            for field in range(len(FIELDS)):
                self._runs[kind][field, run, cells] = metrics[:, field]
            self._counts[kind] += np.bincount(cells, minlength=self._cells)
        new = self._parameters[rows] == 0  # as in the published reader, a cell's first record counts
        self._parameters[rows[new][::-1]] = parameters[new][::-1]
        return None

    def results(self, hashes: np.ndarray) -> RunResults:
        """What has been taken, of the cells that have any runs; `hashes` are those of all cells."""
        cells = np.flatnonzero(self._parameters).astype(np.int32)
        if len(cells) == self._cells:
            return RunResults(cells, hashes, self._parameters, self._runs)
        runs = {kind: values[..., cells] for kind, values in self._runs.items()}
        return RunResults(cells, hashes[cells], self._parameters[cells], runs)


def _occurrence(rows: np.ndarray) -> np.ndarray:
    """(n,) how many equal entries come before each."""
    order = np.argsort(rows, kind="stable")
    new = np.concatenate([[True], rows[order][1:] != rows[order][:-1]])
    start = np.maximum.accumulate(np.where(new, np.arange(len(rows)), 0))
    result = np.empty(len(rows), dtype=np.int64)
    result[order] = np.arange(len(rows)) - start
    return result


def read_runs(path: str | os.PathLike, progress: bool = False) -> RunResults:
    """All runs of a file such as nasbench_only108.tfrecord or nasbench_full.tfrecord.

    Run r of a cell is its r-th record with those epochs, as in the published reader. A cell may have fewer than three
    runs; a fourth is an error.

    Args:
        progress: draw a progress bar.

    Raises:
        ValueError: the file is truncated, corrupt or another's, or says what cannot be: one line that names the record,
            counted from 0, and the byte where it starts.
        OSError: the file cannot be read.
    """
    path = Path(path)
    cells = benchmark_cells(progress)
    collector = _Collector(len(cells))
    layouts: dict[int, list[Layout]] = {}
    megabytes = path.stat().st_size / 1e6
    with progress_bar(f"reading {path.name}", round(megabytes), "MB", progress and megabytes > 10) as advance:
        for block in read_blocks(path):
            rows, epochs, values, parameters, fault = _parse_block(block, layouts, cells)
            good = len(rows) if fault is None else fault[0]
            fourth = collector.add(rows[:good], epochs[:good], values[:good], parameters[:good])
            if fourth is not None:
                hash_ = cells.hashes[rows[fourth]]
                fault = (fourth, f"a fourth run of cell {hash_} with {epochs[fourth]} epochs, there are {RUNS}")
            if fault is not None:
                raise block.fault(path, *fault)
            advance(int(block.ends[-1]) / 1e6)
    return collector.results(cells.hashes)


def _parse_block(block: Block, layouts: dict[int, list[Layout]], cells: BenchmarkCells):
    """Rows of the cells (n,), epochs (n,), values (n, 8), parameters (n,), and position and reason of the first record
    that is wrong, or None; what belongs to it and later ones means nothing.
    """
    n = len(block.starts)
    rows, epochs, parameters = np.zeros((3, n), dtype=np.int64)
    values = np.zeros((n, len(FIELDS)))
    whole = np.frombuffer(block.data, dtype=np.uint8)
    lengths = block.ends - block.starts
    faults = []

    def try_layout(layout: Layout, left: np.ndarray) -> np.ndarray:
        matrix = np.lib.stride_tricks.sliding_window_view(whole, length)[block.starts[left]]
        fits, *parts = layout.read(matrix)
        taken = left[fits]
        rows[taken], values[taken], parameters[taken] = (part[fits] for part in parts)
        epochs[taken] = layout.epochs
        return left[~fits]

    for length in np.unique(lengths).tolist():
        known = layouts.setdefault(length, [])
        left = np.flatnonzero(lengths == length)
        for layout in known:
            left = try_layout(layout, left) if len(left) else left
        while len(left):
            position = int(left[0])
            data = block.data[block.starts[position] : block.ends[position]]
            try:
                record = parse_record(data)
                row = cells.row(record.hash)
                cells.check_drawing(row, record)
            except ValueError as error:
                faults.append((position, str(error)))
                break
            rows[position], epochs[position], parameters[position] = row, record.epochs, record.parameters
            values[position] = record.values
            left = left[1:]
            if len(known) < _MOST_LAYOUTS and len(left):
                try:
                    known.append(Layout(data, record, cells))
                except ValueError:
                    continue
                left = try_layout(known[-1], left)
    first = min(faults, default=None)
    impossible = first_impossible(values[: n if first is None else first[0]])
    return rows, epochs, values, parameters, impossible or first
