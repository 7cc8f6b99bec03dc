"""Architectures from graphs of networkx."""

from typing import Any

import numpy as np

from cate_hf.graphs.algorithms import find_cycle
from cate_hf.graphs.architecture import Architecture


def from_networkx(graph: Any) -> Architecture:
    """Return the architecture of a ``networkx.DiGraph`` whose nodes, of any names, carry ``operation``.

    Nodes are numbered in topological order, those that could come next in the order in which they were added to the
    graph, so that ``from_networkx(a.to_networkx()) == a``.

    Raises:
        ValueError: undirected, parallel edges, a cycle (named), or a node without ``operation``.
    """
    import networkx

    if not isinstance(graph, networkx.Graph) or not graph.is_directed() or graph.is_multigraph():
        raise ValueError(f"architecture: expected a networkx.DiGraph, got {type(graph).__name__}")
    added = {node: place for place, node in enumerate(graph)}
    for node, operation in graph.nodes(data="operation"):
        if operation is None:
            raise ValueError(f"architecture: node {node!r} has no attribute 'operation'")
    try:
        order = list(networkx.lexicographical_topological_sort(graph, key=added.__getitem__))
    except networkx.NetworkXUnfeasible:
        cycle = find_cycle(networkx.to_numpy_array(graph, nodelist=list(graph)))
        names = " -> ".join(repr(list(graph)[place]) for place in cycle or ())
        raise ValueError(f"architecture: cycle {names}; the graph must be acyclic") from None
    number = {node: place for place, node in enumerate(order)}
    adjacency = np.zeros((len(order), len(order)), dtype=np.uint8)
    for source, target in graph.edges:
        adjacency[number[source], number[target]] = 1
    return Architecture([graph.nodes[node]["operation"] for node in order], adjacency)
