"""Architectures for property tests."""

import numpy as np
from hypothesis import strategies as st

from cate_hf import Architecture

VOCABULARY = ("input", "conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output")


@st.composite
def architectures(draw, max_nodes: int = 7) -> Architecture:
    """Any graph of 2 to ``max_nodes`` nodes over the NAS-Bench-101 vocabulary, connected or not."""
    size = draw(st.integers(2, max_nodes))
    inner = draw(st.lists(st.sampled_from(VOCABULARY[1:-1]), min_size=size - 2, max_size=size - 2))
    above = size * (size - 1) // 2
    bits = draw(st.lists(st.integers(0, 1), min_size=above, max_size=above))
    adjacency = np.zeros((size, size), dtype=np.uint8)
    adjacency[np.triu_indices(size, 1)] = bits
    return Architecture([VOCABULARY[0], *inner, VOCABULARY[-1]], adjacency)


@st.composite
def redrawings(draw, graph: Architecture) -> Architecture:
    """The same graph with its interior nodes numbered in another topological order."""
    left, order = set(range(1, graph.num_nodes - 1)), [0]
    while left:
        free = [n for n in sorted(left) if not any(graph.adjacency[m, n] for m in left)]
        order.append(draw(st.sampled_from(free)))
        left.remove(order[-1])
    order.append(graph.num_nodes - 1)
    return Architecture([graph.operations[n] for n in order], graph.adjacency[np.ix_(order, order)])
