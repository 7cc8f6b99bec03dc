"""What is encoded, a part at a time: the architectures of a space or of a file, checked, with their hashes.

A Parquet file is never held whole: parts of it are read as they are needed, so that memory does not grow with it.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cate_hf.core._files import sha256_of
from cate_hf.encodings.universal import as_table
from cate_hf.graphs._hashes import check_hashes, hash_bytes, hash_text, is_hash
from cate_hf.graphs.graph_hash import graph_hashes
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces.mixed import MixedSpace

if TYPE_CHECKING:
    import pyarrow as pa

    from cate_hf.spaces import Space
    from cate_hf.spaces.darts.pairs import CellPairTable

__all__ = ["checked_architectures"]

PAIR_COLUMNS = ("normal", "reduce")
_REPLACED = ("hash", "encoding")  # columns of the input that those of the output take the place of


class Part(NamedTuple):
    """Some rows: n architectures with a column hash, and n rows of the columns that are kept beside them."""

    architectures: "ArchitectureTable | CellPairTable"
    others: "pa.Table"


class TableRows:
    """A table of architectures in memory, checked before, with a column hash.

    Attributes:
        understood: what its file was read as, "" where it is of the plain form.
    """

    cells = 1

    def __init__(self, table: ArchitectureTable, understood: str = ""):
        from cate_hf.graphs._table_arrow import object_types

        self.understood = understood
        self.table = table
        kept = {name: values for name, values in table.columns.items() if name not in _REPLACED}
        self._others = table.replace_columns(kept)
        self._types = object_types(self._others)

    def __len__(self) -> int:
        return len(self.table)

    def fingerprint(self) -> str:
        """A digest of all rows, but for the columns beside them."""
        digest = hashlib.sha256(hash_bytes(self.table.columns["hash"]).tobytes())
        digest.update(self.table.edge_bits.tobytes())
        return digest.hexdigest()

    def parts(self, start: int, stop: int, size: int) -> Iterator[Part]:
        """Rows start .. stop - 1, `size` at a time; one part without rows where there are none."""
        from cate_hf.graphs._table_arrow import GRAPH_COLUMNS, to_arrow

        for first in range(start, max(stop, start + 1), size):
            rows = slice(first, min(first + size, stop))
            others = to_arrow(self._others[rows], types=self._types).drop_columns(list(GRAPH_COLUMNS))
            yield Part(self.table[rows], others)


class ParquetRows:
    """The architectures of a Parquet file, checked part by part as they are read.

    Args:
        space: that they must be of; None of any operations.
        path: the file.

    Raises:
        ValueError: it cannot be read, or lacks the columns operations and adjacency.
        FileNotFoundError: no such file.
    """

    cells = 1

    def __init__(self, space: "Space | None", path: str | os.PathLike):
        from cate_hf.graphs.io import count_rows

        self.space, self.path = space, Path(path)
        self._rows = count_rows(path)

    def __len__(self) -> int:
        return self._rows

    def fingerprint(self) -> str:
        """A digest of the file."""
        return sha256_of(self.path)

    def operations(self) -> tuple[str, ...]:
        """Those of the first row, or all that the file names."""
        from cate_hf.graphs.io import read_parts

        table, _ = next(read_parts(self.path, 0, min(len(self), 1), 1))
        return table.vocabulary

    def parts(self, start: int, stop: int, size: int) -> Iterator[Part]:
        """Rows start .. stop - 1, `size` at a time; one part without rows where there are none.

        Raises:
            ValueError: an architecture that is not of the space, or a hash that is not its; file and row are named.
        """
        from cate_hf.graphs.io import read_parts

        for table, others in read_parts(self.path, start, stop, size):
            given = given_hashes(others)
            try:
                checked = checked_architectures(self.space, table, given, str(self.path))
            except ValueError as error:
                raise ValueError(_in_whole(str(error), str(self.path), start)) from None
            yield Part(checked, others.drop_columns([name for name in others.column_names if name in _REPLACED]))
            start += len(table)


class PairRows:
    """The architectures of a normal and a reduction cell of a Parquet file, as `cate import` and the labels of
    NAS-Bench-301 have them: columns normal and reduce, each a list of 8 structs {operation, input}. The encodings of
    the two cells stand side by side.

    Raises:
        ValueError: not such columns; an entry that is not of a genotype, or a hash that is not its row's; file and row
            are named.
    """

    cells = 2
    """Of an architecture, each of which is encoded."""

    def __init__(self, path: str | os.PathLike):
        from cate_hf.graphs.io import readable_parquet
        from cate_hf.spaces.darts.pairs import Cells, read_cell_column

        self.path = Path(path)
        with readable_parquet(path) as file:
            self._table = file.read()
        for name in self._table.column_names:
            if self._table.column_names.count(name) > 1:
                raise ValueError(f"{path}: has {self._table.column_names.count(name)} columns {name!r}")
        self._cells = Cells(*(read_cell_column(self.path, name, self._table[name]) for name in PAIR_COLUMNS))
        self._hashes = self._cells.hashes() if len(self) else np.zeros(0, "U32")
        check_hashes(given_hashes(self._table), self._hashes, str(path))

    def __len__(self) -> int:
        return len(self._table)

    def fingerprint(self) -> str:
        """A digest of the file."""
        return sha256_of(self.path)

    def parts(self, start: int, stop: int, size: int) -> Iterator[Part]:
        """Rows start .. stop - 1, `size` at a time; one part without rows where there are none."""
        from cate_hf.spaces.darts.genotypes import to_table
        from cate_hf.spaces.darts.pairs import CellPairTable

        dropped = [name for name in _REPLACED if name in self._table.column_names]
        for first in range(start, max(stop, start + 1), size):
            rows = slice(first, min(first + size, stop))
            cells = self._cells.take(rows)
            pairs = CellPairTable(to_table(*cells.normal), to_table(*cells.reduction), {"hash": self._hashes[rows]})
            yield Part(pairs, self._table.drop_columns(dropped).slice(first, rows.stop - first))


def holds_pairs(path: str | os.PathLike) -> bool:
    """Whether a Parquet file has the two columns of cells, and none of single architectures."""
    from cate_hf.graphs._table_arrow import GRAPH_COLUMNS
    from cate_hf.graphs.io import readable_parquet

    with readable_parquet(path) as file:
        names = file.schema_arrow.names
    return {*PAIR_COLUMNS} <= {*names} and not {*GRAPH_COLUMNS} & {*names}


def rows_for(
    own: "Space | None",
    model: str | os.PathLike,
    space: str | None,
    input: Any,
    progress: bool = False,
    pairs: bool = False,
) -> TableRows | ParquetRows | PairRows:
    """The architectures of a space (its pool, where it cannot be listed), of a Parquet, JSON or CSV file, or given.

    An encoder of a mixed space encodes those of its members, alone or together.

    Args:
        own: the space that `model`, as errors call it, encodes; None where it encodes any operations.
        space, input: one of the two; `input` is a file, or architectures in any form that `Space.table` takes.
        pairs: take tables of normal and reduction cells, too.

    Raises:
        ValueError: architectures of another space, or bad input; file and row are named.
        FileNotFoundError: no such file.
    """
    if own is None:
        return _rows_of_any(input)
    if input is None:
        if isinstance(own, MixedSpace) and space in [member.name for member in own.members]:
            own = own.member(space)
        if space != own.name:
            raise ValueError(f"{model} is a checkpoint of {own.name}, not of {space}")
        return TableRows(own.pool(progress=progress) if own.size is None else own.enumerate(progress=progress))
    if not isinstance(input, str | os.PathLike):
        return TableRows(checked_architectures(own, own.table(input), None, "architectures"))
    from cate_hf.graphs.io import PARQUET_SUFFIXES, is_plain, read_architectures

    if not is_plain(input) and not (Path(input).suffix in PARQUET_SUFFIXES and holds_pairs(input)):
        from cate_hf.spaces.rows import read_table

        return TableRows(*read_table(input, own, progress))
    if Path(input).suffix in PARQUET_SUFFIXES:
        if holds_pairs(input):
            if not pairs:
                raise ValueError(f"{input}: pairs of a normal and a reduction cell; single cells are expected here")
            members = own.members if isinstance(own, MixedSpace) else (own,)
            if "darts" not in [member.name for member in members]:
                raise ValueError(f"{input}: pairs of DARTS cells; {model} is a checkpoint of {own.name}")
            return PairRows(input)
        rows = ParquetRows(own, input)
        _check_vocabulary(rows.operations(), own, model, input)
        return rows
    table = read_architectures(input)
    _check_vocabulary(table.vocabulary, own, model, input)
    checked = checked_architectures(own, table, table.columns.get("hash"), str(input))
    return TableRows(checked)


def _rows_of_any(input: Any) -> TableRows | ParquetRows | PairRows:
    """The architectures of a file, or given, with any operations."""
    from cate_hf.graphs.io import PARQUET_SUFFIXES, is_plain, read_architectures

    if not isinstance(input, str | os.PathLike):
        return TableRows(checked_architectures(None, as_table(input), None, "architectures"))
    if Path(input).suffix in PARQUET_SUFFIXES:
        if holds_pairs(input):
            return PairRows(input)
        if is_plain(input):
            return ParquetRows(None, input)
    table = read_architectures(input)
    return TableRows(checked_architectures(None, table, table.columns.get("hash"), str(input)))


def _check_vocabulary(vocabulary: tuple[str, ...], own: "Space", model: str | os.PathLike, input: str | os.PathLike):
    foreign = sorted({*vocabulary} - {*own.vocabulary})
    if foreign and len(foreign) == len(vocabulary):
        raise ValueError(f"{input}: operations such as {foreign[0]!r}; {model} is a checkpoint of {own.name}")


def given_hashes(others: "pa.Table") -> np.ndarray | None:
    from cate_hf.graphs._table_arrow import column_from_arrow

    return column_from_arrow(others["hash"]) if "hash" in others.column_names else None


def _in_whole(message: str, source: str, first_row: int) -> str:
    """An error about a row of a part, as one about the row of the whole."""
    return re.sub(
        rf"^({re.escape(source)},? row )(\d+)", lambda found: f"{found[1]}{int(found[2]) + first_row}", message
    )


def checked_architectures(
    space: "Space | None", table: ArchitectureTable, given: np.ndarray | None, source: str
) -> ArchitectureTable:
    """The architectures of a table in the space's plain form, with a column hash.

    Args:
        space: None for architectures of no known space, as they are drawn; then the hashes are those that came with
            them, or else of the graphs by the names of their operations.
        given: (N,) the hashes that came with them, where some did.

    Raises:
        ValueError: one is not of the space, or its hash is another; names the row.
    """
    if space is None:
        kept = given is not None and all(map(is_hash, hash_text(given)))
        return table.with_columns(hash=hash_text(given) if kept else graph_hashes(table))
    table = space.validate_many(table, source)
    computed = space.hash_many(table)
    check_hashes(given, computed, source)
    return table.with_columns(hash=computed)
