"""Trials of a search on a benchmark, and their results as JSON."""

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.benchmarks import Benchmark, find_benchmark
from cate_hf.core.files import atomic_output, check_output
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.search import parse_algorithm
from cate_hf.search.evaluation import Evaluation
from cate_hf.spaces import Space, get_space

if TYPE_CHECKING:
    from cate_hf.encodings import Encoding

CHECKPOINTS = (50, 100, 150)  # queries at which regret is reported


def run_trial(
    space: Space,
    evaluation: Evaluation,
    algorithm: str,
    queries: int,
    seed: int,
    encodings: np.ndarray | None = None,
    encoding: "Encoding | None" = None,
    settings: Mapping[str, Any] | None = None,
) -> dict:
    """One trial.

    Args:
        algorithm: as `parse_algorithm` reads it.
        encodings: (N, D) of the candidates, where the algorithm looks at them; encoding: what made them, where it has
            steps of its own.
        settings: of the algorithm, besides those that its name says.

    Returns:
        {"seed", "seconds", "report_field", "warning", "queries": [{"hash", "value", "reported"}], "best_so_far",
        "regret"}; best_so_far is the reported value of the query that the search itself thinks best, regret its
        distance to the best possible (None where that is not known).
    """
    candidates = evaluation.candidates
    _check_budget(queries, 1, len(candidates))
    start = time.perf_counter()
    optimizer_class, named, looks = parse_algorithm(algorithm)
    settings = {**(settings or {}), **named}
    if settings.get("perturb") == "open" and evaluation.benchmark.tabular:
        name = evaluation.benchmark.name
        raise ValueError(f"{algorithm}: open steps need a benchmark that computes its results; {name} is a table")
    optimizer = optimizer_class(space, candidates, seed, encodings if looks else None, encoding, **settings)
    while len(optimizer.rows) < queries:
        rows = optimizer.ask_rows(1)
        for row, value in zip(rows, evaluation.guide(rows, optimizer.candidates), strict=True):
            optimizer.tell_row(row, value)
    candidates = optimizer.candidates
    seconds = time.perf_counter() - start
    rows, values = np.array(optimizer.rows), np.array(optimizer.values)
    reported = evaluation.report(optimizer.rows, candidates)
    leader = np.maximum.accumulate(values)
    # The first query that reached each running maximum.
    leading = np.where(values > np.concatenate([[-np.inf], leader[:-1]]), np.arange(len(values)), 0)
    leading = np.maximum.accumulate(leading)
    best_so_far = reported[leading]
    best = evaluation.best_possible
    hashes = candidates.columns["hash"][rows]
    return {
        "seed": seed,
        "seconds": seconds,
        "report_field": evaluation.report_field,
        "queries": [
            {"hash": str(h), "value": float(v), "reported": float(r)}
            for h, v, r in zip(hashes, values, reported, strict=True)
        ],
        "best_so_far": best_so_far.tolist(),
        "regret": None if best is None else (best - best_so_far).tolist(),
        "warning": evaluation.benchmark.check_best(candidates[int(rows[leading[-1]])]),
    }


def _check_budget(queries: int, trials: int, candidates: int | None) -> None:
    """Raise ValueError for a budget that no search of that many candidates can spend."""
    if trials < 1:
        raise ValueError(f"trials must be at least 1, not {trials}")
    if queries < 1 or (candidates is not None and queries > candidates):
        most = "at least 1" if candidates is None else f"1 to {candidates}, the number of candidates"
        raise ValueError(f"queries must be {most}, not {queries}")


def run_search(
    space: str | os.PathLike | Space,
    benchmark: Benchmark,
    algorithm: str,
    queries: int,
    trials: int,
    seed: int,
    encodings: np.ndarray | None = None,
    candidates: ArchitectureTable | None = None,
    guide_field: str | None = None,
    report_field: str | None = None,
    on_trial: Callable[[dict], None] | None = None,
) -> dict:
    """Trials with the seeds seed, seed + 1, …; at Ctrl-C the finished ones are returned, marked incomplete.

    Args:
        encodings: (N, D) of the candidates, where the algorithm needs them.
        candidates: those of the benchmark by default. Those without a value of `guide_field` are left out.
        guide_field, report_field: what the search is told, and what it is judged by, as `find_oracle` reads them.

    Raises:
        ValueError: an unknown name, a budget that does not fit, encodings that do not fit.
    """
    parse_algorithm(algorithm)
    space = get_space(space)
    if benchmark.space.name != space.name:
        raise ValueError(f"the benchmark is of {benchmark.space.name}, not of {space.name}")
    candidates = benchmark.candidates() if candidates is None else candidates
    if encodings is not None and len(encodings) != len(candidates):
        raise ValueError(f"{len(encodings)} encodings for {len(candidates)} candidates")
    evaluation = Evaluation(benchmark, candidates, guide_field, report_field)
    if encodings is not None and not evaluation.known.all():
        encodings = encodings[evaluation.known]
    _check_budget(queries, trials, len(evaluation.candidates))
    result = {
        "space": space.name,
        "benchmark": benchmark.name,
        "algorithm": algorithm,
        "candidates": len(evaluation.candidates),
        "queries": queries,
        "seed": seed,
        "guide_field": evaluation.guide_field,
        "report_field": evaluation.report_field,
        "guided_by": evaluation.guided_by.words,
        "reported": evaluation.judged_by.words,
        "best_possible": evaluation.best_possible,
        "complete": True,
        "trials": [],
    }
    try:
        for number in range(trials):
            trial = run_trial(space, evaluation, algorithm, queries, seed + number, encodings)
            result["trials"].append(trial)
            if on_trial:
                on_trial(trial)
    except KeyboardInterrupt:
        result["complete"] = False
    result["summary"] = summary(result["trials"])
    return result


