"""What genotypes of DARTS are written as: text, dicts, lists, arrays, NASLib's pairs, and logs with genotypes in them.

Nothing in a text is executed.
"""

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from cate_hf.spaces.darts.genotypes import (
    COMPACT,
    CONCAT,
    ENTRIES,
    INPUT_LIMITS,
    OPERATIONS,
    Genotype,
    entries,
    from_entries,
)

__all__ = ["last_of_log"]

CELLS = ("normal", "reduce")
_LONGEST_TEXT = 10_000  # characters; a genotype has about 600
_LONGEST_LOG = 100_000_000
_RANGE = re.compile(r"range\((\d{1,3}), *(\d{1,3})\)")
_START = re.compile(r"\bGenotype\s*\(")
_BEGINS = re.compile(r"(\w+\s*=\s*)?((\w+\s*\.\s*)*Genotype\s*\(|[\[({])")
_NAME = re.compile(r"\A[A-Za-z_]\w*\s*=\s*")
_ARRAYS = ("array", "list", "tuple")  # calls around a list
_NUMBERS = re.compile(r"u?int\d*|intc|longlong|str_")  # NumPy's names of types, as it prints them around a value


def as_genotype(value: Any, source: str = "genotype") -> Genotype:
    """A `Genotype` from text (see `parse`), 8 entries (then of both cells), a dict or any object with DARTS's four
    fields, or NASLib's compact form: a normal and a reduction cell of 8 pairs (input, number of the operation) each.

    Raises:
        ValueError: it is none of these; names the field and entry.
    """
    if isinstance(value, str):
        return parse(value, source)
    if isinstance(value, Mapping):
        for field in value:
            if field not in Genotype._fields:
                raise ValueError(f"{source}: field {field!r:.60} is unknown, expected {', '.join(Genotype._fields)}")
        value = SimpleNamespace(**value)
    if is_compact(value):
        value = SimpleNamespace(
            **{name: _of_compact(cell, name, source) for name, cell in zip(CELLS, value, strict=True)}
        )
    if not any(hasattr(value, name) for name in CELLS):
        cell = entries(*from_entries(value, source))
        return Genotype(cell, CONCAT, list(cell), CONCAT)
    cells = {}
    for name in CELLS:
        if not hasattr(value, name):
            raise ValueError(f"{source}: field {name!r} is missing")
        cells[name] = entries(*from_entries(getattr(value, name), f"{source}, {name} cell"))
        _check_concat(f"{name}_concat", getattr(value, f"{name}_concat", CONCAT), source)
    return Genotype(cells["normal"], CONCAT, cells["reduce"], CONCAT)


def is_compact(value: Any) -> bool:
    """Whether a value is two cells of pairs of numbers, as NASLib writes them."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        return False  # ragged
    return array.shape == (2, ENTRIES, 2) and array.dtype.kind in "iu"


def _of_compact(cell: Any, name: str, source: str) -> list[tuple[str, int]]:
    """The 8 entries (operation, input) of NASLib's pairs (input, operation)."""
    found = []
    for i, (value, code) in enumerate(np.asarray(cell).tolist()):
        if not (0 <= value < INPUT_LIMITS[i] and 0 <= code < len(OPERATIONS)):
            raise ValueError(
                f"{source}, {name} cell, entry {i}: ({value}, {code}), expected an input 0 to "
                f"{INPUT_LIMITS[i] - 1}, then an operation 0 to {len(OPERATIONS) - 1}; {COMPACT}"
            )
        found.append((OPERATIONS[code], value))
    return found


def _check_concat(field: str, value: Any, source: str) -> None:
    # A range is compared as such: the text may have one that is too long for a list.
    if isinstance(value, str) and (found := _RANGE.fullmatch(value.strip())):
        value = range(int(found[1]), int(found[2]))
    value = value.tolist() if isinstance(value, np.ndarray) else value
    same = value == CONCAT if isinstance(value, range) else isinstance(value, Sequence) and [*value] == [*CONCAT]
    if not same:
        raise ValueError(f"{source}: {field} must be range({CONCAT.start}, {CONCAT.stop}), not {value!r:.60}")


