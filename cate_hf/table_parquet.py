"""Tables of architectures in Parquet files: the public form of `table_arrow`, and a packed one for caches.

The packed form is the table's own arrays. Files in the public form are written and read by parts, so that memory stays
small, and pages carry checksums that are compared.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cate_hf.files import atomic_output
from cate_hf.table import ArchitectureTable
from cate_hf.table_arrow import (
    GRAPH_COLUMNS,
    PART_ROWS,
    VOCABULARY_KEY,
    fixed_binary,
    from_parts,
    object_types,
    to_arrow,
)

GROUP_ROWS = 65_536
"""Rows of a row group at most: what a reader of a stream holds at a time."""
_GROUP_ENTRIES = 1 << 23  # adjacency entries of a row group at most, about
_PACKED_KEY = b"cate_hf.packed"
_PACKED = ("operation_codes", "edge_bits", "num_nodes")


def write_parquet(
    table: ArchitectureTable,
    path: str | os.PathLike,
    overwrite: bool = False,
    packed: bool = False,
    class_labels: bool = False,
) -> None:
    """Write either form; the file appears whole or not at all.

    Args:
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
    """Read either form.

    Args:
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


@contextmanager
def readable_parquet(path: str | os.PathLike) -> Iterator[pq.ParquetFile]:
    """An open Parquet file whose pages are checked as they are read.

    Raises:
        ValueError: naming the file, when it cannot be opened or, inside the block, cannot be read on.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None


def _to_packed(table: ArchitectureTable) -> pa.Table:
    columns = {
        "operation_codes": fixed_binary(table.operation_codes),
        "edge_bits": fixed_binary(table.edge_bits),
        "num_nodes": pa.array(table.num_nodes),
    }
    columns |= {k: fixed_binary(v) if v.dtype.kind == "S" else pa.array(v) for k, v in table.columns.items()}
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
                columns[name] = raw.view(f"S{raw.shape[1]}").ravel() if packed else raw
        return ArchitectureTable(vocabulary, codes, bits, arrow["num_nodes"].to_numpy(), columns)
    except (KeyError, ValueError, AttributeError) as error:
        raise ValueError(f"{source}: a packed table that cannot be read ({error})") from None


def _bytes_of(column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    width = array.type.byte_width
    raw = np.frombuffer(array.buffers()[1], dtype=np.uint8, count=len(array) * width, offset=array.offset * width)
    return raw.reshape(len(array), width)
