"""Which architecture each row of a file is of: operations and adjacency, the space's own notation, or a hash."""

import itertools
import os
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.core._progress import progress_bar
from cate_hf.graphs._columns import read_columns
from cate_hf.graphs._graph_columns import plain_columns
from cate_hf.graphs._hashes import check_hashes, hash_text
from cate_hf.graphs._json_forms import GRAPH_NAMES
from cate_hf.graphs._table_arrow import GRAPH_COLUMNS, column_from_arrow, from_arrow
from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ARCHITECTURE_COLUMNS", "read_rows", "read_table", "understood"]

NATIVE_COLUMN, HASH_COLUMN = "architecture", "hash"
ARCHITECTURE_COLUMNS = (*GRAPH_NAMES, NATIVE_COLUMN, HASH_COLUMN)
_NOT_KEPT = (*GRAPH_NAMES, HASH_COLUMN)
_CHECKED, _MOST_ORDERED = 200, 5  # rows that an order is looked up by; operations whose orders are tried
_PART = 65_536
_HINT = "; rename the column if it is something else"
_HASH = "^[0-9a-f]{32}$"


def read_rows(
    columns: "pa.Table", space: Space, source: str, progress: bool = False
) -> tuple[np.ndarray, ArchitectureTable | None, list[str]]:
    """The hash of each row, (N,); its architecture (N rows, without columns), None where only hashes are given; and
    remarks on what the columns were understood as.

    Columns: `operations` and `adjacency` in any form of `cate_hf.graphs._graph_columns`; else `architecture`, text that
    `space.parse` reads; else `hash`. A hash beside an architecture must be its hash.

    Raises:
        ValueError: naming source, row and column of what is wrong or not of the space.
    """

    def order(codes: np.ndarray, adjacency: np.ndarray, counts: np.ndarray, columns: "pa.Table") -> tuple[str, ...]:
        return _one_hot_order(space, codes, adjacency, counts, columns, source)

    columns, remarks = plain_columns(columns, source, order)
    names = columns.column_names
    lacking = [name for name in GRAPH_COLUMNS if name not in names]
    if len(lacking) == 1:
        given = next(name for name in GRAPH_COLUMNS if name in names)
        raise ValueError(f"{source}: column {given!r} without {lacking[0]!r}; an architecture needs both")
    if not lacking:
        graphs = from_arrow(columns.select(GRAPH_COLUMNS), source, space.vocabulary).replace_columns({})
        table = space.validate_many(graphs, source)
    elif NATIVE_COLUMN in names:
        texts = _texts(columns[NATIVE_COLUMN], source, NATIVE_COLUMN)
        if _are_hashes(texts):
            return _hashes(texts), None, remarks
        table = space.parse_many(texts.to_pylist(), source, progress)
    elif HASH_COLUMN in names:
        return _hash_column(columns[HASH_COLUMN], source), None, remarks
    else:
        raise ValueError(
            f"{source}: no architectures; expected columns operations and adjacency, or architecture, or hash; it has "
            f"{', '.join(map(repr, names)) or 'none'}"
        )
    hashes = _hash_by_parts(table, space, progress)
    if HASH_COLUMN in names:
        check_hashes(_hash_column(columns[HASH_COLUMN], source), hashes, source, _HINT)
    return hashes, table, remarks


def read_table(path: str | os.PathLike, space: Space, progress: bool = False) -> tuple[ArchitectureTable, str]:
    """The architectures of a file of any of these forms, with a column hash and the file's other columns (of a CSV file
    text), and what it was understood as, in one line; "" where that is plain.

    Raises:
        ValueError: as `read_columns` and `read_rows`.
        FileNotFoundError: no such file.
    """
    columns, form = read_columns(path)
    hashes, table, remarks = read_rows(columns, space, str(path), progress)
    if table is None:
        table = space.parse_many(hashes.tolist(), str(path), progress)
    others = {name: column_from_arrow(columns[name]) for name in columns.column_names if name not in _NOT_KEPT}
    return table.replace_columns({"hash": hashes, **others}), understood(path, form, remarks)


def understood(path: str | os.PathLike, form: str, remarks: list[str]) -> str:
    """One line that says what a file was read as; "" where it is of the plain form."""
    parts = [form] * bool(form) + remarks
    return f"read {path} as {'; '.join(parts)}" if parts else ""


def _one_hot_order(
    space: Space, codes: np.ndarray, adjacency: np.ndarray, counts: np.ndarray, columns: "pa.Table", source: str
) -> tuple[str, ...]:
    """The order of one-hot operations: that of the vocabulary, where the hashes or parameters in the file say so too.

    Raises:
        ValueError: there is no such column, or it says otherwise.
    """
    width = codes.shape[2]
    if width != len(space.vocabulary):
        expected = f"{len(space.vocabulary)}: {', '.join(space.vocabulary)}"
        raise ValueError(f"{source}: one-hot operations of {width} columns; {space.name} has {expected}")
    known = {
        "hash": lambda cell: space.hash(cell),
        "parameters": lambda cell: space.parameters(cell),
        "trainable_parameters": lambda cell: space.parameters(cell),
    }
    name = next((name for name in known if name in columns.column_names), None)
    if name is None:
        raise ValueError(
            f"{source}: one-hot operations in an order that cannot be known; give names, or a column hash or parameters"
        )
    inner, values = space.vocabulary[space.num_inputs : -1], columns[name].to_pylist()
    fitting = {order: True for order in itertools.permutations(inner)} if len(inner) <= _MOST_ORDERED else {inner: True}
    for row, count in enumerate(counts[:_CHECKED]):
        operations, matrix = codes[row, :count].argmax(axis=1), adjacency[row, :count, :count]
        for order in [order for order, fits in fitting.items() if fits]:
            names = (*space.vocabulary[: space.num_inputs], *order, space.vocabulary[-1])
            try:
                fitting[order] = known[name](Architecture([names[c] for c in operations], matrix)) == values[row]
            except ValueError:
                fitting[order] = False
    left = [order for order, fits in fitting.items() if fits]
    if not left:
        raise ValueError(f"{source}: no order of the one-hot operations of {space.name} gives the column {name!r}")
    if inner in left:  # others are left only where operations do not occur
        left = [inner]
    if len(left) > 1:
        raise ValueError(f"{source}: {len(left)} orders of the one-hot operations give the column {name!r}; give names")
    return (*space.vocabulary[: space.num_inputs], *left[0], space.vocabulary[-1])


def _hash_by_parts(table: ArchitectureTable, space: Space, progress: bool) -> np.ndarray:
    parts = [np.empty(0, "U32")]
    with progress_bar("hashing architectures", len(table), "architectures", progress) as advance:
        for first in range(0, len(table), _PART):
            parts.append(space.hash_many(table[first : first + _PART]))
            advance(len(parts[-1]))
    return np.concatenate(parts)


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
