"""Cells of NAS-Bench-201 as arrays: six operation codes each, their graphs, their texts and their isomorphism classes.

A cell's codes are those of `nasbench201_network`: one of OPERATIONS for each of EDGES. Its key is the six of them as
digits, such as 333132.
"""

import random

import numpy as np

from cate_hf.graphs.table import PADDING
from cate_hf.spaces.nasbench201.costs import EDGES, OPERATIONS

__all__ = ["all_codes", "from_keys", "keys", "positions", "texts"]

# Nodes of the largest graph: the input, an operation for each edge, the output. An operation has the same code here as
# in OPERATIONS; edges with none have no node.
VOCABULARY = ("input", *OPERATIONS[1:], "output")
MAX_NODES = len(EDGES) + 2
_POWERS_OF_TEN = 10 ** np.arange(len(EDGES) - 1, -1, -1)
_POWERS = len(OPERATIONS) ** np.arange(len(EDGES) - 1, -1, -1)
_NAMES = np.array(OPERATIONS, dtype=object)


def _graph_of_all_edges() -> np.ndarray:
    """(8, 8) bool: the operation on edge i -> j feeds those on the edges from j; node 0 is the input, 3 the output."""
    graph = np.zeros((MAX_NODES, MAX_NODES), dtype=bool)
    last = max(target for _, target in EDGES)
    for node, (source, target) in enumerate(EDGES, 1):
        graph[0, node] |= source == 0
        graph[node, -1] |= target == last
        for other, (start, _) in enumerate(EDGES, 1):
            graph[node, other] |= start == target
    return graph


_GRAPH = _graph_of_all_edges()
MAX_EDGES = int(_GRAPH.sum())


def all_codes() -> np.ndarray:
    """(15625, 6) uint8, in the order of their keys."""
    return codes_at(np.arange(len(OPERATIONS) ** len(EDGES)))


def codes_at(rows: np.ndarray) -> np.ndarray:
    """The inverse of `positions`: (N,) rows of `all_codes` -> (N, 6) uint8 codes."""
    return (rows[:, None] // _POWERS % len(OPERATIONS)).astype(np.uint8)


def positions(codes: np.ndarray) -> np.ndarray:
    """(N, 6) codes -> (N,) rows of `all_codes`."""
    return np.asarray(codes, dtype=np.int64) @ _POWERS


def keys(codes: np.ndarray) -> np.ndarray:
    """(N, 6) codes -> (N,) int64 whose decimal digits are the codes: 333132."""
    return np.asarray(codes, dtype=np.int64) @ _POWERS_OF_TEN


def from_keys(keys: np.ndarray) -> np.ndarray:
    """The inverse of `keys`: (N,) integers -> (N, 6) uint8 codes."""
    return (np.asarray(keys)[:, None] // _POWERS_OF_TEN % 10).astype(np.uint8)


def indices(codes: np.ndarray) -> np.ndarray:
    """(N, 6) codes -> (N,) int64 index in NAS-Bench-201 and NATS-Bench, whose order is a shuffle by the seed 88."""
    order = list(range(len(OPERATIONS) ** len(EDGES)))
    random.Random(88).shuffle(order)
    return np.argsort(order)[positions(codes)]


def texts(codes: np.ndarray) -> np.ndarray:
    """(N, 6) codes -> (N,) objects, the benchmark's own strings."""
    result = np.full(len(codes), "", dtype=object)
    for edge, (source, _) in enumerate(EDGES):
        result += ("|" if edge == 0 else "+|" if source == 0 else "") + _NAMES[codes[:, edge]] + f"~{source}|"
    return result


def graphs(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The graphs of cells, of what is on a path from input to output only; without a path, input and output alone.

    Args:
        codes: (N, 6).

    Returns:
        node codes (N, 8) uint8 in VOCABULARY, 255 after the last node, and adjacency (N, 8, 8) uint8; operations in the
        order of EDGES.
    """
    present = np.ones((len(codes), MAX_NODES), dtype=bool)
    present[:, 1:-1] = codes > 0
    from_input, to_output = np.zeros_like(present), np.zeros_like(present)
    from_input[:, 0] = to_output[:, -1] = True
    for node in range(1, MAX_NODES):  # in topological order: one pass each way is enough
        from_input[:, node] = (from_input & _GRAPH[:, node]).any(axis=1) & present[:, node]
        back = MAX_NODES - 1 - node
        to_output[:, back] = (to_output & _GRAPH[back]).any(axis=1) & present[:, back]
    live = from_input & to_output
    live[:, 0] = live[:, -1] = True
    order = np.argsort(~live, axis=1, kind="stable")
    used = np.arange(MAX_NODES) < live.sum(axis=1)[:, None]
    nodes = np.zeros((len(codes), MAX_NODES), dtype=np.uint8)
    nodes[:, 1:-1], nodes[:, -1] = codes, len(VOCABULARY) - 1
    nodes = np.where(used, np.take_along_axis(nodes, order, axis=1), PADDING).astype(np.uint8)
    adjacency = _GRAPH[order[:, :, None], order[:, None, :]] & used[:, :, None] & used[:, None, :]
    return nodes, adjacency.astype(np.uint8)


def isomorphism_classes(codes: np.ndarray) -> np.ndarray:
    """(N, 6) codes -> (N,) int64: the benchmark's isomorphism classes, numbered by their first cell.

    A node is written as the sorted sum of its edges. An edge with none is zero, and so is any edge from a node 1 that
    is zero; skip_connect is its source as it is written; the others are their source with the operation. Cells whose
    output is written alike are one class (Dong and Yang 2020: 6,466 of all cells). They compute the same function, but
    not all cells that do are in one class: zeros stay in the sums, and the terms of a skipped sum stay together.
    """
    zero = np.bytes_(b"#")

    def edge(number: int, source: np.ndarray) -> np.ndarray:
        operation = codes[:, number]
        applied = np.strings.add(np.strings.add(b"(", source), _APPLIED[operation])
        return np.where((operation == 0) | (source == zero), zero, np.where(operation == 1, source, applied))

    nodes = [np.full(len(codes), b"0")]
    for target in range(1, 4):
        terms = [edge(number, nodes[source]) for number, (source, end) in enumerate(EDGES) if end == target]
        total, *others = np.sort(np.stack(terms, axis=1), axis=1).T
        for term in others:
            total = np.strings.add(np.strings.add(total, np.bytes_(b"+")), term)
        nodes.append(total)
    _, first, inverse = np.unique(nodes[-1], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


_APPLIED = np.array([f")@{name}".encode() for name in OPERATIONS])
