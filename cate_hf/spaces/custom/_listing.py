"""All architectures of a small search space of one's own: sets of edges first, then their labellings."""

from itertools import combinations
from math import factorial

import numpy as np

from cate_hf.graphs.graph_hash import graph_hashes
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces.custom._fields import Fields

MAX_PATTERNS = 1 << 22  # sets of edges at any one time
MAX_DRAWINGS = 5_000_000
_MAX_NODES = 11  # the edges of more do not fit into 64 bits
_CHUNK = 1 << 18
_FREE = "free"  # label of a node whose operation is not fixed


def edge_patterns(fields: Fields) -> dict[int, np.ndarray] | None:
    """Number of nodes -> sets of edges, (P,) uint64, edge x -> y (x < y) at bit x + y(y-1)/2; those that differ by the
    order of free nodes once. None where these, or their labellings, are too many to be listed.
    """
    found, drawings = {}, 0
    for nodes, fewest, most in reversed(fields.sizes()):
        labellings = len(fields.operations) ** (nodes - fields.num_inputs - 1 - len(fields.fixed_operations))
        if nodes > _MAX_NODES or labellings > MAX_DRAWINGS:
            return None
        patterns = _patterns(fields, nodes, fewest, most)
        if patterns is None:
            return None
        # Of the orders of the nodes between, at most their factorial draw the same graph.
        if drawings + len(patterns) / factorial(nodes - fields.num_inputs - 1) * labellings > MAX_DRAWINGS:
            return None
        if len(patterns):
            _, first = np.unique(_pattern_hashes(fields, nodes, patterns), return_index=True)
            patterns = patterns[first]
        found[nodes] = patterns
        drawings += len(patterns) * labellings
        if drawings > MAX_DRAWINGS:
            return None
    return dict(sorted(found.items()))


def _patterns(fields: Fields, nodes: int, fewest: int, most: int) -> np.ndarray | None:
    """Sets of edges within the limits, node by node; None where they are too many."""
    inputs, demanded = fields.num_inputs, fields.skeleton_edges(nodes)
    patterns = np.zeros(1, dtype=np.uint64)
    for y in range(inputs, nodes):
        between = y < nodes - 1
        least, largest = fields.in_degree if between else (1, y)
        needed = sum(1 << x for x, end in demanded if end == y)
        sources = [chosen for count in range(least, min(largest, y) + 1) for chosen in combinations(range(y), count)]
        numbers = (sum(1 << x for x in chosen) for chosen in sources)
        masks = np.array([number for number in numbers if number & needed == needed], dtype=np.uint64)
        if len(patterns) * len(masks) > MAX_PATTERNS:
            return None
        patterns = (patterns[:, None] | masks << np.uint64(y * (y - 1) // 2)).ravel()
        later = max(0, nodes - 2 - y) * fields.in_degree[0] + between  # edges that the nodes after this one need
        patterns = patterns[np.bitwise_count(patterns) <= most - later]
    patterns = patterns[np.bitwise_count(patterns) >= fewest]
    for x in range(inputs, nodes - 1):
        leaving = sum(1 << (x + y * (y - 1) // 2) for y in range(x + 1, nodes))
        degree = np.bitwise_count(patterns & np.uint64(leaving))
        patterns = patterns[(degree >= fields.out_degree[0]) & (degree <= fields.out_degree[1])]
    return patterns


def _pack(patterns: np.ndarray, nodes: int) -> np.ndarray:
    """The edge bits of an `ArchitectureTable` of that many nodes."""
    return patterns.astype("<u8").view(np.uint8).reshape(-1, 8)[:, : (nodes * (nodes - 1) // 2 + 7) // 8]


def _pattern_hashes(fields: Fields, nodes: int, patterns: np.ndarray) -> np.ndarray:
    """Hashes (P,) of the graphs whose nodes have no operation yet, but where it is fixed.

    Two graphs of one hash have the same labelled architectures, up to the order of nodes.
    """
    fixed = fields.fixed_operations
    between = [f"fixed {fixed[node]}" if node in fixed else _FREE for node in range(fields.num_inputs, nodes - 1)]
    labels = [*(f"input {i}" for i in range(fields.num_inputs)), *between, "output"]
    vocabulary = tuple(dict.fromkeys(labels))
    codes = np.broadcast_to(np.array([vocabulary.index(label) for label in labels], np.uint8), (len(patterns), nodes))
    counts = np.full(len(patterns), nodes, dtype=np.uint8)
    return graph_hashes(ArchitectureTable(vocabulary, codes, _pack(patterns, nodes), counts))


def list_architectures(fields: Fields, vocabulary: tuple[str, ...], patterns: dict, on_progress) -> ArchitectureTable:
    """All architectures with the column hash, sorted by it.

    Args:
        patterns: of `edge_patterns`.
        on_progress: called with the number of drawings hashed, after each chunk.
    """
    largest = max(fields.nodes)
    parts = []
    for nodes, sets in patterns.items():
        parts += _labelled(fields, vocabulary, nodes, sets, largest, on_progress)
    if not parts:
        raise ValueError(f"{fields.name}: no architecture meets the limits: {fields.limits()}")
    table = ArchitectureTable.concatenate(parts)
    _, first = np.unique(table.columns["hash"], return_index=True)
    return table[first]


def _labelled(fields: Fields, vocabulary: tuple[str, ...], nodes: int, sets: np.ndarray, largest: int, on_progress):
    """Tables of the architectures of each chunk, with hashes, unique within it."""
    free = [v for v in range(fields.num_inputs, nodes - 1) if v not in fields.fixed_operations]
    operations = len(fields.operations)
    labellings = operations ** len(free)
    start = np.zeros(nodes, dtype=np.uint8)
    start[: fields.num_inputs], start[-1] = np.arange(fields.num_inputs), len(vocabulary) - 1
    for node, operation in fields.fixed_operations.items():
        if node < nodes - 1:
            start[node] = vocabulary.index(operation)
    for first in range(0, len(sets) * labellings, _CHUNK):
        number = np.arange(first, min(first + _CHUNK, len(sets) * labellings))
        codes = np.tile(start, (len(number), 1))
        labelling = number % labellings
        for node in free:
            codes[:, node] = fields.num_inputs + labelling % operations
            labelling //= operations
        bits = _pack(sets[number // labellings], nodes)
        table = ArchitectureTable(vocabulary, codes, bits, np.full(len(number), nodes, dtype=np.uint8))
        hashes = graph_hashes(table)
        _, kept = np.unique(hashes, return_index=True)
        on_progress(len(number))
        yield table[kept].with_columns(hash=hashes[kept]).widen(largest)


def number_of_drawings(fields: Fields, patterns: dict) -> int:
    """How many labelled graphs `list_architectures` hashes."""
    between = {nodes: nodes - fields.num_inputs - 1 - len(fields.fixed_operations) for nodes in patterns}
    return sum(len(sets) * len(fields.operations) ** between[nodes] for nodes, sets in patterns.items())
