"""Runs of NAS-Bench-201 cells from the files that its authors publish, read without loading any of the code they name.

- NATS-tss-v1_0-3ffb9-simple or -full: a folder with a bz2-compressed pickle for each cell; the same in one file:
  NATS-tss-v1_0-3ffb9.pickle.pbz2 (Dong et al., "NATS-Bench", TPAMI 2021);
- NAS-Bench-201-v1_0-e61699.pth, NAS-Bench-201-v1_1-096897.pth: one file as torch.save writes it; their archives: a
  folder of 000000-FULL.pth and so on.

A pickle may name any function of any package to be called. Here a few names stand for harmless functions of our own,
by which numbers come out as such and weights as None; any other name is an error.
"""

import bz2
import hashlib
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from cate_hf.benchmarks.nasbench201._runs import CELLS, DATASETS, RUNS, DatasetRuns, mean_over_runs, parameters_of_cells
from cate_hf.core._files import atomic_output
from cate_hf.core._parallel import num_threads
from cate_hf.core._progress import progress_bar
from cate_hf.graphs._cache import cache_folder
from cate_hf.spaces.nasbench201 import cells as nasbench201_cells
from cate_hf.spaces.nasbench201.notation import parse_cell

# Epochs of the training -> what NATS-Bench and NAS-Bench-201 call it.
_TRAININGS = {200: ("200", "full"), 12: ("12", "less")}
_FIELDS = ("validation_accuracy", "test_accuracy", "training_seconds", "latency_seconds")
# Our data set -> the training that has each of _FIELDS, and what the images are called that an accuracy is of.
_THEIR = {
    "cifar10": (("cifar10-valid", "x-valid"), ("cifar10", "ori-test"), ("cifar10-valid", ""), ("cifar10-valid", "")),
    "cifar100": (("cifar100", "x-valid"), ("cifar100", "x-test"), ("cifar100", ""), ("cifar100", "")),
    "imagenet16-120": (
        ("ImageNet16-120", "x-valid"),
        ("ImageNet16-120", "x-test"),
        ("ImageNet16-120", ""),
        ("ImageNet16-120", ""),
    ),
}
_NATS, _TORCH = ".pickle.pbz2", ".pth"
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_EXPECTED = "a file or folder of NATS-Bench's topology space or of NAS-Bench-201"


class _Number:
    """Stands for numpy.dtype: the type of one number."""

    def __init__(self, code: str, *_: Any):
        if not re.fullmatch("[fiu][248]|i1|u1|b1", code):
            raise ValueError(f"it holds numbers of type {code!r:.20}")
        self.code = code

    def __setstate__(self, state: tuple) -> None:
        self.code = ("" if state[1] == "|" else state[1]) + self.code


def _number(kind: _Number, raw: bytes) -> int | float | bool:
    return np.frombuffer(raw, dtype=np.dtype(kind.code), count=1)[0].item()


def _bytes(text: str, _: str = "latin1") -> bytes:
    return text.encode("latin1")  # how older pickles write bytes


def _nothing(*_: Any) -> None:
    return None


_NAMES = {("collections", "OrderedDict"): OrderedDict, ("numpy", "dtype"): _Number, ("_codecs", "encode"): _bytes}
_NAMES |= {(builtins, "set"): set for builtins in ("builtins", "__builtin__")}
_NAMES |= {(f"numpy.{core}.multiarray", "scalar"): _number for core in ("core", "_core")}
_NAMES |= {("torch._utils", f"_rebuild_{what}"): _nothing for what in ("tensor", "tensor_v2", "parameter")}
_NAMES[("torch.storage", "_load_from_bytes")] = _nothing


class _InertUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NAMES:
            return _NAMES[module, name]
        if module == "torch" and name.endswith("Storage"):
            return _nothing
        raise ValueError(f"it wants to load {module}.{name}, which no results need; nothing of it was loaded")

    def persistent_load(self, key: Any) -> None:
        return None  # a tensor's numbers


def read_published(path: Path, epochs: int = 200, progress: bool = True) -> dict[str, DatasetRuns]:
    """Data set -> runs of the cells that the files hold; they are kept in the cache folder after the first time.

    Args:
        epochs: of the trainings: 200 or 12.

    Raises:
        ValueError: no such file or number of epochs, or a file is damaged, another's, or names code. One line.
    """
    if epochs not in _TRAININGS:
        raise ValueError(f"{path}: epochs must be 200 or 12, not {epochs!r}")
    files = _find(path)
    state = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = hashlib.sha256(repr(state).encode()).hexdigest()[:16]
    cache = cache_folder() / f"nasbench201-runs-1-{epochs}-{key}.npz"
    try:
        arrays = _read_cache(cache)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # none yet, or a damaged one
        arrays = _read(files, epochs, progress)
        try:
            with atomic_output(cache, overwrite=True) as temporary:
                np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]  # the stubs mix up allow_pickle and the arrays
        except OSError:
            pass
    result = {}
    for dataset in DATASETS:
        of = {field: arrays[f"{dataset}/{field}"] for field in _FIELDS}
        accuracies = {field: of[field] for field in _FIELDS[:2] if not np.isnan(of[field]).all()}
        seconds = {field: mean_over_runs(of[field]) for field in _FIELDS[2:]}
        accuracies.setdefault("validation_accuracy", of["validation_accuracy"])
        result[dataset] = DatasetRuns(accuracies, seconds, parameters_of_cells(dataset))
    return result


