"""The grid of trials of a comparison: a file each, written whole, so that what is finished is never done again."""

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cate_hf.benchmarks import find_benchmark
from cate_hf.core._files import atomic_output
from cate_hf.core._parallel import num_threads
from cate_hf.core._progress import progress_bar
from cate_hf.encodings import Encoding, encoding_names, get_encoding
from cate_hf.encodings.registry import check_encodings
from cate_hf.experiments._ray_tasks import check_ray, run_on_ray
from cate_hf.experiments.settings import NO_ENCODING, CompareSettings, check_folder, select
from cate_hf.search.evaluation import Evaluation
from cate_hf.search.run import encode_candidates, run_trial
from cate_hf.spaces import get_space

__all__ = ["run_grid"]

TRIALS_FOLDER, VECTORS_FOLDER = "trials", "encodings"
BACKENDS = ("loky", "ray")


def slug(name: str) -> str:
    """A name as a part of a file's name."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name.replace(NO_ENCODING, "none"))


def trial_file(folder: Path, algorithm: str, encoding: str, seed: int) -> Path:
    return folder / TRIALS_FOLDER / f"{slug(algorithm)}--{slug(encoding)}--{seed}.json"


@lru_cache(maxsize=1)
def _evaluation(settings: CompareSettings) -> Evaluation:
    """Candidates and their values, once a process."""
    benchmark = find_benchmark(settings.space, settings.benchmark)
    candidates = benchmark.candidates()
    candidates = candidates[select(candidates, settings)]
    evaluation = Evaluation(benchmark, candidates, settings.guide_field, settings.report_field)
    if settings.queries > len(evaluation.candidates):
        raise ValueError(
            f"queries must be 1 to {len(evaluation.candidates)}, the candidates with results, not {settings.queries}"
        )
    return evaluation


@lru_cache(maxsize=16)
def _maker(encoding: str, space: str) -> Encoding:
    """The encoding itself, once a process, for steps of its own."""
    return get_encoding(encoding, space)


def prepare(folder: Path, settings: CompareSettings, progress: bool = False) -> tuple[dict[str, Any], CompareSettings]:
    """Check the folder, and compute each encoding's vectors of the candidates once.

    Returns:
        what is compared, and all that the folder compares (see `check_folder`).

    Raises:
        ValueError: the folder holds something else, or a name, field or budget that does not fit.
    """
    encodings = list(dict.fromkeys(e for _, e in settings.arms() if e != NO_ENCODING))
    check_encodings(settings.encodings)
    for encoding in settings.encodings:
        # A wrong name is told before any work, and leaves no folder. One that no arm needs may be a known one that this
        # space cannot have, such as the default "cate" where no checkpoint is bundled.
        if Path(encoding).suffix != ".parquet" and (encodings or encoding not in encoding_names()):
            get_encoding(encoding, settings.space)
    evaluation = _evaluation(settings)
    whole = check_folder(folder, settings)
    (folder / TRIALS_FOLDER).mkdir(exist_ok=True)
    (folder / VECTORS_FOLDER).mkdir(exist_ok=True)
    for encoding in encodings:
        file = folder / VECTORS_FOLDER / f"{slug(encoding)}.npy"
        if not file.is_file():
            vectors = encode_candidates(encoding, settings.space, evaluation.candidates, progress)
            with atomic_output(file) as temporary:
                np.save(temporary, np.ascontiguousarray(vectors, dtype=np.float32))
    facts = {
        "space": get_space(settings.space).name,
        "benchmark": evaluation.benchmark.name,
        "candidates": len(evaluation.candidates),
        "best_possible": evaluation.best_possible,
        "guide_field": evaluation.guide_field,
        "report_field": evaluation.report_field,
        "guided_by": evaluation.guided_by.words,
        "reported": evaluation.judged_by.words,
    }
    return facts, whole


def run_one(folder: Path, settings: CompareSettings, algorithm: str, encoding: str, seed: int) -> Path:
    """One trial, in any process."""
    file = trial_file(folder, algorithm, encoding, seed)
    vectors, maker = None, None
    if encoding != NO_ENCODING:
        if algorithm.endswith("/encoding") and Path(encoding).suffix != ".parquet":
            maker = _maker(encoding, settings.space)
        vectors = np.load(folder / VECTORS_FOLDER / f"{slug(encoding)}.npy", mmap_mode="r", allow_pickle=False)
    evaluation = _evaluation(settings)
    options = settings.settings_of(algorithm)
    trial = run_trial(evaluation, algorithm, settings.queries, seed, vectors, maker, options)
    trial |= {"algorithm": algorithm, "encoding": encoding}
    with atomic_output(file, overwrite=True) as temporary:
        temporary.write_text(json.dumps(trial) + "\n", encoding="utf-8")
    return file


def run_grid(
    folder: Path, settings: CompareSettings, jobs: int = 1, backend: str = "loky", progress: bool = False
) -> dict[str, Any]:
    """All trials that the folder lacks; Ctrl-C, or a kill, leaves those that are finished.

    A folder may have other encodings, algorithms and more trials already: they stay, and are reported with these.

    Args:
        jobs: processes at a time; one runs in this process.
        backend: "loky" (processes of this machine, by joblib) or "ray" (a cluster that runs already, or a local one;
            see `run_on_ray`). On other machines the folder and the benchmark must have the same paths.

    Returns:
        what is compared (see `prepare`), and as `settings` all that the folder compares.

    Raises:
        ValueError: as `prepare`, a backend that is not installed, or a worker of Ray that died.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    if backend == "ray":
        check_ray()
    folder = Path(folder).absolute()
    facts, whole = prepare(folder, settings, progress)
    tasks = [
        (algorithm, encoding, settings.seed + number)
        for number in range(settings.trials)  # all arms of a seed first: an interrupted grid is still a comparison
        for algorithm, encoding in settings.arms()
    ]
    left = [task for task in tasks if not trial_file(folder, *task).is_file()]
    with progress_bar("trials", len(tasks), "trials", progress) as advance:
        advance(len(tasks) - len(left))
        for _ in _run(folder, settings, left, jobs, backend):
            advance(1)
    return facts | {"settings": whole}


def _run(folder: Path, settings: CompareSettings, tasks: list, jobs: int, backend: str) -> Iterator[Path]:
    if jobs == 1 and backend == "loky":
        yield from (run_one(folder, settings, *task) for task in tasks)
        return
    threads = max(1, num_threads() // jobs)
    # Jobs share the processors: threads beyond them only get into each other's way.
    if backend == "ray":
        yield from run_on_ray(_limited, [(threads, folder, settings, *task) for task in tasks], jobs)
        return
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend, n_jobs=jobs, inner_max_num_threads=threads):
        work = (delayed(_limited)(threads, folder, settings, *task) for task in tasks)
        yield from Parallel(return_as="generator_unordered")(work)


def _limited(threads: int, *arguments: Any) -> Path:
    import torch

    torch.set_num_threads(threads)
    return run_one(*arguments)


def read_trials(folder: Path, settings: CompareSettings) -> dict[tuple[str, str], list[dict]]:
    """The finished trials of each arm, by seed."""
    found: dict[tuple[str, str], list[dict]] = {}
    for algorithm, encoding in settings.arms():
        files = (trial_file(folder, algorithm, encoding, settings.seed + n) for n in range(settings.trials))
        found[algorithm, encoding] = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.is_file()]
    return found
