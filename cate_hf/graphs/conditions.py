"""Conditions on the sizes of graphs, in words: nodes<=6,edges>7."""

import re

import numpy as np

from cate_hf.graphs.table import ArchitectureTable

_CONDITION = re.compile(r"(nodes|edges)(<=|>=|==|<|>)(\d+)")
_COMPARE = {
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "==": np.equal,
    "<": np.less,
    ">": np.greater,
}


def parse_where(text: str | None) -> list[tuple[str, str, int]]:
    """Conditions as (what, comparison, number). Raises ValueError for text that is not conditions."""
    conditions = []
    for part in filter(None, (text or "").replace(" ", "").split(",")):
        found = _CONDITION.fullmatch(part)
        if found is None:
            raise ValueError(f"where: {part!r} is not a condition such as nodes<=6 or edges>7")
        conditions.append((found[1], found[2], int(found[3])))
    return conditions


def where_rows(table: ArchitectureTable, text: str | None) -> np.ndarray:
    """Rows (M,) of the architectures that meet all conditions, in their order; nodes count inputs and output.

    Raises:
        ValueError: the text is not conditions, or no architecture meets them.
    """
    keep = np.ones(len(table), dtype=bool)
    for what, comparison, number in parse_where(text):
        counts = table.num_nodes if what == "nodes" else np.bitwise_count(table.edge_bits).sum(axis=1)
        keep &= _COMPARE[comparison](counts, number)
    rows = np.flatnonzero(keep)
    if not len(rows):
        raise ValueError(f"where: none of the {len(table):,} architectures has {text}")
    return rows
