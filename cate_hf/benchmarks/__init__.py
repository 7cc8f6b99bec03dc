"""What an architecture scores: benchmarks by name. Adding one is a module and a line here."""

import difflib
import importlib
import os

from cate_hf.benchmarks.base import Benchmark

_BENCHMARKS = {"nasbench101": "cate_hf.benchmarks.nasbench101:NasBench101Benchmark"}


def benchmark_names() -> list[str]:
    return sorted(_BENCHMARKS)


def load_benchmark(name: str, path: str | os.PathLike) -> Benchmark:
    """The benchmark of a search space, read from a file that the user has.

    Raises:
        ValueError: no benchmark of that name (the message has the nearest), or a file that does not hold it.
    """
    if name not in _BENCHMARKS:
        near = difflib.get_close_matches(str(name), _BENCHMARKS, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(benchmark_names())}"
        raise ValueError(f"unknown benchmark {name!r}; {hint}")
    module, class_name = _BENCHMARKS[name].split(":")
    return getattr(importlib.import_module(module), class_name)(path)


__all__ = ["Benchmark", "benchmark_names", "load_benchmark"]