def in_words(name: str, field: str, value: float, error: float | None = None) -> str:
    """A regret or a best so far of a field, accuracies in percent."""
    scale, unit = (100, " %") if field.endswith("accuracy") else (1, "")
    spread = "" if error is None else f" ± {scale * error:.3f}"
    return f"{name.replace('_so_far', '')} {scale * value:.3f}{spread}{unit}"


def summary(trials: list[dict]) -> dict:
    """Mean and standard error, at 50, 100 and 150 queries and at the end, of the regret where it is known, and of the
    best so far; and seconds a trial."""
    if not trials:
        return {}
    result = {}
    for name in ("regret", "best_so_far"):
        if trials[0][name] is None:
            continue
        curves = np.array([trial[name] for trial in trials])
        points = sorted({q for q in CHECKPOINTS if q <= curves.shape[1]} | {curves.shape[1]})
        error = curves.std(axis=0, ddof=1) / len(curves) ** 0.5 if len(curves) > 1 else np.zeros(curves.shape[1])
        result[name] = {
            str(q): {"mean": float(curves[:, q - 1].mean()), "standard_error": float(error[q - 1])} for q in points
        }
    return result | {"seconds_a_trial": float(np.mean([trial["seconds"] for trial in trials]))}


def search_to_file(
    space: str | os.PathLike,
    benchmark: str | os.PathLike | None,
    encoding: str,
    algorithm: str,
    queries: int,
    trials: int,
    seed: int,
    output: str | os.PathLike,
    overwrite: bool = False,
    guide_field: str | None = None,
    report_field: str | None = None,
    on_trial: Callable[[dict], None] | None = None,
    progress: bool = False,
    **options: Any,
) -> dict:
    """What `cate search` does: load, run, write one JSON file; returns what it wrote.

    Args:
        benchmark: a name, a file, or None for the one that the space has anyway (`cate_hf.benchmarks.find_benchmark`).
        encoding: "adjacency"; "cate", the space's bundled checkpoint; the name or folder of another; or a Parquet file
            made by `cate encode`.
        **options: of the benchmark.
    """
    check_output(output, overwrite)
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    looks = parse_algorithm(algorithm)[2]
    _check_budget(queries, trials, get_space(space).size)
    results = find_benchmark(space, benchmark, **options)
    candidates = results.candidates(progress=progress)
    encodings = None
    if looks:
        encodings = encode_candidates(encoding, space, candidates, progress)
    result = run_search(
        space, results, algorithm, queries, trials, seed, encodings, candidates, guide_field, report_field, on_trial
    )
    result["encoding"] = encoding if looks else None
    with atomic_output(output, overwrite) as temporary:
        temporary.write_text(json.dumps(result) + "\n")
    return result


def encode_candidates(
    encoding: "str | Encoding",
    space: str | os.PathLike | Space,
    candidates: ArchitectureTable,
    progress: bool = False,
) -> np.ndarray:
    """(N, D) float32 by an encoding's name, a checkpoint, a Parquet file of encodings found by hash, or an encoding,
    which is fitted. Candidates of several cells have the encodings of each side by side.

    Raises:
        ValueError: nothing of that name, an encoding of another space, or a file that lacks candidates.
    """
    from cate_hf.encodings import get_encoding
    from cate_hf.encodings.files import read_encodings

    if isinstance(encoding, str) and Path(encoding).suffix == ".parquet":
        if parts := getattr(candidates, "parts", None):
            return np.hstack([read_encodings(encoding, _with_hash(space, part)) for part in parts])
        return read_encodings(encoding, candidates)
    found = get_encoding(encoding, space) if isinstance(encoding, str | os.PathLike) else encoding
    if found.learned:  # of the space, whichever candidates are looked at
        found.fit(found.space.pool(progress=progress), progress)
    parts = [_with_hash(space, part) for part in getattr(candidates, "parts", None) or ()]
    return np.hstack([found.transform(part) for part in parts]) if parts else found.transform(candidates)


def _with_hash(space: str | os.PathLike | Space, table: ArchitectureTable) -> ArchitectureTable:
    return get_space(space).with_costs(table)
