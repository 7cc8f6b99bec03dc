"""Whether one architecture keeps the limits of a search space of one's own, and if not, why."""

from typing import TYPE_CHECKING

import numpy as np

from cate_hf.spaces.custom._fields import Fields

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture


def check_limits(fields: Fields, architecture: "Architecture") -> None:
    """Raise ValueError for the first limit that a pruned architecture with inputs and output in place does not keep."""
    size, name, inputs = architecture.num_nodes, fields.name, fields.num_inputs
    _check_range(size, fields.nodes, "nodes", f"a {name} architecture has")
    if fields.edges is not None:
        _check_range(architecture.num_edges, fields.edges, "edges", f"a {name} architecture has")
    adjacency = architecture.adjacency
    into = np.flatnonzero(adjacency[:, :inputs].any(axis=0))
    if len(into):
        raise ValueError(f"node {into[0]} is an input of {name}: no edge may lead to it")
    for node in range(inputs, size - 1):
        where = f"a node of {name} between inputs and output has"
        _check_range(int(adjacency[:, node].sum()), fields.in_degree, f"predecessors of node {node}", where)
        _check_range(int(adjacency[node].sum()), fields.out_degree, f"successors of node {node}", where)
    for x, y in fields.skeleton_edges(size):
        if not adjacency[x, y]:
            raise ValueError(f"no edge {x} -> {y}, which the skeleton of {name} demands")
    for node, operation in fields.fixed_operations.items():
        if architecture.operations[node] != operation:
            given = architecture.operations[node]
            raise ValueError(f"node {node}: a {name} architecture has {operation!r} there, got {given!r}")


def _check_range(number: int, limits: tuple[int, int], what: str, who: str) -> None:
    if number > limits[1]:
        raise ValueError(f"{number} {what}; {who} at most {limits[1]}")
    if number < limits[0]:
        raise ValueError(f"{number} {what}; {who} at least {limits[0]}")
