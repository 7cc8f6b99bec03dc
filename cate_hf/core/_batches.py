"""Batches of an encoding, computed by several threads."""

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = ["run_on_cores"]


def run_on_cores(function: "Callable[[int], int]", items: "Sequence[int]") -> Iterator[int]:
    """`map`, in the order in which results come, with as many threads as torch would use within one operation, each of
    which then uses one.

    Batches are independent, small operations are not worth sharing among cores: this is faster, and does not collapse
    when other programs want the cores too. At most two items a thread are in flight.

    Threads and queues by hand rather than an executor: Ctrl-C within `Future.result` can leave its lock taken, and the
    thread that would then set the result waits for ever. `SimpleQueue` has no such moment.
    """
    import torch

    cores = torch.get_num_threads()
    count = min(cores, len(items))
    if count < 2:
        yield from map(function, items)
        return
    work: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    results: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def worker() -> None:
        while (item := work.get()) is not None:
            try:
                results.put((function(item), None))
            except BaseException as error:
                results.put((None, error))

    torch.set_num_threads(1)  # before the threads start: each takes this number when it first computes
    threads = [threading.Thread(target=worker, daemon=True) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        waiting = iter(items)
        running = 0
        for item in itertools.islice(waiting, 2 * count):
            work.put(item)
            running += 1
        while running:
            result, error = results.get()
            running -= 1
            if error is not None:
                raise error
            for item in itertools.islice(waiting, 1):
                work.put(item)
                running += 1
            yield result
    finally:
        with contextlib.suppress(queue.Empty):
            while True:
                work.get_nowait()
        for _ in threads:
            work.put(None)
        torch.set_num_threads(cores)
        for thread in threads:
            if thread.ident is not None:
                thread.join()
