"""What a cell of NAS-Bench-201 is written as: the benchmark's string, six operation numbers, AutoDL's nested tuples."""

import ast
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from cate_hf.core._names import RowError
from cate_hf.graphs.table import unknown_operation
from cate_hf.spaces.nasbench201.cells import all_codes, codes_at, texts
from cate_hf.spaces.nasbench201.costs import EDGES, OPERATIONS

_FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
_NODES = 3  # that have edges into them
_SIX = (
    "six numbers 0 to 4 (none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3) of the edges 0→1, 0→2, 1→2, "
    "0→3, 1→3, 2→3, the order of NATS-Bench"
)
_NESTED = "((op, 0),), ((op, 0), (op, 1)), ((op, 0), (op, 1), (op, 2)), the edges into nodes 1, 2 and 3"
# How AutoDL prints a cell: the name of a class, the number of nodes, and the string.
_STRUCTURE = re.compile(r"\w+\s*\(\s*(\d+)\s+nodes\s+with\s+(.*?)\s*\)", re.DOTALL)


def parse_cell(cell: Any) -> np.ndarray | None:
    """Return the operation codes (6,) uint8 of a cell, None where it does not look like one.

    Args:
        cell: the benchmark's string (spaces in it, and the edges into a node in any order, do not matter); AutoDL's
            `Structure(4 nodes with ...)`, as text or as the object; six digits; or six numbers in NATS-Bench's order or
            AutoDL's nested tuples of (operation, source), as a sequence or as its text.

    Raises:
        ValueError: it begins like one and is none; the message names the edge and what was expected.
    """
    if not isinstance(cell, str):
        return _parse_value(cell)
    text = cell.strip()
    if found := _STRUCTURE.fullmatch(text):
        if int(found[1]) != _NODES + 1:
            raise ValueError(f"cell {text!r:.100}: {found[1]} nodes; a NAS-Bench-201 cell has {_NODES + 1}")
        text = found[2]
    if len(text) == len(EDGES) and text.isascii() and text.isdigit():
        return _from_numbers([int(digit) for digit in text], text)
    if text[:1] in ("(", "["):
        try:
            return _parse_value(ast.literal_eval(text))
        except (SyntaxError, ValueError, MemoryError, RecursionError, TypeError) as error:
            if type(error) is ValueError and str(error).startswith("cell"):
                raise
            raise ValueError(f"cell {text!r:.100}: expected {_SIX}; or {_NESTED}") from None
    return _parse_string(text) if text.startswith("|") else None


def _parse_string(text: str) -> np.ndarray:
    groups = "".join(text.split()).split("+")
    framed = all(len(group) > 1 and group[0] == group[-1] == "|" for group in groups)
    if not framed or [group.count("|") for group in groups] != [2, 3, 4]:
        raise ValueError(f"cell {text!r:.100}: expected {_FORM}")
    nodes = []
    for group in groups:
        entries = (entry.rpartition("~") for entry in group[1:-1].split("|"))
        nodes.append(
            [(name, int(number) if number.isascii() and number.isdigit() else number) for name, _, number in entries]
        )
    return _from_nodes(nodes, text)


def _parse_value(value: Any) -> np.ndarray | None:
    """A cell from a sequence, or an object of AutoDL."""
    if hasattr(value, "nodes") and hasattr(value, "tostr"):
        value = value.nodes
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, Sequence):
        return None
    value = list(value)
    if len(value) == _NODES and not any(isinstance(node, int | str) for node in value):
        return _from_nodes(value, value)
    if len(value) == len(EDGES) and all(isinstance(item, int | np.integer) for item in value):
        return _from_numbers(value, value)
    if all(isinstance(item, str) for item in value):
        raise ValueError(
            f"cell {str(value)!s:.100}: names alone do not say on which edges they are; expected {_NESTED}"
        )
    raise ValueError(f"cell {str(value)!s:.100}: expected {_SIX}; or {_NESTED}")


def _from_numbers(numbers: Sequence[int], cell: Any) -> np.ndarray:
    for (source, target), number in zip(EDGES, numbers, strict=True):
        if isinstance(number, bool) or not 0 <= number < len(OPERATIONS):
            found = f"cell {cell!r:.100}: edge {source}→{target} has operation {number}"
            raise ValueError(f"{found}, expected 0 to 4: {_SIX}")
    return np.array(numbers, dtype=np.uint8)


def _from_nodes(nodes: Sequence[Any], cell: Any) -> np.ndarray:
    """Codes of three lists of (operation, source), the edges into nodes 1, 2 and 3, each list in any order."""
    codes = np.empty(len(EDGES), dtype=np.uint8)
    what = f"cell {str(cell) if not isinstance(cell, str) else repr(cell):.100}"
    for target, entries in enumerate(nodes, 1):
        try:
            pairs = [(name, source) for name, source in entries]
        except (TypeError, ValueError):
            raise ValueError(f"{what}: expected {_NESTED}") from None
        sources = [source if isinstance(source, int | np.integer) else None for _, source in pairs]
        if len(pairs) != target:
            raise ValueError(f"{what}: {len(pairs)} edges into node {target}, expected {_NESTED}")
        for position, (name, source) in enumerate(pairs):
            if {*sources} != {*range(target)} and source != position:
                given = f"edge {position}→{target}: {f'{name}~{source}'!r:.40}"
                raise ValueError(f"{what}: {given}, expected op~{position}; sources count from 0")
            if not isinstance(name, str) or name not in OPERATIONS:
                problem = unknown_operation(str(name)[:40], OPERATIONS)
                raise ValueError(f"{what}: edge {source}→{target}: {problem}")
            codes[EDGES.index((int(source), target))] = OPERATIONS.index(name)
    return codes


@lru_cache
def _known() -> dict[str, int]:
    """The benchmark's string of each cell -> its row in `all_codes`."""
    return {text: row for row, text in enumerate(texts(all_codes()).tolist())}


def parse_cells(cells: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, 6) of many cells, and (N,) bool, which were notations of one. Raises RowError as `parse_cell`."""
    known, found = _known(), np.ones(len(cells), dtype=bool)
    rows = np.array([known.get(cell, -1) if isinstance(cell, str) else -1 for cell in cells], dtype=np.int64)
    codes = codes_at(rows)
    for row in np.flatnonzero(rows < 0).tolist():
        try:
            parsed = parse_cell(cells[row])
        except ValueError as error:
            raise RowError(str(error), row) from None
        if parsed is None:
            found[row] = False
        else:
            codes[row] = parsed
    return codes, found
