"""What all tabs read: spaces, encodings, results and predictors that come with the package, each made once.

Nothing here holds what a user pasted or uploaded.
"""

import threading
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.benchmarks import CATALOG, Benchmark, benchmark_names, find_benchmark
from cate_hf.encodings import get_encoding
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.hub._layout import checkpoint_names
from cate_hf.predictor import fit_predictor, load_predictor
from cate_hf.predictor.explain import explain
from cate_hf.predictor.files import predictor_names
from cate_hf.spaces import Space, get_space, space_names

if TYPE_CHECKING:
    from cate_hf.predictor.model import Predictor


SAMPLE = 10_000  # architectures that stand for a space with more
LABELS = 150  # that the predictor of a space with results of its own learns from
_WORDS = {
    "cate": "pre-trained",
    "universal": "any space",
    "structure": "statistics",
    "adjacency": "one-hot",
    "path-truncated": "short paths",
}
ENCODINGS = tuple(_WORDS)
"""Names of the encodings that are offered."""


def _once(function: Callable) -> Callable:
    """Make a function of names compute each result once, whichever thread asks first; errors are not kept."""
    kept: dict[tuple, Any] = {}
    locks: dict[tuple, threading.Lock] = {}
    guard = threading.Lock()

    @wraps(function)
    def looked_up(*names: str) -> Any:
        if names not in kept:
            with guard:
                lock = locks.setdefault(names, threading.Lock())
            with lock:
                if names not in kept:
                    kept[names] = function(*names)
        return kept[names]

    return looked_up


def known_spaces() -> list[str]:
    """Names of the spaces that the app knows, the one with results and a checkpoint of its own first."""
    return sorted(space_names(), key=lambda name: (name not in _with_results(), name not in checkpoint_names(), name))


def _with_results() -> set[str]:
    known = [CATALOG.get(name) for name in benchmark_names()]
    return {benchmark.space_name for benchmark in known if not benchmark.needs_path}


def encodings_of(space: str) -> list[str]:
    """Names of the encodings that are offered for a space."""
    return [name for name in ENCODINGS if name != "cate" or space in checkpoint_names()]


def choices(space: str | None = None) -> list[tuple[str, str]]:
    """Encodings with what they are, in words, for a list to choose from; those of a space, or all."""
    names = ENCODINGS if space is None else encodings_of(space)
    return [(f"{name} ({_WORDS[name]})", name) for name in names]


def check_encoding(space: str, encoding: str) -> None:
    """Raise ValueError for an encoding that is not offered for a space."""
    if encoding not in (offered := encodings_of(space)):
        raise ValueError(f"{space} has no encoding {encoding!r}; it has {', '.join(offered)}")


@_once
def bounded_pool(space: str) -> ArchitectureTable:
    """The architectures of a space, or `SAMPLE` of them at random, with columns hash and the costs."""
    known: Space = get_space(space)
    pool = known.pool() if known.size is not None else known.with_costs(known.sample(SAMPLE, seed=0))
    if len(pool) > SAMPLE:
        pool = pool[np.sort(np.random.default_rng(0).choice(len(pool), SAMPLE, replace=False))]
    return pool.replace_columns({name: pool.columns[name] for name in ("hash", *known.cost_names)})


@_once
def _fitted(space: str, encoding: str) -> Any:
    """An encoding, and what guards it: models and caches within are not made for several threads."""
    return get_encoding(encoding, space), threading.Lock()


def encode(space: str, encoding: str, table: ArchitectureTable) -> np.ndarray:
    """(N, D) float32 of architectures of a space."""
    found, lock = _fitted(space, encoding)
    with lock:
        return found.transform(table)


@_once
def encoded(space: str, encoding: str) -> np.ndarray:
    """(N, D) float32 of `bounded_pool`."""
    return encode(space, encoding, bounded_pool(space))


@_once
def results_of(space: str) -> Benchmark | None:
    """The results that come with the package for a space, None where there are none."""
    return find_benchmark(space) if space in _with_results() else None


def accuracies(space: str, table: ArchitectureTable) -> np.ndarray | None:
    """(N,) float64 of a table with a hash column, NaN where none is known; None of a space without results."""
    benchmark = results_of(space)
    return None if benchmark is None else benchmark.query_many(table, benchmark.default_field, missing="nan")


@_once
def predictor_of(space: str) -> "tuple[Predictor, threading.Lock] | None":
    """A predictor of accuracy of a space, and what guards it: the bundled one, or one fitted to `LABELS` of the results
    that come with the package; None where there is neither.
    """
    if (name := f"{space}-accuracy") in predictor_names():
        return load_predictor(name), threading.Lock()
    benchmark = results_of(space)
    if benchmark is None:
        return None
    labelled = get_space(space).sample(LABELS, seed=0)
    values = benchmark.query_many(labelled, benchmark.default_field)
    fitted = fit_predictor(labelled, values, encoder=space, seed=0, **FIT)
    return fitted, threading.Lock()


FIT: dict[str, Any] = {"members": 0, "wiring": False}
"""Settings of predictors that are fitted while somebody waits: the simple parts, without the canonical adjacency."""


def warm_up(spaces: list[str] | None = None) -> threading.Thread:
    """Start to make, in the background, what the first clicks need; returns the thread."""

    def work() -> None:
        for space in spaces or known_spaces():
            encoded(space, encodings_of(space)[0])
            results_of(space)
            if (found := predictor_of(space)) is not None:
                predictor, lock = found
                with lock:
                    explain(predictor, predictor.space.example())  # compiles what the first click would wait for

    thread = threading.Thread(target=work, name="cate-app-warm-up", daemon=True)
    thread.start()
    return thread
