"""Two-cell architectures for NAS-Bench-301: as arrays, as a table, and where its surrogates are not to be trusted."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cate_hf.graphs.table import ArchitectureTable, unknown_operation
from cate_hf.spaces.darts._canonical import canonical_keys, cell_hashes
from cate_hf.spaces.darts.genotypes import ENTRIES, OPERATIONS, CellPair, check

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.spaces.darts.space import Darts

_SKIP = OPERATIONS.index("skip_connect")
_FIRST_WITH_PARAMETERS = OPERATIONS.index("sep_conv_3x3")  # those before it have none
# Of 10,000 uniformly drawn genotypes with results, 4 have as many skips in the normal and 1 in the reduction cell, and
# 3 as many operations without parameters: fewer than 0.1 % each.
_MOST_SKIPS = 5
_MOST_WITHOUT_PARAMETERS = 13


class Cells(NamedTuple):
    """N architectures: operations and inputs (N, 8) uint8 of each cell, as in `cate_hf.spaces.darts.genotypes`."""

    normal: tuple[np.ndarray, np.ndarray]
    reduction: tuple[np.ndarray, np.ndarray]

    @property
    def number(self) -> int:
        """N."""
        return len(self.normal[0])

    def take(self, rows: Any) -> "Cells":
        """Those of a slice, index array or mask."""
        return Cells(*(tuple(values[rows] for values in cell) for cell in self))

    def keys(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) int64 of each cell, equal for isomorphic ones."""
        return canonical_keys(*self.normal), canonical_keys(*self.reduction)

    def hashes(self) -> np.ndarray:
        """(N,) text as `get_space("darts").hash` gives them."""
        return cell_hashes(*self.keys())


class CellPairTable(Sequence):
    """N architectures of two cells, and columns beside them. `table[3]` is a `CellPair`, a slice, index array or mask
    gives another table.

    Attributes:
        normal, reduction: the N cells of each kind, tables without columns.
        columns: name -> array with N along its first axis; `hash` is text.
    """

    def __init__(
        self, normal: ArchitectureTable, reduction: ArchitectureTable, columns: Mapping[str, np.ndarray] | None = None
    ):
        if len(normal) != len(reduction):
            raise ValueError(f"cell pairs: {len(normal)} normal and {len(reduction)} reduction cells")
        self.normal, self.reduction = normal.replace_columns({}), reduction.replace_columns({})
        self.columns = {name: np.asarray(values) for name, values in (columns or {}).items()}
        for name, values in self.columns.items():
            if values.ndim == 0 or len(values) != len(normal):
                raise ValueError(f"column {name!r}: expected {len(normal)} values, one a row, got {values.shape}")

    @property
    def parts(self) -> tuple[ArchitectureTable, ArchitectureTable]:
        """The two kinds of cells, whose encodings stand side by side as the encoding of the pair."""
        return self.normal, self.reduction

    def __len__(self) -> int:
        return len(self.normal)

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, int | np.integer):
            return CellPair(self.normal[rows], self.reduction[rows])
        columns = {name: values[rows] for name, values in self.columns.items()}
        return CellPairTable(self.normal[rows], self.reduction[rows], columns)

    def __iter__(self) -> "Iterator[CellPair]":
        return map(CellPair, self.normal, self.reduction)

    def with_columns(self, **columns: Any) -> "CellPairTable":
        """The same architectures with further columns."""
        return self.replace_columns({**self.columns, **columns})

    def replace_columns(self, columns: Mapping[str, np.ndarray]) -> "CellPairTable":
        """The same architectures with these columns alone."""
        return CellPairTable(self.normal, self.reduction, columns)

    @classmethod
    def concatenate(cls, tables: "Sequence[CellPairTable]") -> "CellPairTable":
        """All rows of tables without columns, in their order."""
        parts = zip(*(table.parts for table in tables), strict=True)
        normal, reduction = (ArchitectureTable.concatenate(part) for part in parts)
        return cls(normal, reduction)

    def __repr__(self) -> str:
        return f"CellPairTable({len(self)} pairs of cells; columns: {', '.join(self.columns) or 'none'})"


