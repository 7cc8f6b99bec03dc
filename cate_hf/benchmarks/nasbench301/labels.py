"""The oracle of NAS-Bench-301 that is a table of labels in Parquet: a genotype and its labels a row.

Columns: `normal` and `reduce`, each a list of 8 structs {operation: string, input: integer}; `validation_accuracy` in
[0, 1]; `runtime_seconds`. Other columns are not read.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.benchmarks.base import Benchmark
from cate_hf.benchmarks.nasbench301.base import NasBench301, refuse_options
from cate_hf.graphs.table import ArchitectureTable, unknown_operation
from cate_hf.spaces.darts.costs import costs
from cate_hf.spaces.darts.genotypes import ENTRIES, OPERATIONS, check, to_table
from cate_hf.spaces.darts.pairs import CellPairTable, Cells, read_cells

if TYPE_CHECKING:
    from cate_hf.benchmarks.nasbench301.base import Architectures
    from cate_hf.graphs.architecture import Architecture

FIELDS = ("validation_accuracy", "runtime_seconds")
_WORDS = {"validation_accuracy": "validation accuracy", "runtime_seconds": "seconds of training"}
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


def read_cell_column(path: Path, name: str, column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Operations and inputs (N, 8) uint8 of a column of genotypes. Raises ValueError naming file, row and entry."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    fields = {field.name: field.type for field in kind.value_type} if _holds_structs(kind, is_list) else {}
    if not (_is_text(fields.get("operation")) and pa.types.is_integer(fields.get("input", pa.null()))):
        expected = "lists of {operation: string, input: integer}"
        raise ValueError(f"{path}: column {name!r} must hold {expected}, not {str(kind)[:80]!r}")
    column = column.combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(lengths != ENTRIES)
    if len(wrong):
        found = "null" if lengths[wrong[0]] < 0 else f"{lengths[wrong[0]]} entries"
        raise ValueError(f"{path}, row {wrong[0]}: {name} must have {ENTRIES} entries (operation, input), not {found}")
    entries = pc.list_flatten(column)
    operations, inputs = (pc.struct_field(entries, field) for field in ("operation", "input"))
    for field, values in (("operation", operations), ("input", inputs)):
        if values.null_count:
            at = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
            raise ValueError(f"{path}, row {at // ENTRIES}: {name}, entry {at % ENTRIES}: {field} is null")
    codes = pc.index_in(operations.cast(pa.string()), pa.array(OPERATIONS))
    if codes.null_count:
        at = int(np.argmax(codes.is_null().to_numpy(zero_copy_only=False)))
        name_bytes = operations[at].cast(pa.binary()).as_py()  # text in a damaged file may be no UTF-8
        found = unknown_operation(name_bytes.decode(errors="replace")[:60], OPERATIONS)
        raise ValueError(f"{path}, row {at // ENTRIES}: {name}, entry {at % ENTRIES}: {found}")
    return check(codes.to_numpy().reshape(-1, ENTRIES), inputs.to_numpy().reshape(-1, ENTRIES), f"{path}: {name}")


def _holds_structs(kind: Any, is_list: bool) -> bool:
    import pyarrow as pa

    return is_list and pa.types.is_struct(kind.value_type)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return kind is not None and (pa.types.is_string(kind) or pa.types.is_large_string(kind))


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

    def __init__(
        self,
        path: str | os.PathLike,
        accuracy_model: str | None = None,
        noise_seed: int | None = None,
        trust_pickle: bool = False,
    ):
        refuse_options(path, accuracy_model, noise_seed)
        cells, columns = read_labels(Path(path))
        Benchmark.__init__(self, Path(path), "darts", hashes := cells.hashes(), columns)
        source = f"a label of {Path(path).name}: what a model of NAS-Bench-301 predicted, not a training"
        NasBench301.__init__(self, path, {name: f"{_WORDS[name]}, {source}" for name in columns})
        self._cells = cells.take(np.argsort(hashes, kind="stable"))

    def candidates(self, progress: bool = False) -> CellPairTable:
        """The genotypes of the table, with columns hash, parameters and flops."""
        parameters, flops = costs(*self._cells.normal, *self._cells.reduction)
        columns = {"hash": self.hashes, "parameters": parameters, "flops": flops}
        return CellPairTable(to_table(*self._cells.normal), to_table(*self._cells.reduction), columns)

    def rows(
        self,
        architectures: "Architectures",
        reduction: "ArchitectureTable | Sequence[Architecture] | None" = None,
    ) -> np.ndarray:
        """(N,) rows of this benchmark. Raises ValueError naming the first architecture that is not in it."""
        return self._rows(read_cells(self.space, architectures, reduction))

    def _rows(self, cells: Cells) -> np.ndarray:
        hashes = cells.hashes()
        rows, absent = self._search(hashes)
        if len(absent):
            raise ValueError(
                f"{self.name}: architecture {absent[0]} (hash {hashes[absent[0]].decode()}) is not in {self.path}"
            )
        return rows

    def _predict(self, cells: Cells, fields: list[str], epoch: int, progress: bool) -> dict[str, np.ndarray]:
        rows = self._rows(cells)
        return {field: self._columns[field][rows] for field in fields}

    def __repr__(self) -> str:
        return (
            f"<benchmark nasbench301: labels of {len(self):,} genotypes ({self.path.name}); {', '.join(self.fields)}>"
        )