def parse(text: str, source: str = "genotype") -> Genotype:
    """A genotype from text: `Genotype(normal=[...], normal_concat=range(2, 6), reduce=[...], reduce_concat=...)`, with
    or without a name and "=" before it and in any number of lines; JSON or a dict of these fields; a list of 8 entries
    for both cells; NASLib's compact form. Of a log, a text of several lines with genotypes in it, the last is taken
    (`UserWarning` where there are several).

    Raises:
        ValueError: it is none of these; names the field and entry.
    """
    form = f"{source}: {text.strip()!r:.60} is neither Genotype(normal=[...], ...) nor a list of {ENTRIES} entries"
    if len(text) > _LONGEST_LOG:
        raise ValueError(f"{form}: it has {len(text):,} characters")
    tree = _tree(text)
    if tree is None and (found := in_log(text)):
        if len({*found}) > 1:
            warnings.warn(f"{source}: {len(found)} genotypes in the text; the last is taken", stacklevel=3)
        text = found[-1]
        tree = _tree(text)
    if tree is None:
        raise ValueError(form + (f": it has {len(text):,} characters" if len(text) > _LONGEST_TEXT else ""))
    if isinstance(tree, ast.List | ast.Tuple | ast.Dict):
        return as_genotype(_value(tree, source), source)
    if not isinstance(tree, ast.Call) or getattr(tree.func, "id", getattr(tree.func, "attr", "")) != "Genotype":
        raise ValueError(form)
    if len(tree.args) > len(Genotype._fields):
        raise ValueError(f"{source}: {len(tree.args)} fields, a Genotype has {len(Genotype._fields)}")
    fields = dict(zip(Genotype._fields, tree.args, strict=False))
    for keyword in tree.keywords:
        if keyword.arg not in Genotype._fields or keyword.arg in fields:
            raise ValueError(f"{source}: field {keyword.arg!r} is unknown or there twice")
        fields[keyword.arg] = keyword.value
    for field in Genotype._fields:
        if field not in fields:
            raise ValueError(f"{source}: field {field!r} is missing")
    return as_genotype(Genotype(**{field: _value(node, source) for field, node in fields.items()}), source)


def in_log(text: str) -> list[str]:
    """The whole `Genotype(...)` in a text, in their order, where there is something else in it too."""
    found = []
    for start in _START.finditer(text):
        depth = 0
        for at in range(start.end() - 1, min(len(text), start.end() + _LONGEST_TEXT)):
            depth += (text[at] in "([") - (text[at] in ")]")
            if not depth:
                found.append(text[start.start() : at + 1])
                break
    return found


class InLog(NamedTuple):
    """The last genotype of a log, and how many there are."""

    text: str
    number: int


def last_of_log(text: str) -> InLog | None:
    """What to take of a log, or of one genotype in several lines; None of a text with a genotype a line: the first line
    that is no comment begins one, and none has one further on.
    """
    lines = [line.strip() for line in text.split("\n")]
    lines = [line for line in lines if line and not line.startswith("#")]
    begins = [bool(_BEGINS.match(line)) for line in lines]
    further = any(_START.search(line) for line, begun in zip(lines, begins, strict=True) if not begun)
    several = sum(bool(_START.search(line)) for line in lines) > 1
    a_line = bool(lines) and begins[0] and not further and (several or _tree(lines[0]) is not None)
    found = [] if a_line else in_log(text)
    return InLog(found[-1], len(found)) if found else None


def _tree(text: str) -> ast.expr | None:
    """An expression, or None where the text is not one."""
    if len(text) > _LONGEST_TEXT:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(_NAME.sub("", text.strip()), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _value(node: ast.expr, source: str) -> Any:
    try:
        return _literal(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise ValueError(f"{source}: expected lists of entries (operation, input) and range(2, 6)") from None


def _literal(node: ast.expr | None) -> Any:
    """The value of a literal that may have `range(...)` and what NumPy prints around values in it."""
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {_literal(key): _literal(item) for key, item in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name == "range" and not node.keywords:
            return range(*map(ast.literal_eval, node.args))
        if len(node.args) == 1 and (name in _ARRAYS or _NUMBERS.fullmatch(name)):
            return _literal(node.args[0])
    if node is None:  # of ** in a dict
        raise ValueError
    return ast.literal_eval(node)
