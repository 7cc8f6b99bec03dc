"""Trials of a search on a benchmark, and their results as JSON."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.benchmarks import Benchmark, find_benchmark
from cate_hf.core._files import atomic_output, check_output
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.search._fidelities import measure_by_halving
from cate_hf.search._registry import parse_algorithm
from cate_hf.search.evaluation import Evaluation
from cate_hf.search.runner import check_budget
from cate_hf.spaces import Space, get_space

if TYPE_CHECKING:
    from cate_hf.encodings import Encoding
    from cate_hf.search.base import Optimizer

__all__ = [
    "SearchSettings",
    "at_checkpoints",
    "encode_candidates",
    "run_search",
    "run_trial",
    "search_to_file",
]

_CHECKPOINTS = (50, 100, 150)  # queries at which regret is reported


@dataclass(frozen=True)
class SearchSettings:
    """What a search is, apart from where its results go.

    Attributes:
        space: a search space's name, its YAML file, or a `Space`.
        algorithm: as `parse_algorithm` reads it.
        queries, trials: a trial's number of queries, and the number of trials, with the seeds seed, seed + 1, ….
        benchmark: a name, a file, or None for the one that the space has anyway (`cate_hf.benchmarks.find_benchmark`);
            benchmark_options: of it.
        encoding: "adjacency"; "cate", the space's bundled checkpoint, or "universal" where it has none; the name or
            folder of another; or a Parquet file made by `cate encode`.
        guide_field, report_field: what the search is told, and what it is judged by, as `find_oracle` reads them.
        fidelities: of `SuccessiveHalving`, in the place of guide_field: fields of the benchmark from the cheapest to
            the one that counts, with their costs; queries is then the budget in measurements of the last.
    """

    space: str | os.PathLike | Space
    algorithm: str = "cate-dngo-ls"
    queries: int = 150
    trials: int = 10
    seed: int = 0
    benchmark: str | os.PathLike | None = None
    benchmark_options: Mapping[str, Any] = field(default_factory=dict)
    encoding: str = "cate"
    guide_field: str | None = None
    report_field: str | None = None
    fidelities: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        parse_algorithm(self.algorithm)
        if self.fidelities and self.guide_field:
            raise ValueError("fidelities: the last one guides the search; leave out the guide's field")
        if self.fidelities and parse_algorithm(self.algorithm)[1].get("leader", "value") != "value":
            raise ValueError(
                f"fidelities: the best is the highest value of the last one; {self.algorithm} takes another"
            )
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}")

    def check_budget(self, candidates: int | None) -> None:
        """Raise ValueError for a budget that no search of that many candidates can spend."""
        if self.trials < 1:
            raise ValueError(f"trials must be at least 1, not {self.trials}")
        check_budget(self.queries, candidates, "queries")


def run_trial(
    evaluation: Evaluation,
    algorithm: str,
    queries: int,
    seed: int,
    encodings: np.ndarray | None = None,
    encoding: "Encoding | None" = None,
    settings: Mapping[str, Any] | None = None,
    fidelities: Mapping[str, float] | None = None,
) -> dict:
    """Run one trial.

    Args:
        evaluation: the candidates and their values.
        algorithm: as `parse_algorithm` reads it.
        queries: how many candidates are evaluated.
        seed: of the search.
        encodings: (N, D) of the candidates, where the algorithm uses them.
        encoding: what made them, where it has steps of its own.
        settings: of the algorithm, besides those that its name gives.
        fidelities: as `SearchSettings` has them; the last one is the evaluation's guide.

    Returns:
        {"seed", "seconds", "report_field", "warning", "queries": [{"hash", "value", "reported"}], "best_so_far",
        "regret"}; best_so_far is the reported value of the query that the search itself thinks best, regret its
        distance to the best possible (None where that is not known). With fidelities each query has "fidelity" and
        "cost" too; there are as many queries as the budget paid for, and best_so_far and regret are those after the
        cost of 1, 2, … full measurements.
    """
    candidates = evaluation.candidates
    check_budget(queries, len(candidates), "queries")
    start = time.perf_counter()
    optimizer_class, named, looks = parse_algorithm(algorithm)
    settings = {**(settings or {}), **named}
    if settings.get("perturb") == "open" and evaluation.benchmark.tabular:
        name = evaluation.benchmark.name
        raise ValueError(f"{algorithm}: open steps need a benchmark that computes its results; {name} is a table")
    space = evaluation.benchmark.space
    optimizer = optimizer_class(space, candidates, seed, encodings if looks else None, encoding, **settings)
    if fidelities:
        told, values, leading, about = measure_by_halving(optimizer, evaluation, queries, fidelities)
    else:
        told, values, leading = _measure(optimizer, evaluation, queries)
        about = [{} for _ in told]
    candidates = optimizer.candidates
    seconds = time.perf_counter() - start
    reported = evaluation.report(told, candidates)
    best_so_far = reported[leading]
    best = evaluation.best_possible
    hashes = candidates.columns["hash"][told]
    seen = zip(hashes, values, reported, about, strict=True)
    return {
        "seed": seed,
        "seconds": seconds,
        "report_field": evaluation.report_field,
        "queries": [{"hash": str(h), "value": float(v), "reported": float(r), **more} for h, v, r, more in seen],
        "best_so_far": best_so_far.tolist(),
        "regret": None if best is None else (best - best_so_far).tolist(),
        "warning": evaluation.benchmark.check_best(candidates[int(told[leading[-1]])]),
    }


def _measure(optimizer: "Optimizer", evaluation: Evaluation, queries: int) -> tuple[list[int], list[float], np.ndarray]:
    """Rows and values of so many queries, and after each of them (queries,) the position of the one thought best."""
    leading: list[int] = []
    positions: dict[int, int] = {}
    while len(optimizer.rows) < queries:
        rows = optimizer.ask_rows(1)
        for row, value in zip(rows, evaluation.guide(rows, optimizer.candidates), strict=True):
            optimizer.tell_row(row, value)
            positions[row] = len(leading)
            failed = math.isnan(value) and (not leading or math.isnan(optimizer.values[leading[-1]]))
            leading.append(0 if failed else positions[optimizer.best_row()])  # failed: all of them so far
    return optimizer.rows, optimizer.values, np.array(leading)


def run_search(
    settings: SearchSettings,
    benchmark: Benchmark,
    encodings: np.ndarray | None = None,
    candidates: ArchitectureTable | None = None,
    on_trial: Callable[[dict], None] | None = None,
) -> dict:
    """Run all trials; at Ctrl-C the finished ones are returned, marked incomplete.

    Args:
        settings: what the search is.
        benchmark: of the settings' space.
        encodings: (N, D) of the candidates, where the algorithm needs them.
        candidates: those of the benchmark by default. Those without a value of the guide's field are left out.
        on_trial: called with each finished trial.

    Raises:
        ValueError: an unknown field, a budget that does not fit, encodings that do not fit.
    """
    space = get_space(settings.space)
    if benchmark.space.name != space.name:
        raise ValueError(f"the benchmark is of {benchmark.space.name}, not of {space.name}")
    candidates = benchmark.candidates() if candidates is None else candidates
    if encodings is not None and len(encodings) != len(candidates):
        raise ValueError(f"{len(encodings)} encodings for {len(candidates)} candidates")
    names = list(settings.fidelities or ())
    guide = names[-1] if names else settings.guide_field
    evaluation = Evaluation(benchmark, candidates, guide, settings.report_field, names[:-1])
    if encodings is not None and not evaluation.known.all():
        encodings = encodings[evaluation.known]
    settings.check_budget(len(evaluation.candidates))
    result: dict[str, Any] = {
        "space": space.name,
        "benchmark": benchmark.name,
        "algorithm": settings.algorithm,
        "candidates": len(evaluation.candidates),
        "queries": settings.queries,
        "seed": settings.seed,
        "guide_field": evaluation.guide_field,
        "report_field": evaluation.report_field,
        "guided_by": evaluation.guided_by.words,
        "reported": evaluation.judged_by.words,
        "fidelities": dict(settings.fidelities) if settings.fidelities else None,
        "best_possible": evaluation.best_possible,
        "complete": True,
        "trials": [],
    }
    try:
        for seed in range(settings.seed, settings.seed + settings.trials):
            trial = run_trial(
                evaluation, settings.algorithm, settings.queries, seed, encodings, fidelities=settings.fidelities
            )
            result["trials"].append(trial)
            if on_trial:
                on_trial(trial)
    except KeyboardInterrupt:
        result["complete"] = False
    result["summary"] = summary(result["trials"])
    return result


def at_checkpoints(curves: np.ndarray) -> dict[int, tuple[float, float]]:
    """Queries -> mean and standard error over the trials of curves (trials, queries), at 50, 100, 150 and the end.

    The error of a single trial is NaN.
    """
    points = sorted({q for q in _CHECKPOINTS if q <= curves.shape[1]} | {curves.shape[1]})
    error = curves.std(axis=0, ddof=1) / len(curves) ** 0.5 if len(curves) > 1 else np.full(curves.shape[1], np.nan)
    return {q: (float(curves[:, q - 1].mean()), float(error[q - 1])) for q in points}


def summary(trials: list[dict]) -> dict:
    """Mean and standard error, at 50, 100 and 150 queries and at the end, of the regret where it is known, and of the
    best so far; and seconds a trial.
    """
    if not trials:
        return {}
    result: dict[str, Any] = {}
    for name in ("regret", "best_so_far"):
        if trials[0][name] is None:
            continue
        found = at_checkpoints(np.array([trial[name] for trial in trials]))
        result[name] = {
            str(q): {"mean": mean, "standard_error": float(np.nan_to_num(error))} for q, (mean, error) in found.items()
        }
    return result | {"seconds_a_trial": float(np.mean([trial["seconds"] for trial in trials]))}


def search_to_file(
    settings: SearchSettings,
    output: str | os.PathLike,
    overwrite: bool = False,
    on_trial: Callable[[dict], None] | None = None,
    progress: bool = False,
) -> dict:
    """Load what a search needs, run it, and write one JSON file: what `cate search` does. Returns what it wrote."""
    check_output(output, overwrite)
    settings.check_budget(get_space(settings.space).size)
    benchmark = find_benchmark(settings.space, settings.benchmark, **settings.benchmark_options)
    candidates = benchmark.candidates(progress=progress)
    uses_encodings = parse_algorithm(settings.algorithm)[2]
    encodings = encode_candidates(settings.encoding, settings.space, candidates, progress) if uses_encodings else None
    result = run_search(settings, benchmark, encodings, candidates, on_trial)
    result["encoding"] = settings.encoding if uses_encodings else None
    with atomic_output(output, overwrite) as temporary:
        temporary.write_text(json.dumps(result) + "\n", encoding="utf-8")
    return result


def encode_candidates(
    encoding: "str | Encoding", space: str | os.PathLike | Space, candidates: ArchitectureTable, progress: bool = False
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
