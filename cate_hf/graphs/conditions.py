"""Conditions on numbers of graphs, in words: nodes<=6,edges>7 or parameters<4e6."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from cate_hf.core._names import unknown
from cate_hf.graphs.table import ArchitectureTable

_SIZES = ("nodes", "edges")
_CONDITION = re.compile(r"([^<>=]+)(<=|>=|==|<|>)(\d+|\d*\.?\d+(?:e[+-]?\d+)?)", re.IGNORECASE)
_COMPARE = {
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "==": np.equal,
    "<": np.less,
    ">": np.greater,
}


def parse_where(text: str | None, names: Sequence[str] = _SIZES) -> list[tuple[str, str, float]]:
    """Conditions as (what, comparison, number). Raises ValueError for text that is not conditions on these names."""
    conditions = []
    for part in filter(None, (text or "").replace(" ", "").split(",")):
        found = _CONDITION.fullmatch(part)
        if found is None or (found[1] not in names and tuple(names) == _SIZES):
            raise ValueError(f"where: {part!r} is not a condition such as nodes<=6 or edges>7")
        if found[1] not in names:
            raise unknown("where: number", found[1], names)
        conditions.append((found[1], found[2], int(found[3]) if found[3].isdigit() else float(found[3])))
    return conditions


def sizes(table: ArchitectureTable, name: str) -> np.ndarray:
    """(N,) numbers of nodes, inputs and output included, or of edges."""
    return table.num_nodes if name == "nodes" else np.bitwise_count(table.edge_bits).sum(axis=1)


def gaps(conditions: Sequence[tuple[str, str, float]], numbers: Callable[[str], np.ndarray], count: int) -> np.ndarray:
    """(N,) by how much conditions are missed, 0 where all are met: the sum of the relative distances.

    Args:
        numbers: of a name the (N,) numbers; count: N.
    """
    total = np.zeros(count)
    for name, comparison, limit in conditions:
        values = np.asarray(numbers(name), np.float64)
        missed = np.abs(values - limit) / max(abs(limit), 1e-9) + 1e-9
        total += np.where(_COMPARE[comparison](values, limit), 0.0, missed)
    return total


def where_rows(table: ArchitectureTable, text: str | None) -> np.ndarray:
    """Rows (M,) of the architectures that meet all conditions, in their order; nodes count inputs and output.

    Raises:
        ValueError: the text is not conditions, or no architecture meets them.
    """
    rows = np.flatnonzero(gaps(parse_where(text), lambda name: sizes(table, name), len(table)) == 0)
    if not len(rows):
        raise ValueError(f"where: none of the {len(table):,} architectures has {text}")
    return rows
