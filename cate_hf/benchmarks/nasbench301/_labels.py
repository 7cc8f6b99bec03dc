"""The oracle of NAS-Bench-301 that is a table of labels in Parquet: a genotype and its labels a row.

Columns: `normal` and `reduce`, each a list of 8 structs {operation: string, input: integer}; `validation_accuracy` in
[0, 1]; `runtime_seconds`. Other columns are not read.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.benchmarks.base import Benchmark
from cate_hf.benchmarks.nasbench301._base import WORDS, NasBench301
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces.darts._costs import costs
from cate_hf.spaces.darts.genotypes import to_table
from cate_hf.spaces.darts.pairs import CellPairTable, Cells, read_cell_column, read_cells

if TYPE_CHECKING:
    from cate_hf.benchmarks.nasbench301._base import Architectures
    from cate_hf.graphs.architecture import Architecture

FIELDS = tuple(WORDS)
_CELLS = ("normal", "reduce")


def read_labels(path: Path) -> tuple[Cells, dict[str, np.ndarray]]:
    """Genotypes and fields (N,) float64, NaN where the table has no value.

    Raises:
        ValueError: not such a table; names the column and row of the first thing that is wrong.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
        for name in (*_CELLS, FIELDS[0]):
            if name not in names:
                raise ValueError(f"{path}: not a table of NAS-Bench-301 labels: no column {name!r}")
        for name in (*_CELLS, *FIELDS):
            if names.count(name) > 1:
                raise ValueError(f"{path}: has {names.count(name)} columns {name!r}")
        table = pq.read_table(path, columns=[*_CELLS, *(name for name in FIELDS if name in names)])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from None
    if not len(table):
        raise ValueError(f"{path}: holds no genotypes")
    cells = Cells(*(read_cell_column(path, name, table[name]) for name in _CELLS))
    return cells, {name: _numbers(path, name, table[name]) for name in FIELDS if name in table.column_names}


def _numbers(path: Path, name: str, column: Any) -> np.ndarray:
    import pyarrow as pa

    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise ValueError(f"{path}: column {name!r} must hold numbers, not {column.type}")
    values = column.to_numpy().astype(np.float64)
    highest = 1.0 if name == "validation_accuracy" else np.finfo(np.float64).max
    wrong = np.flatnonzero((values < 0) | (values > highest))
    if len(wrong):
        limits = "accuracies must be in [0, 1]" if highest == 1.0 else "seconds must be finite and not below 0"
        raise ValueError(f"{path}, row {wrong[0]}: {name} is {values[wrong[0]]}; {limits}")
    return values


class Labels(NasBench301):
    """Genotypes and their labels, from a table."""

    def __init__(self, path: Path):
        cells, columns = read_labels(path)
        Benchmark.__init__(self, path, "darts", hashes := cells.hashes(), columns)
        source = f"a label of {path.name}: what a model of NAS-Bench-301 predicted, not a training"
        NasBench301.__init__(self, path, {name: f"{WORDS[name]}, {source}" for name in columns})
        self._cells = cells.take(np.argsort(hashes, kind="stable"))

    def candidates(self, progress: bool = False) -> Any:
        """The genotypes of the table, a `CellPairTable` with columns hash, parameters and flops."""
        parameters, flops = costs(*self._cells.normal, *self._cells.reduction)
        columns = {"hash": self.hashes, "parameters": parameters, "flops": flops}
        return CellPairTable(to_table(*self._cells.normal), to_table(*self._cells.reduction), columns)

    def rows(
        self,
        architectures: "Architectures",
        reduction: "ArchitectureTable | Sequence[Architecture] | None" = None,
    ) -> np.ndarray:
        """(N,) rows of this benchmark. Raises ValueError naming the first architecture that is not in it."""
        return self._found(read_cells(self.space, architectures, reduction).hashes())

    def _predict(self, cells: Cells, fields: list[str], epoch: int, progress: bool) -> dict[str, np.ndarray]:
        rows = self._found(cells.hashes())
        return {field: self._columns[field][rows] for field in fields}

    def __repr__(self) -> str:
        return (
            f"<benchmark nasbench301: labels of {len(self):,} genotypes ({self.path.name}); {', '.join(self.fields)}>"
        )
