"""Networks measured side by side, by processes of one thread each."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._parallel import num_threads

if TYPE_CHECKING:
    from cate_hf.graphs.table import ArchitectureTable
    from cate_hf.spaces.base import Space
    from cate_hf.statistics.initialisation import InitialisationSettings

_FEW = 32  # networks that are measured before other processes would have started
_WATCH_SECONDS = 2.0
_IDLE_SECONDS = 20  # then a process ends, which holds some hundred megabytes


def measure_rows(
    space: "Space",
    table: "ArchitectureTable",
    settings: "InitialisationSettings",
    seeds: list[int],
    row_numbers: np.ndarray | None = None,
) -> np.ndarray:
    """(n, seeds, T) float64 of each network of a table and each seed, one after the other in this process.

    Args:
        row_numbers: (n,) what the errors call the rows.

    Raises:
        ValueError: a network cannot be built or run; names the row.
    """
    from cate_hf.statistics._network_measures import NAMES, measure
    from cate_hf.statistics._small_network import SmallNetwork

    built = settings.build_settings(space)
    numbers = np.empty((len(table), len(seeds), len(NAMES)))
    with _one_thread():
        for row, architecture in enumerate(table):
            try:
                network = SmallNetwork(space, architecture, built)
                for i, seed in enumerate(seeds):
                    numbers[row, i] = measure(network, seed, settings.batch, settings.image_size)
            except ValueError as error:
                number = row if row_numbers is None else int(row_numbers[row])
                raise ValueError(f"row {number}: {error}") from None
    return numbers


def run_tasks(
    space: "Space",
    table: "ArchitectureTable",
    row_numbers: np.ndarray,
    settings: "InitialisationSettings",
    tasks: list[tuple[np.ndarray, np.ndarray]],
    jobs: int | None,
) -> Iterator[tuple[int, np.ndarray]]:
    """The number of a task and what `measure_rows` gives for it, in the order in which they come.

    Args:
        row_numbers: (N,) what the errors call the rows of the table.
        tasks: rows of the table, and the numbers of initialisations (0 is the seed of the settings).
        jobs: processes; `num_threads()` when None, and none besides this one for a few networks.
    """
    import joblib

    networks = sum(len(rows) * len(seeds) for rows, seeds in tasks)
    jobs = min(num_threads() if jobs is None else jobs, len(tasks))
    parts = (
        (i, table[rows], row_numbers[rows], (settings.seed + seeds).tolist()) for i, (rows, seeds) in enumerate(tasks)
    )
    if jobs == 1 or networks <= _FEW:
        for i, part, numbers, seeds in parts:
            yield i, measure_rows(space, part, settings, seeds, numbers)
        return
    told = space.name if _is_known_by_name(space) else space
    calls = (joblib.delayed(_in_worker)(os.getpid(), i, told, part, settings, seeds, n) for i, part, n, seeds in parts)
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1, idle_worker_timeout=_IDLE_SECONDS):
        yield from joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(calls)


def _is_known_by_name(space: "Space") -> bool:
    from cate_hf.spaces.registry import CATALOG

    return space.name in CATALOG.own and type(space) is CATALOG.get(space.name)


def _in_worker(parent: int, task: int, space: Any, *arguments: Any) -> tuple[int, np.ndarray]:
    from cate_hf.spaces import get_space

    _end_with(parent)
    table, settings, seeds, row_numbers = arguments
    return task, measure_rows(get_space(space), table, settings, seeds, row_numbers)


def _end_with(parent: int) -> None:
    """Let this process end when its parent has: one that is killed cannot tell its workers, who would wait for more."""
    if _WATCHED:
        return
    _WATCHED.add(parent)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    if os.getppid() == parent:
        threading.Thread(target=watch, daemon=True).start()


_WATCHED: set[int] = set()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Small operations are not worth sharing among cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