def read_cells(
    space: "Darts",
    architectures: "ArchitectureTable | CellPairTable | Sequence[Architecture | CellPair | str]",
    reduction: "ArchitectureTable | Sequence[Architecture] | None" = None,
) -> Cells:
    """The cells of architectures in any drawing.

    Args:
        architectures: pairs of cells, in a table or one by one; or single cells, which are the normal ones. Texts that
            the space's `parse_pair` reads are pairs too.
        reduction: the reduction cells of single cells; None where each is used for both.

    Raises:
        ValueError: naming the first row that is not of the space.
    """
    if reduction is not None:
        if isinstance(architectures, CellPairTable):
            raise ValueError("pairs of cells have their reduction cells already; give reduction with single cells only")
        cells = [
            _single_cells(space, part, name)
            for part, name in ((architectures, "normal cells"), (reduction, "reduction cells"))
        ]
        if len(cells[0][0]) != len(cells[1][0]):
            raise ValueError(f"{len(cells[0][0])} normal and {len(cells[1][0])} reduction cells")
        return Cells(*cells)
    if isinstance(architectures, ArchitectureTable):
        both = space.cells(architectures)
        return Cells(both, both)
    if not isinstance(architectures, CellPairTable):
        pairs = [_pair(space, item, row) for row, item in enumerate(architectures)]
        architectures = CellPairTable(
            space.table([pair.normal for pair in pairs]), space.table([pair.reduction for pair in pairs])
        )
    return Cells(
        space.cells(architectures.normal, "normal cells"), space.cells(architectures.reduction, "reduction cells")
    )


def _single_cells(space: "Darts", cells: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(cells, ArchitectureTable):
        from cate_hf.graphs.architecture import Architecture

        cells = list(cells)
        for row, cell in enumerate(cells):
            if not isinstance(cell, Architecture):
                raise ValueError(f"{name}, row {row}: expected an Architecture, got {type(cell).__name__}")
        cells = space.table(cells)
    return space.cells(cells, name)


def _pair(space: "Darts", item: Any, row: int) -> CellPair:
    from cate_hf.graphs.architecture import Architecture

    if not isinstance(item, Architecture | CellPair | str):
        raise ValueError(
            f"architecture {row}: expected an Architecture, a CellPair or their text, got {type(item).__name__}"
        )
    try:
        return space.parse_pair(item) if isinstance(item, str) else space.pair(item)
    except ValueError as error:
        raise ValueError(f"architecture {row}: {error}") from None


def reliable(cells: Cells) -> np.ndarray:
    """(N,) bool: whether an architecture is of a kind that the surrogates' training data and labels have enough of."""
    few_skips = [(operations == _SKIP).sum(axis=1) <= _MOST_SKIPS for operations, _ in cells]
    without = sum((operations < _FIRST_WITH_PARAMETERS).sum(axis=1) for operations, _ in cells)
    return few_skips[0] & few_skips[1] & (without <= _MOST_WITHOUT_PARAMETERS)


def why_unreliable(cells: Cells) -> str | None:
    """What is unusual about the one architecture of `cells`, None where `reliable` says that it is not."""
    for name, (operations, _) in zip(("normal", "reduction"), cells, strict=True):
        skips = int((operations[0] == _SKIP).sum())
        if skips > _MOST_SKIPS:
            return f"{skips} of the {ENTRIES} operations of its {name} cell are skip_connect"
    without = sum(int((operations[0] < _FIRST_WITH_PARAMETERS).sum()) for operations, _ in cells)
    if without > _MOST_WITHOUT_PARAMETERS:
        return f"{without} of the {2 * ENTRIES} operations of its cells have no parameters"
    return None


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
