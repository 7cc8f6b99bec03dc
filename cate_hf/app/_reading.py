"""What a user pasted or uploaded as an architecture, with bounds; nothing of it is executed or unpickled."""

import ast
import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.formats.read import read_architecture
from cate_hf.spaces import get_space

MOST_TEXT, MOST_BYTES = 50_000, 10_000_000
ANY = "find it"  # instead of a space's name
KINDS = (".json", ".jsonl", ".parquet", ".dot", ".onnx")
_MATRIX, _OPERATIONS = r"\[\s*\[.*?\]\s*\]", r"\[\s*['\"].*?['\"]\s*,?\s*\]"


class Given(NamedTuple):
    """An architecture as it was understood.

    Attributes:
        architecture: an `Architecture`, or a pair of cells.
        space: the name of its space, None where it is of none that is known.
        understood: what it was read as, in words.
        python: the expression that makes it, of `space` where there is one.
        argument: what `cate show` takes.
    """

    architecture: Any
    space: str | None
    understood: str
    python: str
    argument: str

    @property
    def cells(self) -> dict[str, Architecture]:
        """Its cells by name, "" for a single one."""
        if hasattr(self.architecture, "operations"):
            return {"": self.architecture}
        return {"normal": self.architecture.normal, "reduction": self.architecture.reduction}


def read_given(text: str | None, space: str, spaces: list[str], upload: str | os.PathLike | None = None) -> Given:
    """Read an architecture from text, or from a file where one was uploaded.

    Args:
        text: JSON, a genotype, NAS-Bench-201's string, NAS-Bench-101's matrix and operations, or a hash.
        space: a space's name, or `ANY`: the first of `spaces` that it belongs to.
        spaces: names.
        upload: a file of `KINDS`.

    Raises:
        ValueError: none of these, not of the space, or too large.
    """
    names = spaces if space == ANY else [space]
    if upload is not None:
        return _of_file(Path(upload), names, space == ANY)
    text = (text or "").strip()
    if not text:
        raise ValueError("paste an architecture, or upload a file of one")
    if len(text) > MOST_TEXT:
        raise ValueError(f"{len(text):,} characters; at most {MOST_TEXT:,} are read. Upload a file instead")
    plain = _as_json(text)
    form = "a matrix and operations" if plain != text else _form(text)
    if form == "a hash" and space == ANY:  # of a space that cannot be listed, a hash says nothing
        names = [name for name in names if get_space(name).size is not None]
    return _of_names(lambda name: _of_text(plain, name), names, space, form, plain)


def _of_text(text: str, space: str | None) -> Any:
    """As `read_architecture`, but that no text is taken for the name of a file of this machine."""
    if space is None:
        return Architecture.from_json(text)
    known: Any = get_space(space)
    if not hasattr(known, "parse_pair"):
        return known.parse(text)
    pair = known.parse_pair(text)
    return pair.normal if known.hash(pair.normal) == known.hash(pair.reduction) else pair


def single_cell(given: Given) -> tuple[Architecture, str]:
    """The cell that neighbours, maps and predictions are of, and a remark where it is one of two.

    Raises:
        ValueError: it is of no known space.
    """
    if given.space is None:
        raise ValueError(f"{given.understood}; choose an architecture of one of the search spaces")
    cells = given.cells
    return (cells[""], "") if "" in cells else (cells["normal"], "Of the two cells, the normal one is looked at.")


def _of_file(path: Path, names: list[str], any_space: bool) -> Given:
    size, suffix = path.stat().st_size, path.suffix.lower()
    if suffix not in KINDS:
        raise ValueError(f"{path.name}: expected a file ending in {', '.join(KINDS)}")
    if size > MOST_BYTES:
        raise ValueError(f"{path.name}: {size / 1e6:.1f} MB; at most {MOST_BYTES / 1e6:.0f} MB are read")

    def read(name: str | None) -> Any:
        try:
            return read_architecture(path, None if name is None else get_space(name))
        except ImportError as error:
            raise ValueError(f"{path.name}: needs the package {error.name}, which is not installed here") from None
        except (ValueError, OSError) as error:
            raise ValueError(str(error).replace(f"{path.parent}{os.sep}", "")) from None

    kind = suffix.lstrip(".").upper()
    found = _of_names(read, names, ANY if any_space else names[0], f"{path.name} ({kind})", path.name)
    if found.space is None:
        return found._replace(python=f"read_architecture({path.name!r})")
    return found._replace(python=f"read_architecture({path.name!r}, space)")


def _of_names(read: Any, names: list[str], space: str, form: str, argument: str) -> Given:
    """The architecture by the first space that accepts it; else, where any will do, as one of no space."""
    errors: dict[str, str] = {}
    for name in names:
        try:
            found = read(name)
        except (ValueError, OverflowError, RecursionError) as error:
            errors[name] = str(error)
        else:
            parse = "parse" if hasattr(found, "operations") else "parse_pair"
            return Given(found, name, f"{form}, of {name}", f"space.{parse}({argument!r})", argument)
    if space == ANY:
        try:
            found = read(None)
        except (ValueError, OverflowError, RecursionError) as error:
            raise ValueError(_nearest_error(argument, errors, str(error))) from None
        python = f"Architecture.from_json({argument!r})"
        return Given(found, None, f"{form}, {_why_of_none(found, errors)}", python, argument)
    raise ValueError(errors[space])


def _why_of_none(found: Architecture, errors: dict[str, str]) -> str:
    """Why an architecture is of none of the spaces, said by the one whose operations it has."""
    for name, error in errors.items():
        if {*found.operations} <= {*get_space(name).vocabulary}:
            return f"not of {name}: {error}"
    return f"of none of the search spaces {', '.join(errors)}"


def _nearest_error(text: str, errors: dict[str, str], plain: str) -> str:
    """What the space says whose notation a text looks like."""
    told = [error for error in errors.values() if "nor JSON of one, nor a hash" not in error]
    if text.startswith("{"):
        return plain
    return told[0] if told else f"{text!r:.60} is not understood: {EXPECTED}"


EXPECTED = (
    "expected JSON with operations and adjacency, a genotype of DARTS, a string of NAS-Bench-201, a matrix and "
    "operations of NAS-Bench-101, or a hash"
)


def _form(text: str) -> str:
    if text.startswith("{"):
        return "JSON"
    if text.startswith("|"):
        return "NAS-Bench-201's string"
    if len(text) == 32 and all(letter in "0123456789abcdef" for letter in text):
        return "a hash"
    return "a genotype" if "normal" in text else "the space's own notation"


def _as_json(text: str) -> str:
    """A matrix of 0 and 1 and a list of operations, in any order and however they are named, as JSON; other text as it
    is.
    """
    if "operations" in text and "adjacency" in text and text.startswith("{") and "module_" not in text:
        return text
    matrix, operations = (re.findall(pattern, text, re.DOTALL) for pattern in (_MATRIX, _OPERATIONS))
    if len(matrix) != 1 or len(operations) != 1:
        return text
    try:
        found = {"operations": ast.literal_eval(operations[0]), "adjacency": ast.literal_eval(matrix[0])}
        return json.dumps(found)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return text
