"""Tables of architectures as files and data sets: Parquet, JSON Lines, `datasets`.

Parquet has a public form, that of `table_arrow`, and a packed one for caches, which is the table's own arrays. Files in
the public form are written and read by parts, so that memory stays small; pages carry checksums that are compared.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cate_hf.core._files import atomic_output, check_fetched, check_no_folder, check_output
from cate_hf.core._names import printable
from cate_hf.graphs._columns import JSON_SUFFIXES, PARQUET_SUFFIXES, TABLE_SUFFIXES, read_columns
from cate_hf.graphs._graph_columns import plain_columns
from cate_hf.graphs._hashes import hash_bytes, hash_text
from cate_hf.graphs._table_arrow import (
    GRAPH_COLUMNS,
    PART_ROWS,
    VOCABULARY_KEY,
    check_graph_columns,
    fixed_binary,
    from_arrow,
    from_dataset,
    from_parts,
    object_types,
    to_arrow,
)
from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.table import ArchitectureTable, unknown_operation

if TYPE_CHECKING:
    import datasets

__all__ = [
    "JSON_SUFFIXES",
    "PARQUET_SUFFIXES",
    "count_rows",
    "from_dataset",
    "read_architectures",
    "read_parquet",
    "read_parts",
    "readable_parquet",
    "to_dataset",
    "write_groups",
    "write_parquet",
]

GROUP_ROWS = 65_536
"""Rows of a row group at most: what a reader of a stream holds at a time."""
_GROUP_ENTRIES = 1 << 23  # adjacency entries of a row group at most, about
_BUFFER_BYTES = 1 << 20  # of a column, where a file is read by parts
_PACKED_KEY = b"cate_hf.packed"
_PACKED = ("operation_codes", "edge_bits", "num_nodes")


def check_parquet_output(path: str | os.PathLike, overwrite: bool = False) -> None:
    """Refuse, before any work is done, an output that is no Parquet file by its name, or as `check_output`."""
    if Path(path).suffix.lower() not in PARQUET_SUFFIXES:
        raise ValueError(
            f"output {path}: Parquet is written, expected a file ending in {' or '.join(PARQUET_SUFFIXES)}"
        )
    check_output(path, overwrite)


def write_parquet(
    table: ArchitectureTable,
    path: str | os.PathLike,
    overwrite: bool = False,
    packed: bool = False,
    class_labels: bool = False,
) -> None:
    """Write a table: operations, adjacency and the columns. The file appears whole or not at all.

    Args:
        packed: write the packed form of caches.
        class_labels: operations as class labels, see `to_arrow`.

    Raises:
        ValueError: a column cannot be written, see `to_arrow`.
        OSError: see `atomic_output`.
    """
    rows = max(len(table), 1) if packed else min(GROUP_ROWS, _GROUP_ENTRIES // table.max_nodes**2)
    parts = (table[start : start + rows] for start in range(0, max(len(table), 1), rows))
    types = {} if packed else object_types(table)
    with atomic_output(path, overwrite) as temporary:
        groups = (_to_packed(part) if packed else to_arrow(part, class_labels, types) for part in parts)
        write_groups(groups, temporary)


def write_groups(groups: Iterator[pa.Table], path: str | os.PathLike) -> None:
    """Write tables of one schema, at least one, as the row groups of a file; no group of a table without rows."""
    first = next(groups)
    settings = {"compression": "zstd", "compression_level": 1, "write_page_checksum": True}
    with pq.ParquetWriter(path, first.schema, **settings) as writer:
        for group in chain([first], groups):
            if len(group):  # the library datasets cannot read a group without rows
                writer.write_table(group)


def read_parquet(
    path: str | os.PathLike, vocabulary: Sequence[str] | None = None, graphs_only: bool = False
) -> ArchitectureTable:
    """Read a table that `write_parquet`, or another program, wrote.

    Args:
        vocabulary: names of the operations, in the order of their codes; those of the file when None.
        graphs_only: leave the columns beside the architectures out.

    Raises:
        ValueError: naming the file, and row and field of what is wrong.
        FileNotFoundError: no such file.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file")
    with readable_parquet(path) as file:
        schema = file.schema_arrow
        names = [name for name in schema.names if not graphs_only or name in (*GRAPH_COLUMNS, *_PACKED)]
        if _PACKED_KEY in (schema.metadata or {}):
            return _from_packed(file.read(names), str(path))
        schema = pa.schema([schema.field(name) for name in names], schema.metadata)
        parts = (pa.Table.from_batches([batch]) for batch in file.iter_batches(PART_ROWS, columns=names))
        return from_parts(parts, schema, str(path), vocabulary)


