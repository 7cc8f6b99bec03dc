"""Functions compiled by numba, and the mixing function that hashes and random streams share."""

from collections.abc import Callable

import numba

from cate_hf.core._numbers import splitmix64


def compiled(**options) -> Callable:
    """Return `numba.njit(**options)`, which keeps what it compiles on disk where there is a folder it may write to."""

    def decorate(function: Callable) -> Callable:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no such folder
            return numba.njit(**options)(function)

    return decorate


mix = compiled(nogil=True)(splitmix64)
