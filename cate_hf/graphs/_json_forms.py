"""Forms of JSON other than JSON Lines in which tables are kept: arrays, indented objects, and what pandas writes."""

import gc
import json
from typing import Any

__all__ = ["GRAPH_NAMES"]

GRAPH_NAMES = ("operations", "adjacency", "module_operations", "module_adjacency")
_NAMES = (*GRAPH_NAMES, "architecture", "hash")


def rows_of(text: str, source: str) -> tuple[list[dict[str, Any]], str] | None:
    """The rows of a JSON text and what it was understood as; None of JSON Lines, also where one of its lines is wrong.

    Read are an array of objects (pandas: orient="records"), an object of objects by index (orient="index", and the
    public CATE code's preprocessing), an object of columns, each by index or a list (orient="columns", "list"), an
    object of columns and data (orient="split" and "table"), and one or more indented objects.

    Raises:
        ValueError: naming the source and item, where it is JSON of another form.
    """
    first, _, rest = text.strip().partition("\n")
    several = bool(rest.strip())
    try:
        value = loads(first)
    except (ValueError, RecursionError):
        value = None
    if several and isinstance(value, dict):
        return None
    if several or value is None:
        try:
            value = loads(text)
        except (ValueError, RecursionError):
            rows = _objects(text) if value is None else None
            return None if rows is None else (rows, f"{len(rows):,} objects in several lines each")
    if isinstance(value, list):
        if not any(isinstance(row, dict) for row in value):
            return None
        return _checked(value, source), f"an array of {len(value):,} objects"
    if not isinstance(value, dict):
        return None
    if {*value} >= {"columns", "data"} and isinstance(value["columns"], list):
        rows = [dict(zip(value["columns"], row, strict=False)) for row in value["data"] if isinstance(row, list)]
        return rows, "an object of columns and data, as pandas splits them"
    if {*value} == {"schema", "data"}:
        index = value["schema"].get("primaryKey", []) if isinstance(value["schema"], dict) else []
        rows = [{k: v for k, v in row.items() if k not in index} for row in _checked(value["data"], source)]
        return rows, "an object of schema and data, as pandas writes them"
    named = any(name in value for name in _NAMES)
    if value and all(isinstance(item, dict) for item in value.values()):
        if named:
            return _of_columns(value, source), "an object of columns by index"
        return [*value.values()], f"an object of {len(value):,} rows by index"
    if named and _holds_columns(value):
        return _of_lists(value, source), "an object of columns"
    return ([value], "one object in several lines") if rest.strip() else None


def loads(text: str) -> Any:
    """Parse JSON, without looking for garbage meanwhile: of many lists that takes longer than the parsing."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return json.loads(text)
    finally:
        if collecting:
            gc.enable()


def _objects(text: str) -> list[dict[str, Any]] | None:
    """Objects that follow each other, or None where there is something else."""
    decoder, rows, at = json.JSONDecoder(), [], 0
    text = text.strip()
    while at < len(text):
        try:
            row, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        if not isinstance(row, dict):
            return None
        rows.append(row)
        while at < len(text) and text[at].isspace():
            at += 1
    return rows


def _checked(rows: Any, source: str) -> list[dict[str, Any]]:
    for number, row in enumerate(rows if isinstance(rows, list) else [rows]):
        if not isinstance(row, dict):
            raise ValueError(f"{source}, item {number}: expected an object with the columns of a row, got {row!r:.60}")
    return rows


def _of_columns(columns: dict[str, dict[str, Any]], source: str) -> list[dict[str, Any]]:
    first = next(iter(columns.values()))
    for name, column in columns.items():
        if column.keys() != first.keys():
            raise ValueError(f"{source}: column {name!r} has another index than {next(iter(columns))!r}")
    return [{name: column[key] for name, column in columns.items()} for key in first]


def _holds_columns(value: dict[str, Any]) -> bool:
    """Whether the values are lists of what one row has each, rather than one row."""
    for name in ("operations", "architecture", "hash"):
        item = value.get(name)
        if item is not None:
            return isinstance(item, list) and (name != "operations" or not item or isinstance(item[0], list))
    item = value.get("module_operations")  # one-hot operations of one row are lists too
    return (
        isinstance(item, list)
        and bool(item)
        and isinstance(item[0], list)
        and bool(item[0])
        and (isinstance(item[0][0], list | str))
    )


def _of_lists(columns: dict[str, Any], source: str) -> list[dict[str, Any]]:
    lengths = {name: len(column) for name, column in columns.items() if isinstance(column, list)}
    if len(lengths) < len(columns) or len({*lengths.values()}) > 1:
        raise ValueError(
            f"{source}: columns {', '.join(f'{name} ({n})' for name, n in lengths.items())} of other lengths"
        )
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