def to_dataset(table: ArchitectureTable) -> "datasets.Dataset":
    """Return a ``datasets.Dataset`` of the columns operations, adjacency and those of the table."""
    import datasets

    return datasets.Dataset(to_arrow(table))


def count_rows(path: str | os.PathLike) -> int:
    """Rows of a file of either form, by its footer.

    Raises:
        ValueError: it cannot be read, or has no columns of architectures.
        FileNotFoundError: no such file.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file")
    with readable_parquet(path) as file:
        schema = file.schema_arrow
        if _PACKED_KEY not in (schema.metadata or {}):
            check_graph_columns(schema, str(path))
        return file.metadata.num_rows


def read_parts(
    path: str | os.PathLike, start: int, stop: int, size: int
) -> Iterator[tuple[ArchitectureTable, pa.Table]]:
    """Rows start .. stop - 1 of a file of either form, `size` at a time: architectures, and the other columns as they
    are. One part without rows where there are none. What lies before `start` in its row group is read and let go.

    Raises:
        ValueError: naming the file, and row and field of what is wrong.
    """
    with readable_parquet(path, _BUFFER_BYTES) as file:
        schema = file.schema_arrow
        for first, part in _slices(file, start, stop, size):
            if _PACKED_KEY in (schema.metadata or {}):
                table = _from_packed(part.replace_schema_metadata(schema.metadata), str(path))
                others = to_arrow(table).drop_columns(list(GRAPH_COLUMNS))
                yield table.replace_columns({}), others.replace_schema_metadata(None)
            else:
                graphs = part.select(GRAPH_COLUMNS).replace_schema_metadata(schema.metadata)
                table = from_arrow(graphs, str(path), first_row=first)
                yield table, part.drop_columns(list(GRAPH_COLUMNS)).replace_schema_metadata(None)


def _slices(file: pq.ParquetFile, start: int, stop: int, size: int) -> Iterator[tuple[int, pa.Table]]:
    """The first row's number and the rows, `size` at a time whatever the row groups are."""
    counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    ends = np.cumsum(counts, dtype=np.int64)
    if start >= stop:
        yield start, file.schema_arrow.empty_table()
        return
    groups = range(int(np.searchsorted(ends, start, side="right")), int(np.searchsorted(ends, stop, side="left")) + 1)
    position = int(ends[groups.start] - counts[groups.start])  # of the next row that is read
    held, rows = [], 0
    for batch in file.iter_batches(min(size, PART_ROWS), row_groups=list(groups)):
        first, position = position, position + len(batch)
        batch = batch.slice(min(max(start - first, 0), len(batch)))
        batch = batch.slice(0, max(len(batch) - max(position - stop, 0), 0))
        while rows + len(batch) >= size:
            held.append(batch.slice(0, size - rows))
            yield start, pa.Table.from_batches(held)
            start, batch = start + size, batch.slice(size - rows)
            held, rows = [], 0
        if len(batch):
            held.append(batch)
            rows += len(batch)
    if held:
        yield start, pa.Table.from_batches(held)


@contextmanager
def readable_parquet(path: str | os.PathLike, buffer_bytes: int = 0) -> Iterator[pq.ParquetFile]:
    """An open Parquet file whose pages are checked as they are read.

    Args:
        buffer_bytes: read so much of a column of a row group at a time; 0 reads the whole.

    Raises:
        ValueError: naming the file, when it cannot be opened or, inside the block, cannot be read on.
    """
    check_fetched(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, buffer_size=buffer_bytes) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: not a readable Parquet file ({printable(error)[:300]})") from None
    except UnicodeDecodeError as error:  # Parquet does not look at what its texts are
        raise ValueError(f"{path}: holds a text that is not UTF-8 ({printable(error.reason)})") from None


def _to_packed(table: ArchitectureTable) -> pa.Table:
    columns = {
        "operation_codes": fixed_binary(table.operation_codes),
        "edge_bits": fixed_binary(table.edge_bits),
        "num_nodes": pa.array(table.num_nodes),
    }
    columns |= {k: fixed_binary(hash_bytes(v)) if k == "hash" else pa.array(v) for k, v in table.columns.items()}
    metadata = {_PACKED_KEY: b"1", VOCABULARY_KEY: json.dumps(table.vocabulary)}
    return pa.table(columns).replace_schema_metadata(metadata)


