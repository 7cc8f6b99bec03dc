"""Whatever holds architectures, as one table: what every function that takes architectures goes through."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.graphs._json_forms import GRAPH_NAMES
from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.table import ArchitectureTable

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["held_columns", "to_table"]

_TEXTS = ("architecture", "hash")
_ROW_NAMES = ("operations", "module_operations", *_TEXTS)
_FORMS = "a table, architectures, dicts of operations and adjacency, a data frame, a data set, or a dict of lists"
Parse = Callable[[Iterable[Any], str], ArchitectureTable]


def to_table(
    architectures: Any,
    vocabulary: Sequence[str] | None = None,
    source: str = "architectures",
    parse: Parse | None = None,
) -> ArchitectureTable:
    """Return architectures as a table, without the columns of a data frame or data set.

    Args:
        architectures: an `ArchitectureTable`; one `Architecture` or dict of operations and adjacency; any iterable of
            them, such as a generator or a pandas `Series`; a pandas or polars `DataFrame`, a `datasets.Dataset`, an
            Arrow table or a dict of lists with columns operations and adjacency (in any of the forms of
            `graph_columns`), or with architecture or hash.
        vocabulary: names of the operations, in the order of their codes; as they appear when None.
        source: what the errors call them.
        parse: reads what else stands for architectures, such as a space's own notation, its hashes, or text of them.

    Raises:
        ValueError: naming the row, and what was expected.
    """
    if isinstance(architectures, ArchitectureTable):
        return architectures if vocabulary is None else architectures.recode(vocabulary, source)
    if (columns := held_columns(architectures)) is not None:
        return _of_columns(columns, vocabulary, source, parse)
    architectures = as_item(architectures)
    if isinstance(architectures, Architecture | Mapping | str) or hasattr(architectures, "normal"):
        architectures = [architectures]
    try:
        items = [as_item(item) for item in architectures]
    except TypeError:
        raise ValueError(f"{source}: expected {_FORMS}, got {architectures!r:.60}") from None
    if parse is not None and items and all(isinstance(item, int | np.integer) for item in items):
        return parse([items], source)  # one architecture in numbers
    rows = []
    for row, item in enumerate(items):
        if hasattr(item, "normal") and hasattr(item, "reduction"):
            raise ValueError(f"row {row}: expected an Architecture, of a single cell, got {type(item).__name__}")
        if not isinstance(item, Architecture | Mapping):
            if parse is not None and item is not None and not isinstance(item, int | float):
                return parse(items, source)
            raise ValueError(f"row {row}: expected an Architecture or a dict of one, got {type(item).__name__}")
        try:
            rows.append(item if isinstance(item, Architecture) else Architecture.from_dict(item))
        except ValueError as error:
            raise ValueError(f"row {row}: {error}") from None
    return ArchitectureTable.from_architectures(rows, vocabulary)


def as_item(value: Any) -> Any:
    """A row of a data frame or data set as a dict of operations and adjacency, or as the text or hash that it has in
    their place; anything else as it is.
    """
    if isinstance(value, str | Architecture):
        return value
    if hasattr(value, "iloc") and hasattr(value, "index") and any(name in value.index for name in _ROW_NAMES):
        value = value.to_dict()
    if isinstance(value, Mapping) and not any(name in value for name in GRAPH_NAMES):
        return next((value[name] for name in _TEXTS if isinstance(value.get(name), str)), value)
    return value


def held_columns(value: Any) -> "pa.Table | None":
    """The Arrow table of a data frame, data set or dict of lists; None of anything else."""
    import pyarrow as pa

    if hasattr(value, "collect_schema") and hasattr(value, "collect"):  # of polars, lazy
        value = value.collect()
    if isinstance(value, pa.Table):
        return value
    if isinstance(value, Mapping):
        splits = [name for name, part in value.items() if hasattr(part, "with_format")]
        if splits:
            raise ValueError(f"data sets by name ({', '.join(splits)}); give one of them")
        return _of_lists(value)
    if hasattr(value, "iloc") and hasattr(value, "columns"):  # of pandas
        return pa.table({str(name): _array(value[name]) for name in value.columns})
    if hasattr(value, "features") and hasattr(value, "with_format"):  # of datasets
        return _of_dataset(value)
    if hasattr(value, "to_arrow") and hasattr(value, "columns"):  # of polars
        return value.to_arrow()
    return None


def _of_dataset(dataset: Any) -> "pa.Table":
    from cate_hf.graphs._table_arrow import GRAPH_COLUMNS, from_dataset, to_arrow

    if {*GRAPH_COLUMNS} <= {*(dataset.features or {})} and "names" in str(dataset.features["operations"]):
        return to_arrow(from_dataset(dataset).replace_columns({}))
    import pyarrow as pa

    parts = list(dataset.with_format("arrow").iter(16_384))
    return pa.concat_tables(parts) if parts else dataset.features.arrow_schema.empty_table()


def _of_lists(value: Mapping[str, Any]) -> "pa.Table | None":
    """A dict of lists, such as a batch of a data set; None of a dict of one architecture."""
    import pyarrow as pa

    names = [name for name in ("operations", "module_operations", *_TEXTS) if name in value]
    first: Any = value[names[0]] if names else None
    if isinstance(first, str | bytes) or not hasattr(first, "__len__"):
        return None
    if names[0] not in _TEXTS and len(first) and isinstance(first[0], str) and first[0][:1] not in ("[", "("):
        return None
    return pa.table({name: _array(column) for name, column in value.items() if hasattr(column, "__len__")})


def _array(values: Any) -> "pa.Array":
    """A column of Python objects, NumPy arrays and sparse matrices within them included, as Arrow."""
    import pyarrow as pa

    try:
        return pa.array([_to_lists(value) for value in values])
    except (pa.ArrowException, OverflowError, TypeError):
        return pa.array([repr(value) for value in values])


def _to_lists(value: Any) -> Any:
    value = value.toarray() if hasattr(value, "toarray") else value
    value = value.tolist() if hasattr(value, "tolist") else value
    return [_to_lists(item) for item in value] if isinstance(value, list | tuple) else value


def _of_columns(
    columns: "pa.Table", vocabulary: Sequence[str] | None, source: str, parse: Parse | None
) -> ArchitectureTable:
    from cate_hf.graphs._graph_columns import plain_columns
    from cate_hf.graphs._table_arrow import GRAPH_COLUMNS, from_arrow

    plain, _ = plain_columns(columns, source)
    names = plain.column_names
    if {*GRAPH_COLUMNS} <= {*names}:
        return from_arrow(plain.select(GRAPH_COLUMNS), source, vocabulary).replace_columns({})
    texts = next((name for name in _TEXTS if name in names), None)
    if parse is None or texts is None or {*GRAPH_COLUMNS} & {*names}:
        found = ", ".join(map(repr, names)) or "none"
        raise ValueError(
            f"{source}: expected columns operations and adjacency, or architecture, or hash; it has {found}"
        )
    return parse(plain[texts].to_pylist(), source)
