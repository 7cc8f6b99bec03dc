"""Tables of DARTS architectures of a normal and a reduction cell, as `cate import` and the labels of NAS-Bench-301 have
them, for encoding: the two cells' encodings stand side by side."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cate_hf.core.files import sha256_of
from cate_hf.encodings.inputs import Part, given_hashes
from cate_hf.graphs.hashes import check_hashes

PAIR_COLUMNS = ("normal", "reduce")


def holds_pairs(path: str | os.PathLike) -> bool:
    """Whether a Parquet file has the two columns of cells, and none of single architectures."""
    from cate_hf.graphs.io import readable_parquet
    from cate_hf.graphs.table_arrow import GRAPH_COLUMNS

    with readable_parquet(path) as file:
        names = file.schema_arrow.names
    return {*PAIR_COLUMNS} <= {*names} and not {*GRAPH_COLUMNS} & {*names}


class PairRows:
    """The pairs of a Parquet file: columns normal and reduce, each a list of 8 structs {operation, input}.

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

        dropped = [name for name in ("hash", "encoding") if name in self._table.column_names]
        for first in range(start, max(stop, start + 1), size):
            rows = slice(first, min(first + size, stop))
            cells = self._cells.take(rows)
            pairs = CellPairTable(to_table(*cells.normal), to_table(*cells.reduction), {"hash": self._hashes[rows]})
            yield Part(pairs, self._table.drop_columns(dropped).slice(first, rows.stop - first))