def _from_packed(arrow: pa.Table, source: str) -> ArchitectureTable:
    try:
        vocabulary = json.loads(arrow.schema.metadata[VOCABULARY_KEY])
        codes, bits = (_bytes_of(arrow[name]) for name in ("operation_codes", "edge_bits"))
        columns = {}
        for name in arrow.column_names:
            if name not in _PACKED:
                packed = pa.types.is_fixed_size_binary(arrow[name].type)
                raw = _bytes_of(arrow[name]) if packed else arrow[name].to_numpy()
                columns[name] = hash_text(raw.view(f"S{raw.shape[1]}").ravel()) if packed else raw
        return ArchitectureTable(vocabulary, codes, bits, arrow["num_nodes"].to_numpy(), columns)
    except (KeyError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{source}: a packed table that cannot be read ({printable(error)})") from None


def _bytes_of(column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    width = array.type.byte_width
    raw = np.frombuffer(array.buffers()[1], dtype=np.uint8, count=len(array) * width, offset=array.offset * width)
    return raw.reshape(len(array), width)


def is_plain(path: str | os.PathLike) -> bool:
    """Whether a file is one for `read_architectures`: Parquet with lists of names and lists of rows, or JSON Lines with
    them; also where it cannot be read, for which that function has the words. `cate_hf.spaces.rows` reads others.
    """
    path = Path(path)
    try:
        check_fetched(path)
        if path.suffix in PARQUET_SUFFIXES:
            schema = pq.read_schema(path)
            if _PACKED_KEY in (schema.metadata or {}):
                return True
            return all(name in schema.names for name in GRAPH_COLUMNS) and (
                [_depth(schema.field(name).type) for name in GRAPH_COLUMNS] == [1, 2]
            )
        if path.suffix in JSON_SUFFIXES:
            with open(path, encoding="utf-8-sig") as file:
                line = next((line for line in file if line.strip()), "")
                return line.lstrip()[:1] not in ("[", "{") or _is_row(json.loads(line))
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return True
    except (json.JSONDecodeError, RecursionError):
        return False
    return path.suffix.lower() not in TABLE_SUFFIXES


def _depth(kind: pa.DataType) -> int:
    """How deeply lists are nested: 0 of texts, 2 of one-hot rows."""
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return 1 + _depth(kind.value_type) if is_list else 0


def _is_row(value: Any) -> bool:
    return isinstance(value, dict) and (
        all(isinstance(value.get(name), list) for name in GRAPH_COLUMNS)
        and not isinstance(next(iter(value["operations"]), None), list)
    )


def read_architectures(path: str | os.PathLike, vocabulary: Sequence[str] | None = None) -> ArchitectureTable:
    """Read rows of operations (names), adjacency (rows of 0/1) and any further columns, which are kept.

    The file is Parquet, JSON Lines, or any of the forms that `columns` and `graph_columns` read, such as CSV; one-hot
    operations and hashes need a search space (`cate_hf.spaces.rows.read_table`).

    Args:
        vocabulary: the operations that are allowed, in the order of their codes; any when None.

    Raises:
        ValueError: naming the file and the row or line, and what was expected there.
        FileNotFoundError: no such file.
    """
    path = Path(path)
    check_no_folder(path, f"a file ending in {', '.join(TABLE_SUFFIXES)}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    check_fetched(path)
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty")
    if not is_plain(path):
        columns, _ = plain_columns(read_columns(path).table, str(path))
        return from_arrow(columns, str(path), vocabulary)
    if path.suffix in PARQUET_SUFFIXES:
        table = read_parquet(path, vocabulary)
        return table if vocabulary is None else table.recode(vocabulary, str(path))
    if path.suffix in JSON_SUFFIXES:
        return _read_json_lines(path, vocabulary)
    raise ValueError(
        f"{path}: expected a file ending in {', '.join(TABLE_SUFFIXES)}; `cate import` makes one of published results "
        "or genotypes"
    )


def _read_json_lines(path: Path, vocabulary: Sequence[str] | None) -> ArchitectureTable:
    architectures, rows = [], []
    with open(path, encoding="utf-8-sig") as file:  # some editors put a byte order mark first
        try:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                where = f"{path}, line {number}"
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"{where}: not valid JSON ({error})") from None
                if not isinstance(row, dict):
                    raise ValueError(f"{where}: expected an object with operations and adjacency")
                try:
                    architecture = Architecture.from_dict({k: row[k] for k in ("operations", "adjacency") if k in row})
                except ValueError as error:
                    raise ValueError(f"{where}: {error}") from None
                for node, name in enumerate(architecture.operations):
                    if vocabulary is not None and name not in vocabulary:
                        raise ValueError(f"{where}: node {node}: {unknown_operation(name, vocabulary)}")
                architectures.append(architecture)
                rows.append({k: v for k, v in row.items() if k not in ("operations", "adjacency")})
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 text ({error})") from None
    if not architectures:
        raise ValueError(f"{path}: holds no architecture")
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    return ArchitectureTable.from_architectures(architectures, vocabulary, columns)


def _column(values: list[Any]) -> np.ndarray:
    kinds = {type(value) for value in values}
    if kinds <= {int, float} or kinds <= {bool}:
        return np.array(values)
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
