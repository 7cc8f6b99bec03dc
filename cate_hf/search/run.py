"""Trials of a search on a benchmark, and their results as JSON."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cate_hf.benchmarks import Benchmark, load_benchmark
from cate_hf.files import atomic_output, check_output
from cate_hf.search import get_algorithm
from cate_hf.spaces import Space, get_space
from cate_hf.table import ArchitectureTable

CHECKPOINTS = (50, 100, 150)  # queries at which regret is reported


def run_trial(
    space: Space,
    candidates: ArchitectureTable,
    guide: np.ndarray,
    report: np.ndarray,
    best_possible: float,
    algorithm: str,
    queries: int,
    seed: int,
    encodings: np.ndarray | None = None,
) -> dict:
    """One trial.

    Args:
        guide, report: (N,) values of the candidates: what the search is told, and what its regret is measured by.
        best_possible: highest value of the reported field among the candidates.

    Returns:
        {"seed", "seconds", "queries": [{"hash", "value", "reported"}], "best_so_far", "regret"}; best_so_far is the
        reported value of the query that the search itself thinks best, regret its distance to best_possible.
    """
    _check_budget(queries, 1, len(candidates))
    start = time.perf_counter()
    optimizer = get_algorithm(algorithm)(space, candidates, seed, encodings)
    while len(optimizer.rows) < queries:
        for row in optimizer.ask_rows(1):
            optimizer.tell_row(row, guide[row])
    seconds = time.perf_counter() - start
    rows, values = np.array(optimizer.rows), np.array(optimizer.values)
    leader = np.maximum.accumulate(values)
    # The first query that reached each running maximum.
    leading = np.where(values > np.concatenate([[-np.inf], leader[:-1]]), np.arange(len(values)), 0)
    leading = np.maximum.accumulate(leading)
    best_so_far = report[rows[leading]]
    hashes = candidates.columns["hash"][rows]
    return {
        "seed": seed,
        "seconds": seconds,
        "queries": [
            {"hash": h.decode(), "value": float(v), "reported": float(report[r])}
            for h, v, r in zip(hashes, values, rows, strict=True)
        ],
        "best_so_far": best_so_far.tolist(),
        "regret": (best_possible - best_so_far).tolist(),
    }


def _check_budget(queries: int, trials: int, candidates: int | None) -> None:
    """Raise ValueError for a budget that no search of that many candidates can spend."""
    if trials < 1:
        raise ValueError(f"trials must be at least 1, not {trials}")
    if queries < 1 or (candidates is not None and queries > candidates):
        most = "at least 1" if candidates is None else f"1 to {candidates}, the number of candidates"
        raise ValueError(f"queries must be {most}, not {queries}")


def run_search(
    space: str,
    benchmark: Benchmark,
    algorithm: str,
    queries: int,
    trials: int,
    seed: int,
    encodings: np.ndarray | None = None,
    candidates: ArchitectureTable | None = None,
    guide_field: str = "test_accuracy",
    report_field: str = "test_accuracy",
    on_trial: Callable[[dict], None] | None = None,
) -> dict:
    """Trials with the seeds seed, seed + 1, …; at Ctrl-C the finished ones are returned, marked incomplete.

    Args:
        encodings: (N, D) of the candidates, where the algorithm needs them.
        candidates: all architectures of the space by default. Those without a value of `guide_field` are left out.

    Raises:
        ValueError: an unknown name, a budget that does not fit, encodings that do not fit.
    """
    get_algorithm(algorithm)
    space_object = get_space(space)
    if benchmark.space.name != space_object.name:
        raise ValueError(f"the benchmark is of {benchmark.space.name}, not of {space_object.name}")
    candidates = space_object.enumerate() if candidates is None else candidates
    if encodings is not None and len(encodings) != len(candidates):
        raise ValueError(f"{len(encodings)} encodings for {len(candidates)} candidates")
    guide = benchmark.query_many(candidates, guide_field, missing="nan")
    report = benchmark.query_many(candidates, report_field, missing="nan")
    known = ~(np.isnan(guide) | np.isnan(report))
    if not known.all():
        candidates, guide, report = candidates[known], guide[known], report[known]
        encodings = None if encodings is None else encodings[known]
    _check_budget(queries, trials, len(candidates))
    best_possible = float(report.max())
    result = {
        "space": space,
        "algorithm": algorithm,
        "candidates": len(candidates),
        "queries": queries,
        "seed": seed,
        "guided_by": benchmark.oracle(guide_field),
        "reported": benchmark.oracle(report_field),
        "best_possible": best_possible,
        "complete": True,
        "trials": [],
    }
    try:
        for number in range(trials):
            trial = run_trial(
                space_object,
                candidates,
                guide,
                report,
                best_possible,
                algorithm,
                queries,
                seed + number,
                encodings,
            )
            result["trials"].append(trial)
            if on_trial:
                on_trial(trial)
    except KeyboardInterrupt:
        result["complete"] = False
    result["summary"] = summary(result["trials"])
    return result


def summary(trials: list[dict]) -> dict:
    """Mean and standard error of the regret at 50, 100 and 150 queries and at the end, and seconds a trial."""
    if not trials:
        return {}
    regrets = np.array([trial["regret"] for trial in trials])
    points = sorted({q for q in CHECKPOINTS if q <= regrets.shape[1]} | {regrets.shape[1]})
    error = regrets.std(axis=0, ddof=1) / len(regrets) ** 0.5 if len(regrets) > 1 else np.zeros(regrets.shape[1])
    return {
        "regret": {
            str(q): {"mean": float(regrets[:, q - 1].mean()), "standard_error": float(error[q - 1])} for q in points
        },
        "seconds_a_trial": float(np.mean([trial["seconds"] for trial in trials])),
    }


def search_to_file(
    space: str,
    benchmark_path: str | os.PathLike,
    encoding: str,
    algorithm: str,
    queries: int,
    trials: int,
    seed: int,
    output: str | os.PathLike,
    overwrite: bool = False,
    guide_field: str = "test_accuracy",
    report_field: str = "test_accuracy",
    on_trial: Callable[[dict], None] | None = None,
    progress: bool = False,
) -> dict:
    """What `cate search` does: load, run, write one JSON file; returns what it wrote.

    Args:
        encoding: "adjacency"; "cate", the space's bundled checkpoint; the name or folder of another; or a Parquet file
            made by `cate encode`.
    """
    check_output(output, overwrite)
    algorithm_class = get_algorithm(algorithm)
    _check_budget(queries, trials, get_space(space).size)
    benchmark = load_benchmark(space, benchmark_path)
    candidates = get_space(space).enumerate(progress=progress)
    encodings = None
    if algorithm_class.needs_encodings:
        encodings = encode_candidates(encoding, space, candidates, progress)
    result = run_search(
        space, benchmark, algorithm, queries, trials, seed, encodings, candidates, guide_field, report_field, on_trial
    )
    result["encoding"] = encoding if algorithm_class.needs_encodings else None
    with atomic_output(output, overwrite) as temporary:
        temporary.write_text(json.dumps(result) + "\n")
    return result


def encode_candidates(encoding: str, space: str, candidates: ArchitectureTable, progress: bool = False) -> np.ndarray:
    """(N, D) float32 by a fixed encoding, a checkpoint, or a Parquet file of encodings found by hash."""
    from cate_hf.encodings import encoding_names, get_encoding
    from cate_hf.encodings.files import read_encodings

    if encoding in encoding_names():
        return get_encoding(encoding, space).transform(candidates)
    if Path(encoding).suffix == ".parquet":
        return read_encodings(encoding, candidates)
    from cate_hf.hub.checkpoints import load_encoder

    encoder = load_encoder(space if encoding == "cate" else encoding)
    if encoder.space != space:
        raise ValueError(f"{encoding} is a checkpoint of {encoder.space}, not of {space}")
    return encoder.encode(candidates, progress=progress)
