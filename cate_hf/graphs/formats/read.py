"""One architecture from whatever a user has at hand: a file, JSON, a hash, or a search space's own notation."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from cate_hf.core._files import check_no_folder
from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.formats._dot import SUFFIXES as DOT_SUFFIXES
from cate_hf.graphs.formats._dot import from_dot
from cate_hf.graphs.io import JSON_SUFFIXES, PARQUET_SUFFIXES, read_architectures, readable_parquet

if TYPE_CHECKING:
    from cate_hf.spaces import Space

_ONNX_SUFFIXES = (".onnx",)
_SUFFIXES = (*JSON_SUFFIXES, *PARQUET_SUFFIXES, *DOT_SUFFIXES, *_ONNX_SUFFIXES)
_SHOWN = 60  # characters of a text in an error


def read_architecture(text: str | os.PathLike, space: "Space | None" = None) -> Any:
    """The architecture of a file (of several rows the first) or of a text.

    Args:
        text: a file that ends in .json, .jsonl, .parquet, .dot or .onnx; the JSON of an architecture; with a space also
            a hash or the space's own notation.
        space: what the architecture must be of; it then comes without nodes that are on no path.

    Returns:
        an ``Architecture``; for a space whose networks have two kinds of cell, and a text that gives both, its pair.

    Raises:
        ValueError: none of these, or not of the space; a file is named.
        FileNotFoundError: no such file.
    """
    check_no_folder(text, f"a file ending in {', '.join(_SUFFIXES)}")
    if str(text).lower().endswith(_SUFFIXES):
        path = Path(text)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        found = _from_file(path, space)
        try:
            return found if space is None else space.validate(found)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    if os.path.isfile(text):
        raise ValueError(f"{text}: expected a file ending in {', '.join(_SUFFIXES)}")
    text = str(text).strip()
    if space is not None:
        return _parse(text, space)
    if text.startswith("{"):
        return Architecture.from_json(text)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    raise ValueError(
        f"{shown!r} is neither a file nor JSON of an architecture; a hash or a search space's own notation needs "
        "--space"
    )


def _parse(text: str, space: "Space") -> Any:
    """By the space. One with two kinds of cell reads both from a text; twice the same cell is one architecture."""
    if not hasattr(space, "parse_pair"):
        return space.parse(text)
    pair = space.parse_pair(text)
    return pair.normal if space.hash(pair.normal) == space.hash(pair.reduction) else pair


def _from_file(path: Path, space: "Space | None") -> Any:
    suffix = path.suffix.lower()
    if suffix in DOT_SUFFIXES:
        return from_dot(path)
    if suffix in _ONNX_SUFFIXES:
        from cate_hf.graphs.formats._onnx_model import from_onnx

        return from_onnx(path)
    if suffix in PARQUET_SUFFIXES:
        if (genotype := _first_genotype(path)) is not None:
            if space is None or not hasattr(space, "from_genotype"):
                raise ValueError(f"{path}: holds pairs of cells (columns normal and reduce); they need --space darts")
            return space.from_genotype(genotype)
        table = read_architectures(path)
        if not len(table):
            raise ValueError(f"{path}: holds no architecture")
        return table[0]
    try:
        text = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error})") from None
    if not text:
        raise ValueError(f"{path}: the file is empty")
    where, row = _first_row(text)
    try:
        return Architecture.from_json(row) if space is None else _parse(row, space)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}{where}: {error}") from None


def _first_genotype(path: Path) -> SimpleNamespace | None:
    """The fields normal and reduce of a file's first row, each a list of (operation, input), as `cate import` writes
    pairs of cells; None of a file of another form. Raises ValueError where the row cannot be read.
    """
    with readable_parquet(path) as file:
        if not {"normal", "reduce"} <= set(file.schema_arrow.names):
            return None
        rows = next(file.iter_batches(1, columns=["normal", "reduce"]), None)
    if rows is None or not len(rows):
        raise ValueError(f"{path}: holds no architecture")
    try:
        cells = {
            name: [(entry["operation"], entry["input"]) for entry in cell] for name, cell in rows.to_pylist()[0].items()
        }
    except (KeyError, TypeError):
        raise ValueError(f"{path}, row 0: normal and reduce must be lists of {{operation, input}}") from None
    return SimpleNamespace(**cells)


def _first_row(text: str) -> tuple[str, str]:
    """Where the first object of a file stands: on a line of its own (JSON Lines), or in all of the text."""
    line = text.split("\n", 1)[0]
    try:
        whole = not isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        whole = True
    return ("", text) if whole else (", line 1", line)
