"""What verbs that print tables print otherwise: JSON, or names alone."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer


def print_listing(
    rows: Sequence[Mapping[str, Any]], name: str, as_json: bool, quiet: bool, table: Callable[[], None]
) -> None:
    """Print rows as JSON, as the names in their column `name`, or by `table`."""
    if as_json:
        print_json(rows)
    elif quiet:
        for row in rows:
            typer.echo(row[name])
    else:
        table()


def print_json(content: Any) -> None:
    """Print JSON, of a list an element a line."""
    text = "[\n" + ",\n".join(map(_json, content)) + "\n]" if isinstance(content, list) else _json(content)
    typer.echo(text)


def _json(content: Any) -> str:
    """Numbers of NumPy, which `default` sees, are numbers."""
    return json.dumps(content, ensure_ascii=False, default=lambda value: getattr(value, "tolist", value.__str__)())
