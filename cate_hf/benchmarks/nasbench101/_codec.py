"""Metrics of NAS-Bench-101 runs as columns of small whole numbers, and back, bit for bit.

Accuracies are counts of right images and times are milliseconds, wherever these give back the very same floating-point
numbers. A count is written as its difference to a related one, which is small and so takes few bytes when compressed.
"""

from typing import Any

import numpy as np

from cate_hf.benchmarks.nasbench101.records import FIELDS, RUNS

_IMAGES = (9984, 10000)  # evaluated: 39 batches of 256, as published, or all
_MILLISECONDS = 1000
_MOST_REST = 127
# Which field's number a field's is near, and is written as the difference to; itself: to the cell's first run.
_NEAR = {
    "training_seconds": "training_seconds",
    "halfway_training_seconds": "training_seconds",  # half of it
    "validation_accuracy": "validation_accuracy",
    "test_accuracy": "validation_accuracy",
    "train_accuracy": None,
    "halfway_validation_accuracy": None,
    "halfway_test_accuracy": "halfway_validation_accuracy",
    "halfway_train_accuracy": "halfway_validation_accuracy",
}


def encode_runs(runs: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Columns (N,) for runs, and how they are written, as `decode_runs` needs it.

    Args:
        runs: (8, 3, N) float32 or float64, at least 0, in the order of FIELDS; NaN in all fields of runs that are not
            there, which are a cell's last.
    """
    columns: dict[str, np.ndarray] = {}
    how: dict[str, Any] = {"type": runs.dtype.name, "fields": {}}
    absent = np.isnan(runs[0])
    if absent.any():
        columns["runs"] = (RUNS - absent.sum(axis=0)).astype(np.uint8)
    whole: dict[str, np.ndarray] = {}
    for name in _NEAR:
        values = np.where(absent, runs.dtype.type(0), runs[FIELDS.index(name)])
        scales = _IMAGES if "accuracy" in name else (_MILLISECONDS,)
        scale, numbers, rest = next(filter(None, (_as_whole(values, scale) for scale in scales)), ("float", None, None))
        how["fields"][name] = scale
        if scale == "float":
            columns |= {f"{name}/{run}": values[run] for run in range(RUNS)}
            continue
        whole[name] = numbers
        for run in range(RUNS):
            columns[f"{name}/{run}"] = _unsigned(numbers[run] - _near(name, run, whole, how["fields"]))
            if rest[run].any():
                columns[f"{name}/{run}/rest"] = _unsigned(rest[run])
    return columns, how


def decode_runs(columns: dict[str, np.ndarray], how: dict[str, Any]) -> np.ndarray:
    """The inverse of `encode_runs`.

    Raises:
        ValueError, LookupError, TypeError: it was not written so, or holds what no training has.
    """
    kind = np.dtype(how["type"])
    if kind not in (np.float32, np.float64):
        raise ValueError(f"numbers of type {kind}")
    n = len(columns[f"{FIELDS[0]}/0"])
    runs = np.empty((len(FIELDS), RUNS, n), dtype=kind)
    whole: dict[str, np.ndarray] = {}
    for name in _NEAR:
        scale, values = how["fields"][name], runs[FIELDS.index(name)]
        if scale != "float":
            whole[name] = np.empty((RUNS, n), dtype=np.int32)
        for run in range(RUNS):
            column = columns[f"{name}/{run}"]
            if scale == "float":
                values[run] = column
                continue
            np.add(_signed(column), _near(name, run, whole, how["fields"]), out=whole[name][run])
            np.divide(whole[name][run], scale, out=values[run], casting="same_kind", dtype=np.float64)
            rest = columns.get(f"{name}/{run}/rest")
            if rest is not None:
                values[run].view(_bits(kind))[:] += _signed(rest)
        most = 1 if "accuracy" in name else np.finfo(kind).max
        if n and not (values.min() >= 0 and values.max() <= most):
            raise ValueError(f"{name} beyond what is possible")
    counts = columns.get("runs")
    if counts is not None:
        runs[:, np.arange(RUNS)[:, None] >= counts] = np.nan
    return runs


def _near(name: str, run: int, whole: dict[str, np.ndarray], scales: dict[str, Any]) -> np.ndarray | int:
    """What a run's numbers (N,) are written as the difference to: numbers that are read before them, or 0."""
    other = _NEAR[name]
    if other == name:
        return whole[name][0] if run else 0
    if other is None or scales[other] == "float" or scales[other] != scales[name]:
        return 0
    return whole[other][run] >> 1 if name == "halfway_training_seconds" else whole[other][run]


def _as_whole(values: np.ndarray, scale: int) -> tuple[int, np.ndarray, np.ndarray] | None:
    """Whole numbers k (int32) whose k / scale, rounded to the values' type, is the value, or for times a number at most
    127 places beside it; and how many places. None where that does not hold for all."""
    if float(values.max(initial=0)) * scale > 2**30:  # differences fit int32 as well
        return None
    numbers = np.rint(values.astype(np.float64) * scale).astype(np.int32)
    bits = _bits(values.dtype)
    rest = values.view(bits) - (numbers / scale).astype(values.dtype).view(bits)
    most = _MOST_REST if scale == _MILLISECONDS else 0
    return (scale, numbers, rest) if rest.min(initial=0) >= -most and rest.max(initial=0) <= most else None


def _bits(kind: np.dtype) -> type:
    """Integers in the order of the floating-point numbers (at least 0) with the same bits."""
    return np.int32 if kind == np.float32 else np.int64


def _unsigned(values: np.ndarray) -> np.ndarray:
    """0, -1, 1, -2, ... as 0, 1, 2, 3, ... in the smallest type: small numbers of either sign have empty high bytes."""
    values = values.astype(np.int32)
    folded = (values << 1 ^ values >> 31).view(np.uint32)
    return folded.astype(np.min_scalar_type(int(folded.max(initial=0))))


def _signed(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "u" or values.dtype.itemsize > 4:
        raise ValueError(f"whole numbers of type {values.dtype}")
    half, odd = (values >> 1).astype(np.int32), (values & 1).astype(np.int32)
    return half ^ -odd
