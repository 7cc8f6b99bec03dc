"""Which architecture each row of a file is of: operations and adjacency, the space's own notation, or a hash."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core.progress import progress_bar
from cate_hf.graphs.hashes import check_hashes, hash_text
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space

if TYPE_CHECKING:
    import pyarrow as pa

GRAPH_COLUMNS = ("operations", "adjacency")
NATIVE_COLUMN, HASH_COLUMN = "architecture", "hash"
ARCHITECTURE_COLUMNS = (*GRAPH_COLUMNS, NATIVE_COLUMN, HASH_COLUMN)
_PART = 65_536
_HINT = "; rename the column if it is something else"
_HASH = "^[0-9a-f]{32}$"


def read_rows(
    columns: "pa.Table", space: Space, source: str, progress: bool = False
) -> tuple[np.ndarray, ArchitectureTable | None]:
    """The hash of each row, (N,), and its architecture (N rows, without columns), None where only hashes are given.

    Columns: `operations` and `adjacency`, lists or JSON text of them; else `architecture`, text that `space.parse`
    reads; else `hash`. A hash beside an architecture must be its hash.

    Raises:
        ValueError: naming source, row and column of what is wrong or not of the space.
    """
    names = columns.column_names
    lacking = [name for name in GRAPH_COLUMNS if name not in names]
    if len(lacking) == 1:
        given = next(name for name in GRAPH_COLUMNS if name in names)
        raise ValueError(f"{source}: column {given!r} without {lacking[0]!r}; an architecture needs both")
    if not lacking:
        table = space.validate_many(_graphs(columns.select(GRAPH_COLUMNS), space, source), source)
    elif NATIVE_COLUMN in names:
        texts = _texts(columns[NATIVE_COLUMN], source, NATIVE_COLUMN)
        if _are_hashes(texts):
            return _hashes(texts), None
        table = space.parse_many(texts.to_pylist(), source, progress)
    elif HASH_COLUMN in names:
        return _hash_column(columns[HASH_COLUMN], source), None
    else:
        raise ValueError(
            f"{source}: no architectures; expected columns operations and adjacency, or architecture, or hash; it has "
            f"{', '.join(map(repr, names)) or 'none'}"
        )
    hashes = _hash_by_parts(table, space, progress)
    if HASH_COLUMN in names:
        check_hashes(_hash_column(columns[HASH_COLUMN], source), hashes, source, _HINT)
    return hashes, table


def _hash_by_parts(table: ArchitectureTable, space: Space, progress: bool) -> np.ndarray:
    parts = [np.empty(0, "U32")]
    with progress_bar("hashing architectures", len(table), "architectures", progress) as advance:
        for first in range(0, len(table), _PART):
            parts.append(space.hash_many(table[first : first + _PART]))
            advance(len(parts[-1]))
    return np.concatenate(parts)


def _graphs(columns: "pa.Table", space: Space, source: str) -> ArchitectureTable:
    import pyarrow as pa

    from cate_hf.graphs.table_arrow import from_arrow

    for name in GRAPH_COLUMNS:
        if pa.types.is_string(columns[name].type) or pa.types.is_large_string(columns[name].type):
            lists = _json_lists(columns[name], source, name)
            columns = columns.set_column(columns.column_names.index(name), name, lists)
    return from_arrow(columns, source, space.vocabulary).replace_columns({})


def _json_lists(column: "pa.ChunkedArray", source: str, name: str) -> "pa.Array":
    """JSON text, such as a CSV file has, as lists."""
    import pyarrow as pa

    kind = pa.list_(pa.string()) if name == "operations" else pa.list_(pa.list_(pa.int64()))
    expected = "a JSON list of names" if name == "operations" else "a JSON list of rows of 0 and 1"
    values = []
    for row, text in enumerate(column.to_pylist()):
        try:
            value = json.loads(text or "")
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, list):
            raise ValueError(f"{source}, row {row}, {name}: expected {expected}, got {text!r:.60}")
        values.append(value)
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError, OverflowError, UnicodeError):
        for row, value in enumerate(values):
            _check_list(value, kind, f"{source}, row {row}, {name}: expected {expected}")
        raise ValueError(f"{source}: column {name!r} cannot be read as {expected} in each row") from None


def _check_list(value: Any, kind: "pa.DataType", problem: str) -> None:
    import pyarrow as pa

    try:
        pa.array([value], kind)
    except (pa.ArrowException, TypeError, OverflowError, UnicodeError):
        raise ValueError(f"{problem}, got {json.dumps(value):.60}") from None


def _texts(column: "pa.ChunkedArray", source: str, name: str) -> "pa.ChunkedArray":
    """A column of text, spaces around it removed. Raises ValueError for another type, and for a row without text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ValueError(f"{source}: column {name!r} holds {column.type}, expected text")
    column = pc.utf8_trim_whitespace(column)
    empty = np.flatnonzero(pc.fill_null(pc.equal(pc.binary_length(column), 0), True).to_numpy())
    if len(empty):
        raise ValueError(f"{source}, row {empty[0]}: {name} is missing")
    return column


def _are_hashes(texts: "pa.ChunkedArray") -> bool:
    import pyarrow.compute as pc

    return pc.all(pc.match_substring_regex(texts, _HASH)).as_py()


def _hash_column(column: "pa.ChunkedArray", source: str) -> np.ndarray:
    import pyarrow.compute as pc

    texts = pc.utf8_lower(_texts(column, source, HASH_COLUMN))
    wrong = np.flatnonzero(~pc.match_substring_regex(texts, _HASH).to_numpy())
    if len(wrong):
        given = texts[int(wrong[0])].as_py()
        raise ValueError(
            f"{source}, row {wrong[0]}: hash {given!r:.60} is not of 32 hexadecimal characters; rename the column if it"
            " is something else"
        )
    return _hashes(texts)


def _hashes(texts: "pa.ChunkedArray") -> np.ndarray:
    import pyarrow as pa

    array = texts.cast(pa.binary()).combine_chunks()
    return hash_text(array.cast(pa.binary(32)).to_numpy(zero_copy_only=False).astype("S32"))
