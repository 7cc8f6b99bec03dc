"""Array work in chunks, shared among threads."""

import itertools
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

__all__ = ["num_threads", "one_thread_a_product", "over_chunks"]

THREADS_VARIABLE = "CATE_HF_THREADS"  # threads of all processes of this machine together; its processors by default

_T = TypeVar("_T")


def num_threads() -> int:
    """How many threads to use: the least of CATE_HF_THREADS, OMP_NUM_THREADS and the processors of this process."""
    limits = [os.environ.get(name, "") for name in (THREADS_VARIABLE, "OMP_NUM_THREADS")]
    return min([available_processors(), *(max(1, int(limit)) for limit in limits if limit.isdecimal())])


def available_processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(1)
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread_a_product():
    """A context in which products and factorisations of matrices use one thread each: small ones are faster so, and
    the bits of a result do not depend on how many there would be.
    """
    return _libraries().limit(limits=1, user_api="blas")


def over_chunks(function: Callable[[slice], _T], rows: int, chunk: int, products: bool = True) -> list[_T]:
    """`function` of each slice of `chunk` rows, results in their order.

    A thread takes the next chunk as soon as it is free, and matrix products within one use one thread: this does not
    collapse when other programs want the processors too. Where a chunk ends, and so every bit of a result, does not
    depend on the number of threads.

    Args:
        products: whether the function multiplies matrices; setting their threads takes about 0.2 ms.

    Raises:
        whatever a call raises, the first of them.
    """
    starts = range(0, rows, chunk)
    results: list = [None] * len(starts)
    errors: list[BaseException] = []
    turn = itertools.count()  # `next` of it is one step of the interpreter: no two threads get the same
    stopped = threading.Event()

    def work() -> None:
        while not stopped.is_set() and (i := next(turn)) < len(starts):
            try:
                results[i] = function(slice(starts[i], min(starts[i] + chunk, rows)))
            except BaseException as error:
                errors.append(error)
                stopped.set()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(num_threads(), len(starts)) - 1)]
    with one_thread_a_product() if products else nullcontext():
        try:
            for thread in threads:
                thread.start()
            work()
        finally:
            stopped.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
    if errors:
        raise errors[0]
    return results
