"""Kernels on all cores: a kernel works through chunks of rows, and threads take the next chunk until none is left.

What a chunk computes depends on its number alone, so neither the number of threads nor their timing changes a bit of
the result. The threads are those of torch (its OpenMP library is asked by name), because two pools of threads on the
same cores spin at each other. Where there is no such library, they are Python's.
"""

import ctypes
import functools
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import torch
from numba import types

VERSION = zlib.crc32(b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py"))))
"""Of the sources of all kernels."""
CHUNK, CHUNKS = 0, 1  # of a kernel's arguments, the next chunk and the number of chunks
FIRST = 2
"""Where a kernel's own arguments begin."""


def inlined(function: Callable) -> Callable:
    """A part of kernels, compiled into each."""
    # Without entry points of its own: it is called by kernels alone.
    options = {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(function, nogil=True, error_model="numpy", **options)


def kernel(function: Callable) -> Callable:
    """Compile `function(arguments: int64)` into one of C that takes the address of an array of int64. It is kept on
    disk where there is a folder to write to.

    It is found there by its source, its file's time and the numbers that it encloses: one of them should be `VERSION`,
    and none a compiled function, which has another identity in each process.
    """
    signature = types.void(types.int64)
    try:
        compiled = numba.cfunc(signature, cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no such folder
        compiled = numba.cfunc(signature, nogil=True, error_model="numpy")(function)
    pointer = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(compiled.address)
    pointer.kept_alive = compiled  # type: ignore[attr-defined]  # any attribute may be set
    return pointer


def run(function: Callable, chunks: int, *arguments: int) -> None:
    """Call a kernel for chunks 0 … chunks - 1, on as many threads as torch uses here."""
    values = (ctypes.c_int64 * (FIRST + len(arguments)))(0, chunks, *arguments)
    threads = min(torch.get_num_threads(), chunks)
    if threads < 2:
        function(values)
    elif (parallel := _openmp()) is not None:
        parallel(function, values, threads, 0)
    else:
        list(_pool(threads).map(function, [values] * threads))


@functools.cache
def _openmp() -> Callable | None:
    """GOMP_parallel(function, data, threads, flags) of the library that torch has loaded, or None. Wheels of torch
    bring their own, under a name with a hash in some."""
    brought = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    for name in (*map(str, brought), "libgomp.so.1"):
        try:
            function = ctypes.CDLL(name, mode=getattr(ctypes, "RTLD_NOLOAD", 4)).GOMP_parallel
        except (OSError, AttributeError):
            continue
        function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
        function.restype = None
        return function
    return None


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def bits(number: float) -> int:
    """A float32 as the integer of its bits."""
    return struct.unpack("<I", struct.pack("<f", number))[0]
