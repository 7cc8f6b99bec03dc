"""NAS-Bench-Graph (Qin et al., NeurIPS 2022): graph networks on eight data sets, from the package nas-bench-graph.

Its files are pickles of dictionaries, text and numbers of NumPy. They are read by an unpickler that knows no class or
function but those numbers, and the package itself is not imported.
"""

import importlib.util
import os
import pickle
import struct
from pathlib import Path
from typing import Any, cast

import numpy as np

from cate_hf.benchmarks._pickles import load_pickle
from cate_hf.benchmarks.base import Benchmark
from cate_hf.core._names import unknown
from cate_hf.graphs.graph_hash import graph_hashes
from cate_hf.spaces import get_space
from cate_hf.spaces.nasbench_graph._cells import NODES, OPERATIONS, SHAPES
from cate_hf.spaces.nasbench_graph.space import NasBenchGraph

__all__ = ["BENCHMARK"]

DATASETS = {
    "cora": "Cora",
    "citeseer": "CiteSeer",
    "pubmed": "PubMed",
    "cs": "Coauthor-CS",
    "physics": "Coauthor-Physics",
    "photo": "Amazon-Photo",
    "computers": "Amazon-Computers",
    "arxiv": "ogbn-arxiv",
}
_PACKAGE, _FOLDER = "nas_bench_graph", "light"
_FIELDS = {
    "test_accuracy": ("perf", 1.0, 0, 1),
    "validation_accuracy": ("valid_perf", 1.0, 0, 1),
    "latency_seconds": ("latency", 1.0, 0, np.inf),
    "parameters": ("para", 1e6, 0, np.inf),
}
_BASE = len(OPERATIONS) + 1  # of the digits of a cell's number


class NasBenchGraphBenchmark(Benchmark):
    """NAS-Bench-Graph: all 26,206 cells, each trained on one of eight graphs with its own hyper-parameters.

    Fields: test_accuracy, validation_accuracy, latency_seconds (of a forward pass) and parameters. Published as one
    number a cell.
    """

    name = "nasbench-graph"
    space_name = "nasbench-graph"
    needs_path = False

    def __init__(self, path: str | os.PathLike | None = None, dataset: str = "cora"):
        """Read it.

        Args:
            path: a file of the package, such as cora.bench; None for the installed package (extra `nasbench-graph`).
            dataset: one of cora, citeseer, pubmed, cs, physics, photo, computers and arxiv.

        Raises:
            ValueError: no such data set, the package is missing, or the file is damaged; one line.
        """
        if dataset not in DATASETS:
            raise unknown("data set", dataset, DATASETS)
        self.dataset = dataset
        file = _package_folder() / f"{dataset}.bench" if path is None else Path(path)
        numbers, values = _read(file)
        space = cast(NasBenchGraph, get_space(self.space_name))
        hashes = graph_hashes(space.from_cells(*_cells(numbers, file)))
        columns = {field: values[:, i] * _FIELDS[field][1] for i, field in enumerate(_FIELDS)}
        columns["parameters"] = np.rint(columns["parameters"])
        super().__init__(_PACKAGE if path is None else path, space, hashes, columns)
        if not np.array_equal(self.hashes, space.pool().columns["hash"]):
            raise ValueError(f"{file}: its cells are not the {space.size:,} of the space")
        on = DATASETS[dataset]
        self.oracles = {
            "test_accuracy": f"test accuracy on {on}",
            "validation_accuracy": f"validation accuracy on {on}",
            "latency_seconds": f"time of a forward pass on {on}, in seconds",
            "parameters": f"parameters of the network for {on}",
        }


BENCHMARK = NasBenchGraphBenchmark


def _package_folder() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ValueError("NAS-Bench-Graph needs the package nas-bench-graph: pip install 'cate_hf[nasbench-graph]'")
    return Path(found.submodule_search_locations[0]) / _FOLDER


class _Dtype:
    """Stands for numpy.dtype: of numbers of 8 bytes, lowest first."""

    def __init__(self, code: str, *_: Any):
        if code != "f8":
            raise pickle.UnpicklingError(f"numbers of type {code!r:.20}")

    def __setstate__(self, state: tuple) -> None:
        if state[1] != "<":
            raise pickle.UnpicklingError("numbers whose highest byte comes first")


def _scalar(kind: _Dtype, content: bytes) -> float:
    if not isinstance(kind, _Dtype):
        raise pickle.UnpicklingError("a number without a type")
    return struct.unpack("<d", content)[0]


_KNOWN = {
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}"[:100] + ", which could run code")
        return _KNOWN[module, name]


def _read(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the cells (N,) and the fields (N, F) of a file."""
    content = load_pickle(file, _Unpickler, "results of NAS-Bench-Graph")
    try:
        if not content or not all(type(number) is int for number in content):
            raise ValueError("expected a dictionary of cells by number")
        values = [[cell[key] for key, *_ in _FIELDS.values()] for cell in content.values()]
        if not all(isinstance(value, float | int) for row in values for value in row):
            raise ValueError("expected numbers")
        found = np.array(values, np.float64)
        for column, (key, _, least, most) in zip(found.T, _FIELDS.values(), strict=True):
            if not ((column >= least) & (column <= most)).all():
                raise ValueError(f"{key}: expected numbers from {least} to {most}")
        return np.array(list(content), np.int64), found
    except (TypeError, KeyError, AttributeError, OverflowError, ValueError) as error:
        raise ValueError(f"{file}: not results of NAS-Bench-Graph: {' '.join(str(error).split())[:200]}") from None


def _cells(numbers: np.ndarray, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Predecessors and operation numbers (N, 4) of the benchmark's numbers: a shape, then a digit a node."""
    digits = numbers[:, None] // _BASE ** np.arange(NODES - 1, -1, -1) % _BASE
    shapes = numbers // _BASE**NODES
    if (digits >= len(OPERATIONS)).any() or (numbers < 0).any() or (shapes >= len(SHAPES)).any():
        raise ValueError(f"{file}: not results of NAS-Bench-Graph: the number of a cell is of none")
    return SHAPES[shapes], digits
