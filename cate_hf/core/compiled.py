"""Functions compiled by numba, and the mixing function that hashes and random streams share."""

from collections.abc import Callable

import numba
import numpy as np


def compiled(**options) -> Callable:
    """Return `numba.njit(**options)`, which keeps what it compiles on disk where there is a folder it may write to."""

    def decorate(function: Callable) -> Callable:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no such folder
            return numba.njit(**options)(function)

    return decorate


@compiled(nogil=True)
def mix(z):
    """A bijection of 64 bits that spreads each over all (the finaliser of SplitMix64); `mix.py_func` takes arrays."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
