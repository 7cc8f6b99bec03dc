"""DARTS cells for property tests."""

import numpy as np
from hypothesis import strategies as st

from cate_hf import Architecture
from cate_hf.spaces.darts.genotypes import OPERATIONS

# The cells of the second-order search in figures 4 and 5 of Liu et al. 2019.
SECOND_ORDER = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=range(2, 6))"
)


@st.composite
def genotypes(draw, operations=OPERATIONS) -> list[tuple[str, int]]:
    """The 8 entries of any cell, those of a node in any order."""
    cell = []
    for node in range(4):
        first = draw(st.integers(0, 1 + node))
        second = draw(st.integers(0, 1 + node).filter(lambda value, first=first: value != first))
        cell += [(draw(st.sampled_from(operations)), value) for value in (first, second)]
    return cell


@st.composite
def redrawings(draw, cell: Architecture) -> Architecture:
    """The same cell with all nodes between the inputs and the output numbered in another topological order."""
    left, order = set(range(2, len(cell) - 1)), [0, 1]
    while left:
        free = [n for n in sorted(left) if not any(cell.adjacency[m, n] for m in left)]
        order.append(draw(st.sampled_from(free)))
        left.remove(order[-1])
    order.append(len(cell) - 1)
    return Architecture([cell.operations[n] for n in order], cell.adjacency[np.ix_(order, order)])