def _read_cache(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in _empty()}
    if any(values.shape != (CELLS, RUNS) or values.dtype != np.float64 for values in arrays.values()):
        raise ValueError(path)
    return arrays


def _empty() -> dict[str, np.ndarray]:
    return {f"{dataset}/{field}": np.full((CELLS, RUNS), np.nan) for dataset in DATASETS for field in _FIELDS}


def _find(path: Path) -> list[Path]:
    """The file itself, or those of a folder."""
    if path.is_file():
        if path.name.endswith((_NATS, _TORCH)):
            return [path]
        raise ValueError(f"{path}: expected {_EXPECTED}: *{_NATS} or *{_TORCH}")
    if not path.is_dir():
        raise ValueError(f"{path}: no such file; expected {_EXPECTED}")
    for pattern in ("[0-9]*" + _NATS, "[0-9]*-FULL" + _TORCH, "[0-9]*-SIMPLE" + _TORCH):
        if files := sorted(path.glob(pattern)):
            return files
    single = sorted(file for kind in (_NATS, _TORCH) for file in path.glob("NA*" + kind))
    if len(single) == 1:
        return single
    names = " and ".join(file.name for file in single[:2])
    raise ValueError(f"{path}: " + (f"holds {names}; name one of them" if single else f"expected {_EXPECTED}"))


def _read(files: list[Path], epochs: int, progress: bool) -> dict[str, np.ndarray]:
    arrays = _empty()
    origin: dict[int, str] = {}

    def work(file: Path) -> list[tuple[str, int, dict[str, list[float]]]]:
        return [(where, *_cell(where, entry, epochs)) for where, entry in _entries(file)]

    with progress_bar(f"reading {files[0].name}", len(files) if len(files) > 1 else None, "files", progress) as advance:
        pool = ThreadPoolExecutor(num_threads())  # decompression lets threads run side by side
        try:
            for found in pool.map(work, files):
                for where, row, values in found:
                    if row in origin:
                        raise ValueError(f"{where}: the cell of {origin[row]} again")
                    origin[row] = where
                    for name, numbers in values.items():
                        arrays[name][row, : len(numbers)] = numbers
                advance(1)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    if not origin:
        raise ValueError(f"{files[0]}: holds no cells")
    return arrays


def _entries(file: Path) -> Iterator[tuple[str, Any]]:
    """Each cell's own part of a file, and what errors call it."""
    try:
        if file.name.endswith(_NATS):
            with bz2.open(file, "rb") as stream:
                content = _InertUnpickler(stream).load()
        else:
            content = _torch_content(file)
    except OSError as error:
        raise ValueError(f"{file}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # a damaged pickle may raise nearly anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{file}: not results of NAS-Bench-201: {reason}") from None
    if isinstance(content, dict) and isinstance(content.get("arch2infos"), dict):
        for index, entry in content["arch2infos"].items():
            yield f"{file}, architecture {index!r:.20}", entry
    else:
        yield str(file), content


def _torch_content(file: Path) -> Any:
    """What torch.save wrote, in its older form or as a zip archive."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            name = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
            if name is None:
                raise ValueError("a zip archive without data.pkl")
            with archive.open(name) as stream:
                return _InertUnpickler(stream).load()
    with open(file, "rb") as stream:
        if _InertUnpickler(stream).load() != _TORCH_MAGIC:
            raise ValueError("not a file of torch.save")
        _InertUnpickler(stream).load()  # the version of the form
        _InertUnpickler(stream).load()  # the machine that wrote it
        return _InertUnpickler(stream).load()


def _cell(where: str, entry: Any, epochs: int) -> tuple[int, dict[str, list[float]]]:
    """Row of a cell, and name of an array -> a number for each of its runs, in the order of their seeds."""
    try:
        name = next((name for name in _TRAININGS[epochs] if name in entry), None)
        if name is None:
            raise ValueError(f"no results of {epochs} epochs")
        codes = parse_cell(entry[name]["arch_str"])
        if codes is None:
            raise ValueError(f"arch_str is {entry[name]['arch_str']!r:.60}")
        values = {}
        for dataset, sources in _THEIR.items():
            for field, (training, images) in zip(_FIELDS, sources, strict=True):
                runs = _runs(entry[name]["all_results"], training)
                numbers = [_value(field, run, f"{images}@{epochs - 1}") for run in runs]
                values[f"{dataset}/{field}"] = [number for number in numbers if not np.isnan(number)]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        raise ValueError(f"{where}: not a cell of NAS-Bench-201: {reason}") from None
    return int(nasbench201_cells.positions(codes[None])[0]), values


def _runs(results: dict, dataset: str) -> list[dict]:
    seeds = sorted(seed for name, seed in results if name == dataset)
    if len(seeds) > RUNS:
        raise ValueError(f"{len(seeds)} runs on {dataset}, at most {RUNS} were published")
    return [results[dataset, seed] for seed in seeds]


def _value(field: str, run: dict, key: str) -> float:
    """NaN where the run says nothing of it."""
    if field.endswith("accuracy"):
        value = run["eval_acc1es"].get(key)
        value = None if value is None else value / 100
        most = 1.0
    else:
        times = run["train_times" if field == "training_seconds" else "latency"]
        times = [*times.values()] if isinstance(times, dict) else times
        value = None if not times else sum(times) if field == "training_seconds" else sum(times) / len(times)
        most = np.inf
    if value is None or value == -1:
        return np.nan
    if not 0 <= value <= most:
        raise ValueError(f"{field} is {value!r:.20}, expected 0 to {most}")
    return float(value)
