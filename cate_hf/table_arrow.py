"""Tables of architectures as Arrow and Parquet, by buffers and offsets: no Python loop over rows.

The public form has the columns `operations` (list of names) and `adjacency` (list of rows of 0/1), and any others. The
packed form, for caches, is the table's own arrays. The order of the vocabulary is kept in the schema's metadata.
"""

import json
import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cate_hf.files import atomic_output
from cate_hf.table import PADDING, ArchitectureTable, unknown_operation

_VOCABULARY_KEY = b"cate_hf.vocabulary"
_PACKED_KEY = b"cate_hf.packed"
_PACKED = ("operation_codes", "edge_bits", "num_nodes")


def write_parquet(
    table: ArchitectureTable, path: str | os.PathLike, overwrite: bool = False, packed: bool = False
) -> None:
    """Write either form; the file appears whole or not at all."""
    arrow = _to_packed(table) if packed else to_arrow(table)
    with atomic_output(path, overwrite) as temporary:
        pq.write_table(arrow, temporary, compression="zstd", compression_level=1, write_page_checksum=True)


def read_parquet(path: str | os.PathLike, vocabulary: Sequence[str] | None = None) -> ArchitectureTable:
    """Read either form.

    Raises:
        ValueError: naming the file, and row and field of what is wrong.
        FileNotFoundError: no such file.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file")
    try:
        arrow = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    if _PACKED_KEY in (arrow.schema.metadata or {}):
        return _from_packed(arrow, str(path))
    return from_arrow(arrow, str(path), vocabulary)


def to_arrow(table: ArchitectureTable) -> pa.Table:
    """The public form."""
    size, counts = table.max_nodes, table.num_nodes.astype(np.int64)
    used = np.arange(size) < counts[:, None]  # (N, L)
    names = pa.DictionaryArray.from_arrays(
        pa.array(table.operation_codes[used].astype(np.int32)), pa.array(table.vocabulary, pa.string())
    ).dictionary_decode()
    rows = _offsets(counts)
    inner = pa.ListArray.from_arrays(
        _offsets(np.repeat(counts, counts)), pa.array(table.adjacency()[used[:, :, None] & used[:, None, :]])
    )
    columns = {"operations": pa.ListArray.from_arrays(rows, names), "adjacency": pa.ListArray.from_arrays(rows, inner)}
    columns |= {name: _column_to_arrow(values) for name, values in table.columns.items()}
    return pa.table(columns).replace_schema_metadata({_VOCABULARY_KEY: json.dumps(table.vocabulary)})


def from_arrow(arrow: pa.Table, source: str, vocabulary: Sequence[str] | None = None) -> ArchitectureTable:
    """The inverse of `to_arrow`; without a vocabulary, the stored one, or the names in order of first appearance.

    Raises:
        ValueError: naming source, row and field of what is wrong.
    """
    for name in ("operations", "adjacency"):
        if name not in arrow.column_names:
            raise ValueError(f"{source}: no column {name!r}; it has {', '.join(arrow.column_names) or 'none'}")
    names, counts = _flat_lists(arrow["operations"], source, "operations", "a list of names")
    if pa.types.is_dictionary(names.type):
        names = names.dictionary_decode()
    if len(arrow) and not (pa.types.is_string(names.type) or pa.types.is_large_string(names.type)):
        raise ValueError(f"{source}: column 'operations' holds {names.type}, expected names")
    stored = (arrow.schema.metadata or {}).get(_VOCABULARY_KEY)
    if vocabulary is None:
        vocabulary = json.loads(stored) if stored else [str(n) for n in pc.unique(names).to_pylist() if n is not None]
    codes = (
        pc.index_in(names, value_set=pa.array(list(vocabulary), names.type)) if len(names) else pa.array([], pa.int32())
    )
    row_of, node_of = _positions(counts)
    if codes.null_count:
        at = int(np.flatnonzero(codes.is_null().to_numpy(zero_copy_only=False))[0])
        problem = unknown_operation(names[at].as_py(), vocabulary)
        raise ValueError(f"{source}, row {row_of[at]}, operations: node {node_of[at]}: {problem}")
    size = int(counts.max(initial=2))
    if size >= PADDING:
        raise ValueError(f"{source}, row {int(counts.argmax())}: {size} nodes, at most {PADDING - 1} are possible")
    matrix = np.full((len(arrow), size), PADDING, dtype=np.uint8)
    matrix[row_of, node_of] = codes.to_numpy(zero_copy_only=False)
    adjacency = _adjacency(arrow["adjacency"], counts, size, source)
    columns = {
        name: _column_from_arrow(arrow[name]) for name in arrow.column_names if name not in ("operations", "adjacency")
    }
    return ArchitectureTable.from_arrays(vocabulary, matrix, adjacency, columns, source)


def _adjacency(column: pa.ChunkedArray, counts: np.ndarray, size: int, source: str) -> np.ndarray:
    lists, rows = _flat_lists(column, source, "adjacency", "a list of rows")
    _refuse_where(rows != counts, source, "adjacency", lambda r: f"{rows[r]} rows for {counts[r]} operations")
    row_of, node_of = _positions(counts)
    values, lengths = _flat_lists(pa.chunked_array([lists]), source, "adjacency", "a list of rows of 0 and 1", row_of)
    expected = np.repeat(counts, counts)
    ragged = np.flatnonzero(lengths != expected)
    if len(ragged):
        at = int(ragged[0])
        raise ValueError(
            f"{source}, row {row_of[at]}, adjacency: row {node_of[at]} has {lengths[at]} entries, "
            f"expected {expected[at]}"
        )
    entry_row = np.repeat(row_of, lengths)
    if len(values) and not (pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)):
        raise ValueError(f"{source}, row 0, adjacency: entries are {values.type}, expected integers 0 or 1")
    if values.null_count:
        at = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        raise ValueError(f"{source}, row {entry_row[at]}, adjacency: an entry is missing, expected 0 or 1")
    numbers = values.to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero((numbers != 0) & (numbers != 1))
    if len(wrong):
        at = int(wrong[0])
        raise ValueError(f"{source}, row {entry_row[at]}, adjacency: entry {numbers[at]}, expected 0 or 1")
    used = np.arange(size) < counts[:, None]
    adjacency = np.zeros((len(counts), size, size), dtype=np.uint8)
    adjacency[used[:, :, None] & used[:, None, :]] = numbers
    return adjacency


def _flat_lists(
    column: pa.ChunkedArray, source: str, field: str, expected: str, row_of: np.ndarray | None = None
) -> tuple[pa.Array, np.ndarray]:
    """The values of a list column end to end, and the length of each list (N,) int64."""
    if pa.types.is_null(column.type) and len(column) == 0:
        return pa.array([], pa.string()), np.zeros(0, np.int64)
    if not (
        pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type)
    ):
        raise ValueError(f"{source}: column {field!r} holds {column.type}, expected {expected}")
    array = column.combine_chunks()
    if array.null_count:
        at = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise ValueError(
            f"{source}, row {at if row_of is None else row_of[at]}: {field} is missing, expected {expected}"
        )
    lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False).astype(np.int64)
    return array.flatten(), lengths


def _refuse_where(wrong: np.ndarray, source: str, field: str, describe) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        raise ValueError(f"{source}, row {rows[0]}, {field}: {describe(int(rows[0]))}")


def _positions(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For lists of these lengths laid end to end: which list each value is in, and where in it."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def _offsets(counts: np.ndarray) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))


def _column_to_arrow(values: np.ndarray) -> pa.Array:
    if values.dtype.kind == "S":
        return _fixed_binary(values).cast(pa.binary()).cast(pa.string()) if values.dtype.itemsize else pa.array([])
    return pa.array(list(values)) if values.ndim > 1 else pa.array(values)


def _column_from_arrow(column: pa.ChunkedArray) -> np.ndarray:
    values = column.combine_chunks()
    if pa.types.is_string(values.type) and not values.null_count:
        lengths = pc.binary_length(values)
        if len(values) and pc.all(pc.equal(lengths, 32)).as_py():  # hashes
            return values.cast(pa.binary(32)).to_numpy(zero_copy_only=False).astype("S32")
    return values.to_numpy(zero_copy_only=False)


def _fixed_binary(array: np.ndarray) -> pa.FixedSizeBinaryArray:
    array = np.ascontiguousarray(array)
    width = array.dtype.itemsize if array.ndim == 1 else array.shape[1] * array.dtype.itemsize
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(array), [None, pa.py_buffer(array)])


def _to_packed(table: ArchitectureTable) -> pa.Table:
    columns = {
        "operation_codes": _fixed_binary(table.operation_codes),
        "edge_bits": _fixed_binary(table.edge_bits),
        "num_nodes": pa.array(table.num_nodes),
    }
    columns |= {k: _fixed_binary(v) if v.dtype.kind == "S" else pa.array(v) for k, v in table.columns.items()}
    metadata = {_PACKED_KEY: b"1", _VOCABULARY_KEY: json.dumps(table.vocabulary)}
    return pa.table(columns).replace_schema_metadata(metadata)


def _from_packed(arrow: pa.Table, source: str) -> ArchitectureTable:
    try:
        vocabulary = json.loads(arrow.schema.metadata[_VOCABULARY_KEY])
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
