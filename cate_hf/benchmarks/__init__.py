"""What an architecture scores: benchmarks by name, or a table of one's own. Adding one is adding one folder."""

import os
from pathlib import Path
from typing import Any

from cate_hf.benchmarks.base import Benchmark
from cate_hf.benchmarks.table.table_benchmark import TableBenchmark
from cate_hf.core._files import check_fetched, check_no_folder
from cate_hf.core._names import Catalog, unknown
from cate_hf.graphs._columns import TABLE_SUFFIXES
from cate_hf.spaces import Space, get_space

CATALOG = Catalog.of_folders("cate_hf.benchmarks", "benchmark", "BENCHMARK", "benchmark")


def benchmark_names() -> list[str]:
    """Names of the benchmarks that `load_benchmark` knows."""
    return CATALOG.names()


def load_benchmark(
    name: str | os.PathLike,
    path: str | os.PathLike | None = None,
    space: "str | os.PathLike | Space | None" = None,
    **options: Any,
) -> Benchmark:
    """A benchmark by its name, read from a file that the user has where it needs one; or a table of one's own.

        load_benchmark("nasbench101", path="nasbench_only108.tfrecord")
        load_benchmark("my_results.csv", space="my_space.yaml")

    Args:
        name: of a benchmark, or a file of architectures and metrics (see `TableBenchmark`).
        path: file or folder of the benchmark.
        space: of a table; the space of a benchmark that has a name is known.
        **options: the benchmark's own.

    Raises:
        ValueError: no benchmark of that name (the message has the nearest), or a file that does not hold it.
    """
    check_fetched(name if path is None else path)
    if str(name) in benchmark_names():
        benchmark = CATALOG.get(str(name))
        if space is not None and get_space(space).name != benchmark.space_name:
            raise ValueError(f"the benchmark {name} is of {benchmark.space_name}, not of {get_space(space).name}")
        known = benchmark.option_names()
        for option in options:
            if option not in known:
                raise ValueError(f"the benchmark {name} has no option {option!r}; it has {', '.join(known)}")
        if path is None and benchmark.needs_path:
            raise ValueError(f"the benchmark {name} is read from a file of yours: give its path")
        return benchmark.open(path, **options)
    if Path(name).suffix in TABLE_SUFFIXES:
        if space is None:
            raise ValueError(f"{name}: a table needs its search space: load_benchmark({str(name)!r}, space=...)")
        if path is not None:
            raise ValueError(f"give either a benchmark's name and a path, or a table: got {name} and {path}")
        return TableBenchmark(name, space, **options)
    check_no_folder(name, f"a benchmark's name or a file ending in {', '.join(TABLE_SUFFIXES)}")
    raise unknown("benchmark", name, benchmark_names())


def find_benchmark(
    space: "str | os.PathLike | Space", source: str | os.PathLike | None = None, **options: Any
) -> Benchmark:
    """The benchmark of a space from what a command line gives.

    Args:
        source: a benchmark's name, `name=path`, or a file; a file is read as the space's own benchmark where there is
            one that can, else, or where it is written `table=path`, as a table of one's own. None: the
            space's benchmark that needs no file.

    Raises:
        ValueError: the space has no such benchmark.
    """
    space = get_space(space)
    own = [name for name in benchmark_names() if CATALOG.get(name).space_name == space.name]
    if source is None:
        ready = [name for name in own if not CATALOG.get(name).needs_path]
        if not ready:
            raise ValueError(f"{space.name} has no benchmark that comes with a package; name a file of results")
        return load_benchmark(ready[0], **options)
    kind, equals, path = str(source).partition("=")
    if equals and kind == "table":
        return load_benchmark(path, space=space, **options)
    if equals and kind in benchmark_names():
        return load_benchmark(kind, path, space, **options)
    if str(source) in benchmark_names():
        return load_benchmark(str(source), space=space, **options)
    if not own:
        return load_benchmark(source, space=space, **options)
    try:
        return load_benchmark(own[0], source, **options)
    except ValueError as error:
        if Path(source).suffix.lower() not in TABLE_SUFFIXES or options:
            raise
        try:
            return load_benchmark(source, space=space)
        except ValueError as of_table:
            raise ValueError(f"{error}; nor a table of one's own: {of_table}") from None


__all__ = ["Benchmark", "benchmark_names", "find_benchmark", "load_benchmark"]
