"""Algorithms on one architecture: cycles, isomorphism, paths, edit distance; ``Architecture`` has them as methods."""

from functools import lru_cache
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import networkx

    from cate_hf.graphs.architecture import Architecture

__all__ = ["MAX_EXACT_EDIT_NODES"]

# Up to this many nodes between input and output the edit distance tries every alignment: 8! = 40,320 of them.
MAX_EXACT_EDIT_NODES = 8


def find_cycle(adjacency: np.ndarray) -> list[int] | None:
    """A directed cycle of a graph (L, L), as nodes with the first repeated at the end, or None."""
    matrix = adjacency != 0
    alive = np.ones(len(matrix), dtype=bool)
    while True:  # peel off the nodes that no living node leads to; what remains is on or behind a cycle
        sources = alive & ~matrix[alive].any(axis=0)
        if not sources.any():
            break
        alive &= ~sources
    if not alive.any():
        return None
    # Every living node has a living predecessor: walking backward must come to a node twice.
    node, seen = int(np.flatnonzero(alive)[0]), []
    while node not in seen:
        seen.append(node)
        node = int(np.flatnonzero(matrix[:, node] & alive)[0])
    cycle = seen[seen.index(node) :][::-1]
    start = cycle.index(min(cycle))
    cycle = cycle[start:] + cycle[:start]
    return [*cycle, cycle[0]]


def is_isomorphic(first: "Architecture", second: "Architecture") -> bool:
    """Exact isomorphism of labelled graphs: invariants first, then VF2."""
    if first == second:
        return True
    if _node_kinds(first) != _node_kinds(second):
        return False
    from networkx.algorithms.isomorphism import DiGraphMatcher

    def same_operation(a: dict, b: dict) -> bool:
        return a["operation"] == b["operation"]

    return DiGraphMatcher(to_networkx(first), to_networkx(second), node_match=same_operation).is_isomorphic()


def _node_kinds(architecture: "Architecture") -> list[tuple[str, int, int, int, int]]:
    """Operation, degrees and numbers of ancestors and descendants of each node, sorted."""
    adjacency, reach = architecture.adjacency, architecture.closure()
    counts = [m.sum(axis=axis).tolist() for m in (adjacency, reach) for axis in (0, 1)]
    return sorted(zip(architecture.operations, *counts, strict=True))


def paths(architecture: "Architecture", num_inputs: int, limit: int) -> list[str]:
    """See ``Architecture.paths``."""
    operations, size = architecture.operations, architecture.num_nodes
    successors = [np.flatnonzero(row).tolist() for row in architecture.adjacency]
    counts = [0] * (size - 1) + [1]  # paths from each node to the output; Python integers cannot overflow
    for node in range(size - 2, -1, -1):
        counts[node] = sum(counts[after] for after in successors[node])
    total = sum(counts[:num_inputs])
    if total > limit:
        raise ValueError(f"architecture: {total:,} paths from input to output, more than the limit of {limit:,}")
    tails: list[set[str]] = [set() for _ in range(size)]
    tails[-1] = {operations[-1]}
    wanted = np.asarray(architecture.closure()[:num_inputs].any(axis=0))
    wanted[:num_inputs] = True
    for node in range(size - 2, -1, -1):
        if wanted[node]:
            tails[node] = {f"{operations[node]}|{tail}" for after in successors[node] for tail in tails[after]}
    return sorted(set().union(*tails[:num_inputs]))


@lru_cache(maxsize=16)
def _alignments(small: int, large: int) -> np.ndarray:
    """(K, large) permutations of the larger graph's nodes that differ in where the ``small`` real nodes go."""
    rows = []
    for chosen in permutations(range(large), small):
        rows.append([*chosen, *(set(range(large)) - set(chosen))])
    return np.array(rows, dtype=np.intp).reshape(len(rows), large)


def edit_distance(first: "Architecture", second: "Architecture", num_inputs: int, timeout_seconds: float) -> int:
    """See ``Architecture.edit_distance``."""
    if first.num_nodes > second.num_nodes:
        first, second = second, first
    if second.num_nodes - num_inputs - 1 > MAX_EXACT_EDIT_NODES:
        return _edit_distance_networkx(first, second, num_inputs, timeout_seconds)
    # Substituting a node (1) is never dearer than removing it and inserting another (2), so that in a best alignment
    # all nodes of the smaller graph have partners; the larger one's others are insertions.
    small, large = first.num_nodes, second.num_nodes
    inputs, output = list(range(num_inputs)), [large - 1]
    interior = _alignments(small - num_inputs - 1, large - num_inputs - 1) + num_inputs
    fixed = np.broadcast_to(np.array(inputs + output), (len(interior), num_inputs + 1))
    order = np.concatenate([fixed, interior], axis=1)  # (K, large): node of ``second`` beside each node of ``first``

    names = {name: code for code, name in enumerate({*first.operations, *second.operations})}
    rows = [*range(num_inputs), small - 1, *range(num_inputs, small - 1)]
    codes = np.array([names[first.operations[i]] for i in rows])
    edges = np.zeros((large, large), dtype=bool)
    edges[:small, :small] = first.adjacency[np.ix_(rows, rows)]
    other_codes = np.array([names[name] for name in second.operations])
    other_edges = second.adjacency.astype(bool)

    substituted = (other_codes[order[:, :small]] != codes).sum(axis=1)
    changed = (other_edges[order[:, :, None], order[:, None, :]] != edges).sum(axis=(1, 2))
    return int((substituted + changed).min()) + large - small


def _edit_distance_networkx(
    first: "Architecture", second: "Architecture", num_inputs: int, timeout_seconds: float
) -> int:
    from networkx.algorithms.similarity import graph_edit_distance

    impossible = 10.0 * (first.num_nodes + second.num_nodes) ** 2  # dearer than any change of both graphs

    def graph_with_roles(architecture):
        graph = to_networkx(architecture)
        for node in graph:
            is_output = node == architecture.num_nodes - 1
            graph.nodes[node]["role"] = "output" if is_output else node if node < num_inputs else "interior"
        return graph

    def substitute(a: dict, b: dict) -> float:
        return impossible if a["role"] != b["role"] else float(a["operation"] != b["operation"])

    def insert_or_remove(a: dict) -> float:
        return 1.0 if a["role"] == "interior" else impossible

    distance = graph_edit_distance(
        graph_with_roles(first),
        graph_with_roles(second),
        node_subst_cost=substitute,
        node_del_cost=insert_or_remove,
        node_ins_cost=insert_or_remove,
        timeout=timeout_seconds,
    )
    if distance is None:
        raise ValueError(f"edit distance: networkx found no alignment within {timeout_seconds} seconds")
    return round(distance)


def to_networkx(architecture: "Architecture") -> "networkx.DiGraph":
    """See ``Architecture.to_networkx``."""
    import networkx

    graph = networkx.DiGraph()
    graph.add_nodes_from((node, {"operation": name}) for node, name in enumerate(architecture.operations))
    graph.add_edges_from(architecture.edges)
    return graph
