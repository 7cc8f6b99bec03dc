"""Tables of architectures as Arrow, by buffers and offsets: no Python loop over rows.

The columns are `operations` (list of names, or of class labels as data sets have them), `adjacency` (list of rows of
0/1), and any others. The order of the vocabulary is kept in the schema's metadata. Some thousand rows are converted at
a time: the matrices of many architectures would be large, and Arrow's offsets overflow.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cate_hf.core._names import printable
from cate_hf.graphs._hashes import hash_bytes, hash_text
from cate_hf.graphs.table import MAX_NODES, PADDING, ArchitectureTable, parts_of, unknown_operation

if TYPE_CHECKING:
    import datasets

__all__ = ["GRAPH_COLUMNS", "column_from_arrow", "fixed_binary", "from_arrow", "object_types", "to_arrow"]

VOCABULARY_KEY = b"cate_hf.vocabulary"
FEATURES_KEY = b"huggingface"  # where the library datasets keeps a table's features
PART_ROWS = 16_384  # converted at a time
GRAPH_COLUMNS = ("operations", "adjacency")


def to_arrow(
    table: ArchitectureTable, class_labels: bool = False, types: Mapping[str, pa.DataType] | None = None
) -> pa.Table:
    """The table as Arrow.

    Args:
        class_labels: give operations as int64, their positions in the vocabulary, and put the features that the library
            `datasets` reads, `List(ClassLabel)` and `List(List(uint8))`, into the schema's metadata.
        types: of columns, where the table is a part of another: `object_types` of that one.

    Raises:
        ValueError: a column holds values that Arrow has no common type for; names it and rows.
    """
    parts = parts_of(len(table), table.max_nodes, PART_ROWS)
    arrow = pa.concat_tables([_graphs_to_arrow(table[start:stop], class_labels) for start, stop in parts])
    for name, values in table.columns.items():  # whole: of some rows alone the type of objects may be another
        arrow = arrow.append_column(name, _column_to_arrow(name, values, (types or {}).get(name)))
    return arrow


def object_types(table: ArchitectureTable) -> dict[str, pa.DataType]:
    """Arrow's types of the columns of Python objects, which some rows alone may not show.

    Raises:
        ValueError: as `to_arrow`.
    """
    return {
        name: _column_to_arrow(name, values, None).type
        for name, values in table.columns.items()
        if values.dtype.kind == "O"
    }


def _graphs_to_arrow(table: ArchitectureTable, class_labels: bool) -> pa.Table:
    metadata = {VOCABULARY_KEY: json.dumps(table.vocabulary)}
    if class_labels:
        metadata[FEATURES_KEY] = json.dumps({"info": {"features": _graph_features(table.vocabulary)}})
    names = None if class_labels else table.vocabulary
    graph = graph_lists(names, table.operation_codes, table.adjacency(), table.num_nodes.astype(np.int64))
    return pa.table(dict(zip(GRAPH_COLUMNS, graph, strict=True))).replace_schema_metadata(metadata)


def graph_lists(
    names: Sequence[str] | None, codes: np.ndarray, adjacency: np.ndarray, counts: np.ndarray
) -> tuple[pa.Array, pa.Array]:
    """Operations and adjacency as lists, of codes (N, L) and adjacency (N, L, L) of which the first `counts` (N,) nodes
    are used; operations as codes where there are no names.
    """
    used = np.arange(codes.shape[1]) < counts[:, None]  # (N, L)
    operations = pa.array(codes[used].astype(np.int64))
    if names is not None:
        indices = operations.cast(pa.int32())
        operations = pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string())).dictionary_decode()
    rows = _offsets(counts)
    entries = adjacency.ravel() if used.all() else adjacency[used[:, :, None] & used[:, None, :]]
    inner = pa.ListArray.from_arrays(_offsets(np.repeat(counts, counts)), pa.array(entries))
    return pa.ListArray.from_arrays(rows, operations), pa.ListArray.from_arrays(rows, inner)


def _graph_features(vocabulary: Sequence[str]) -> dict:
    """`datasets.Features` of the graph columns as that library writes them down; it infers those of the others."""
    return {
        "operations": {"feature": {"names": list(vocabulary), "_type": "ClassLabel"}, "_type": "List"},
        "adjacency": {"feature": {"feature": {"dtype": "uint8", "_type": "Value"}, "_type": "List"}, "_type": "List"},
    }


def from_arrow(
    arrow: pa.Table, source: str, vocabulary: Sequence[str] | None = None, first_row: int = 0
) -> ArchitectureTable:
    """The inverse of `to_arrow`; without a vocabulary, the stored one, or the names in order of first appearance.

    Args:
        source, first_row: what the errors call the table and its first row, where it is a part of a larger one.

    Raises:
        ValueError: naming source, row and field of what is wrong.
    """
    parts = (arrow.slice(start, PART_ROWS) for start in range(0, len(arrow), PART_ROWS))
    return from_parts(parts, arrow.schema, source, vocabulary, first_row)


def from_dataset(
    dataset: "datasets.Dataset | datasets.IterableDataset", vocabulary: Sequence[str] | None = None
) -> ArchitectureTable:
    """Return the table of a ``datasets.Dataset``: its operations are names or class labels, its rows in their order.

    Args:
        vocabulary: names of the operations, in the order of their codes; those of the data set when None.

    Raises:
        ValueError: naming row and field of what is wrong.
    """
    if dataset.features is None:
        raise ValueError("dataset: it does not say what its columns hold (features)")
    schema = dataset.features.arrow_schema
    stored = getattr(dataset, "data", None)  # an IterableDataset has none
    if stored is not None and VOCABULARY_KEY in (stored.schema.metadata or {}):
        schema = schema.with_metadata({**schema.metadata, VOCABULARY_KEY: stored.schema.metadata[VOCABULARY_KEY]})
    return from_parts(dataset.with_format("arrow").iter(PART_ROWS), schema, "dataset", vocabulary)


def from_parts(
    parts: Iterable[pa.Table],
    schema: pa.Schema,
    source: str,
    vocabulary: Sequence[str] | None = None,
    first_row: int = 0,
) -> ArchitectureTable:
    """`from_arrow` of tables that follow each other and have this schema."""
    check_graph_columns(schema, source)
    class_names, stored = _stored_names(schema, source)
    vocabulary = vocabulary or class_names or stored
    chunks: dict[str, list[pa.Array]] = {name: [] for name in schema.names if name not in GRAPH_COLUMNS}
    tables, rows = [], first_row
    for part in _small_parts(parts):
        tables.append(_graphs(part, _Place(source, rows), vocabulary, class_names))
        rows += len(part)
        for name in chunks:
            chunks[name].extend(part[name].chunks)
    if not tables:
        none = np.zeros((0, 2), np.uint8)
        tables = [ArchitectureTable.from_arrays(vocabulary or (), none, np.zeros((0, 2, 2), np.uint8))]
    columns = {
        name: column_from_arrow(pa.chunked_array(chunks, schema.field(name).type)) for name, chunks in chunks.items()
    }
    return ArchitectureTable.concatenate(tables).replace_columns(columns)


def _small_parts(parts: Iterable[pa.Table]) -> Iterable[pa.Table]:
    """The same rows, fewer at a time where they have many nodes."""
    for part in parts:
        try:
            longest = pc.max(pc.list_value_length(part["operations"])).as_py() or 1
        except pa.ArrowException:  # no lists: refused later
            longest = 1
        for start, stop in parts_of(len(part), min(longest, MAX_NODES), PART_ROWS):
            yield part.slice(start, stop - start)


def check_graph_columns(schema: pa.Schema, source: str) -> None:
    """Raise ValueError where a schema lacks a column of architectures."""
    for name in GRAPH_COLUMNS:
        if name not in schema.names:
            found = printable(", ".join(schema.names))[:500]
            raise ValueError(f"{source}: no column {name!r}; it has {found or 'none'}")


def _stored_names(schema: pa.Schema, source: str) -> tuple[list[str] | None, list[str] | None]:
    """Names of the operations by the features in a schema's metadata, and by this package's own key."""
    metadata = schema.metadata or {}
    try:
        features = json.loads(metadata.get(FEATURES_KEY, "{}")).get("info", {}).get("features") or {}
        names = features.get("operations", {}).get("feature", {}).get("names")
        stored = json.loads(metadata.get(VOCABULARY_KEY, "null"))
    except (ValueError, AttributeError, RecursionError):
        raise ValueError(f"{source}: the metadata of the columns cannot be read") from None
    for found in (names, stored):
        if found is not None and not (isinstance(found, list) and all(isinstance(name, str) for name in found)):
            raise ValueError(f"{source}: the metadata of the columns has {found!r:.80}, expected names of operations")
    return names, stored


class _Place(NamedTuple):
    """What errors call a part: the whole that it is of, and the number of its first row there."""

    source: str
    first_row: int

    def row(self, row: int, *fields: str) -> str:
        return ", ".join([f"{self.source}, row {self.first_row + int(row)}", *fields])


def _graphs(
    part: pa.Table, place: _Place, vocabulary: Sequence[str] | None, class_names: Sequence[str] | None
) -> ArchitectureTable:
    """The architectures of some rows, without their columns."""
    values, counts = _flat_lists(part["operations"], place, "operations", "a list of names")
    row_of, node_of = _positions(counts)
    labels, names = _labels(values, class_names, place)
    if labels.null_count:
        at = int(np.flatnonzero(labels.is_null().to_numpy(zero_copy_only=False))[0])
        problem = unknown_operation(None, vocabulary or names)
        raise ValueError(f"{place.row(row_of[at], 'operations')}: node {node_of[at]}: {problem}")
    labels = labels.to_numpy(zero_copy_only=False)
    vocabulary = list(names if vocabulary is None else vocabulary)
    known = (labels >= 0) & (labels < len(names))
    # The last entry is of class labels that have no name.
    code_of = np.array([*(vocabulary.index(name) if name in vocabulary else -1 for name in names), -1])
    codes = code_of[np.where(known, labels, len(names))]
    if (codes < 0).any():
        at = int(np.argmax(codes < 0))
        problem = unknown_operation(names[labels[at]] if known[at] else int(labels[at]), vocabulary)
        raise ValueError(f"{place.row(row_of[at], 'operations')}: node {node_of[at]}: {problem}")
    size = int(counts.max(initial=2))
    if size > MAX_NODES:
        raise ValueError(f"{place.row(int(counts.argmax()))}: {size} nodes, at most {MAX_NODES} are possible")
    matrix = np.full((len(part), size), PADDING, dtype=np.uint8)
    matrix[row_of, node_of] = codes
    adjacency = _adjacency(part["adjacency"], counts, size, place)
    return ArchitectureTable.from_arrays(vocabulary, matrix, adjacency, None, place.source, place.first_row)


def _labels(values: pa.Array, class_names: Sequence[str] | None, place: _Place) -> tuple[pa.Array, Sequence[str]]:
    """Operations as positions in a list of names, and that list."""
    if pa.types.is_integer(values.type) and class_names is not None:
        return values, class_names
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()  # its entries may be in any order, or unused
    if len(values) and not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        hint = ", or class labels with their names in the metadata" if pa.types.is_integer(values.type) else ""
        raise ValueError(f"{place.source}: column 'operations' holds {values.type}, expected names{hint}")
    encoded = values.dictionary_encode()
    return encoded.indices, encoded.dictionary.to_pylist()


def _adjacency(column: pa.ChunkedArray, counts: np.ndarray, size: int, place: _Place) -> np.ndarray:
    lists, rows = _flat_lists(column, place, "adjacency", "a list of rows")
    wrong = np.flatnonzero(rows != counts)
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(f"{place.row(row, 'adjacency')}: {rows[row]} rows for {counts[row]} operations")
    row_of, node_of = _positions(counts)
    values, lengths = _flat_lists(pa.chunked_array([lists]), place, "adjacency", "a list of rows of 0 and 1", row_of)
    expected = np.repeat(counts, counts)
    ragged = np.flatnonzero(lengths != expected)
    if len(ragged):
        at = int(ragged[0])
        raise ValueError(
            f"{place.row(row_of[at], 'adjacency')}: row {node_of[at]} has {lengths[at]} entries, "
            f"expected {expected[at]}"
        )
    kinds = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_floating)  # of floats only 0.0 and 1.0, see below
    if len(values) and not any(is_kind(values.type) for is_kind in kinds):
        raise ValueError(f"{place.row(0, 'adjacency')}: entries are {values.type}, expected integers 0 or 1")

    def owner(entry: int) -> int:
        return row_of[np.searchsorted(np.cumsum(lengths), entry, side="right")]

    if values.null_count:
        at = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        raise ValueError(f"{place.row(owner(at), 'adjacency')}: an entry is missing, expected 0 or 1")
    numbers = values.to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero((numbers != 0) & (numbers != 1))
    if len(wrong):
        at = int(wrong[0])
        raise ValueError(f"{place.row(owner(at), 'adjacency')}: entry {numbers[at]}, expected 0 or 1")
    if (counts == size).all():
        return numbers.astype(np.uint8).reshape(-1, size, size)
    used = np.arange(size) < counts[:, None]
    adjacency = np.zeros((len(counts), size, size), dtype=np.uint8)
    adjacency[used[:, :, None] & used[:, None, :]] = numbers
    return adjacency


def _flat_lists(
    column: pa.ChunkedArray, place: _Place, field: str, expected: str, row_of: np.ndarray | None = None
) -> tuple[pa.Array, np.ndarray]:
    """The values of a list column end to end, and the length of each list (N,) int64."""
    if pa.types.is_null(column.type) and len(column) == 0:
        return pa.array([], pa.string()), np.zeros(0, np.int64)
    if not (
        pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type)
    ):
        raise ValueError(f"{place.source}: column {field!r} holds {column.type}, expected {expected}")
    array = column.combine_chunks()
    if array.null_count:
        at = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise ValueError(f"{place.row(at if row_of is None else row_of[at])}: {field} is missing, expected {expected}")
    lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False).astype(np.int64)
    return array.flatten(), lengths


def _positions(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For lists of these lengths laid end to end: which list each value is in, and where in it."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def _offsets(counts: np.ndarray) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))


def _column_to_arrow(name: str, values: np.ndarray, type_: pa.DataType | None) -> pa.Array | pa.ChunkedArray:
    if _is_hashes(values):
        values = hash_bytes(values)
        parts = (values[start : start + PART_ROWS] for start in range(0, len(values), PART_ROWS))
        return pa.chunked_array([fixed_binary(part).cast(pa.binary()).cast(pa.string()) for part in parts], pa.string())
    try:
        return pa.array(list(values), type_) if values.ndim > 1 else pa.array(values, type_)
    except (pa.ArrowException, OverflowError, TypeError, UnicodeError) as error:
        kinds: dict[str, int] = {}
        for row, value in enumerate(values.tolist()):
            if value is not None:
                kinds.setdefault(type(value).__name__, row)
        found = " and ".join(f"{kind} in row {row}" for kind, row in kinds.items())
        reason = str(error).splitlines()[0]
        raise ValueError(f"column {name!r}: expected values of one type, got {found} ({reason})") from None


def _is_hashes(values: np.ndarray) -> bool:
    """Whether all are texts of 32 ASCII characters, which are converted without a Python object for each."""
    if values.dtype != "U32" or values.ndim != 1 or not len(values):
        return values.dtype == "S32"
    codes = np.ascontiguousarray(values).view(np.uint32)
    return bool(codes.min() > 0 and codes.max() < 128)


def column_from_arrow(column: pa.ChunkedArray) -> np.ndarray:
    """A column as a table holds it; hashes as text of fixed width."""
    values = column.combine_chunks()
    if pa.types.is_string(values.type) and not values.null_count:
        lengths = pc.binary_length(values)
        if len(values) and pc.all(pc.equal(lengths, 32)).as_py():  # hashes
            return hash_text(values.cast(pa.binary(32)).to_numpy(zero_copy_only=False).astype("S32"))
    return values.to_numpy(zero_copy_only=False)


def fixed_binary(array: np.ndarray) -> pa.FixedSizeBinaryArray:
    """The rows of an array as Arrow values of that many bytes."""
    array = np.ascontiguousarray(array)
    width = array.dtype.itemsize if array.ndim == 1 else array.shape[1] * array.dtype.itemsize
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(array), [None, pa.py_buffer(array)])
