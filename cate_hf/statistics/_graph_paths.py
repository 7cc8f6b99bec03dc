"""Paths of many labelled graphs in compiled code: what `cate_hf.statistics.structure` is made of.

The paths of a graph, up to 2^252 of them, are never listed: what is asked of them is a sum, a largest or a least, and
comes from what is known of each node's successors. A row takes about (edges · operations) steps.
"""

import numpy as np

from cate_hf.core._compiled import compiled
from cate_hf.core._parallel import over_chunks

_CHUNK = 8192
NO_OPERATION, TRANSPARENT = -1, -2

# Columns of what `graph_numbers` gives, before those of each input and of each operation.
GRAPH = (
    "vertices",
    "edges",
    "output_inputs",
    "output_share",
    "mean_path",
    "longest_path",
    "shortest_path",
    "log_paths",
)
INPUT = ("to_output", "feeds", "longest_path", "shortest_path", "log_paths")
OPERATION = ("count", "into_output", "most_on_path", "fewest_on_path", "mean_on_path")  # then one for each input


def graph_numbers(
    codes: np.ndarray, edge_bits: np.ndarray, num_nodes: np.ndarray, kinds: np.ndarray, operations: int, inputs: int
) -> np.ndarray:
    """(N, 8 + 5 · inputs + (5 + inputs) · operations) float32: GRAPH, INPUT of each input, OPERATION of each operation.

    Args:
        codes, edge_bits, num_nodes: as those of an `ArchitectureTable`.
        kinds: (256,) int16, the number of a code's operation, NO_OPERATION for inputs and output, TRANSPARENT for those
            to look through.
        operations, inputs: how many there are.
    """
    numbers = np.empty((len(codes), len(GRAPH) + len(INPUT) * inputs + (len(OPERATION) + inputs) * operations), "f4")

    def work(part: slice) -> None:
        _measure(codes[part], edge_bits[part], num_nodes[part], kinds, operations, inputs, numbers[part])

    over_chunks(work, len(codes), _CHUNK, products=False)
    return numbers


@compiled(nogil=True)
def _measure(codes, bits, sizes, kinds, operations, inputs, numbers):
    most = codes.shape[1]
    edges = np.zeros((most, most), np.bool_)
    kind = np.empty(most, np.int16)
    for row in range(len(codes)):
        size = np.int64(sizes[row])  # int() of a byte is one with a sign
        for node in range(size):
            kind[node] = kinds[codes[row, node]]
        _unpack(bits[row], size, edges)
        numbers[row, :] = 0
        live = _live(edges, size, inputs)
        concatenated = 0
        for node in range(inputs, size - 1):
            concatenated += live[node] and edges[node, size - 1]
        if not live[size - 1]:
            continue
        numbers[row, 3] = 1 / max(concatenated, 1)
        for node in range(inputs, size - 1):
            if kind[node] == TRANSPARENT:
                live[node] = False
                _look_through(edges, node, size)
        _measure_graph(edges, kind, live, size, operations, inputs, numbers[row])


@compiled(nogil=True)
def _unpack(bits, size, edges):
    """Edge x -> y is bit x + y(y-1)/2."""
    number = 0
    for y in range(size):
        for x in range(y):
            edges[x, y] = (bits[number >> 3] >> (number & 7)) & 1
            number += 1


@compiled(nogil=True)
def _live(edges, size, inputs):
    """(size,) whether a node is on a path from an input to the output."""
    reached = np.zeros(size, np.bool_)
    live = np.zeros(size, np.bool_)
    for y in range(size):
        reached[y] = y < inputs
        for x in range(y):
            reached[y] |= reached[x] and edges[x, y]
    live[size - 1] = reached[size - 1]
    for x in range(size - 2, -1, -1):
        for y in range(x + 1, size):
            live[x] |= reached[x] and live[y] and edges[x, y]
    return live


@compiled(nogil=True)
def _look_through(edges, node, size):
    """What feeds the node feeds what it feeds."""
    for x in range(node):
        if edges[x, node]:
            for y in range(node + 1, size):
                edges[x, y] |= edges[node, y]


@compiled(nogil=True)
def _measure_graph(edges, kind, live, size, operations, inputs, numbers):
    """Numbers of one graph with a path, in the order of `graph_numbers`; nodes that are not live do not count."""
    output = size - 1
    before = np.zeros(size)  # paths from inputs to a node
    after = np.zeros(size)  # paths from a node to the output
    longest = np.zeros(size)
    shortest = np.zeros(size)
    greatest = np.zeros((size, operations))  # the most and the fewest of an operation on a path to the output
    fewest = np.zeros((size, operations))
    after[output] = 1
    vertices = 0
    for x in range(size - 1, -1, -1):
        if not live[x]:
            continue
        vertices += 1
        if x == output:
            continue
        longest[x], shortest[x] = -1, size
        greatest[x] = -1
        fewest[x] = size
        for y in range(x + 1, size):
            if live[y] and edges[x, y]:
                after[x] += after[y]
                longest[x] = max(longest[x], 1 + longest[y])
                shortest[x] = min(shortest[x], 1 + shortest[y])
                for k in range(operations):
                    greatest[x, k] = max(greatest[x, k], greatest[y, k])
                    fewest[x, k] = min(fewest[x, k], fewest[y, k])
        if kind[x] >= 0:
            greatest[x, kind[x]] += 1
            fewest[x, kind[x]] += 1
    total = 0.0
    for x in range(inputs):
        if live[x]:
            total += after[x]
    edge_count, steps, into_output = 0, 0.0, 0
    for y in range(size):
        if not live[y]:
            continue
        before[y] = 1 if y < inputs else 0
        for x in range(y):
            if live[x] and edges[x, y]:
                before[y] += before[x]
                edge_count += 1
                into_output += y == output
                steps += before[x] * after[y]
    numbers[0], numbers[1], numbers[2], numbers[4] = vertices, edge_count, into_output, steps / total
    numbers[6] = size
    numbers[7] = np.log1p(total)
    first = 8 + 5 * inputs
    for k in range(operations):
        numbers[first + 3 * operations + k] = size
    for x in range(inputs):
        if not live[x]:
            continue
        at = 8 + 5 * x
        numbers[at] = edges[x, output]
        for y in range(x + 1, size):
            if live[y] and edges[x, y]:
                numbers[at + 1] += 1
                if kind[y] >= 0:
                    numbers[first + (5 + x) * operations + kind[y]] += 1
        numbers[at + 2], numbers[at + 3], numbers[at + 4] = longest[x], shortest[x], np.log1p(after[x])
        numbers[5] = max(numbers[5], longest[x])
        numbers[6] = min(numbers[6], shortest[x])
        for k in range(operations):
            at = first + 2 * operations + k
            numbers[at] = max(numbers[at], greatest[x, k])
            numbers[at + operations] = min(numbers[at + operations], fewest[x, k])
    through = np.zeros(operations)  # whole numbers, whose sum does not depend on how the graph is drawn
    for x in range(inputs, output):
        if live[x] and kind[x] >= 0:
            numbers[first + kind[x]] += 1
            numbers[first + operations + kind[x]] += edges[x, output]
            through[kind[x]] += before[x] * after[x]
    for k in range(operations):
        numbers[first + 4 * operations + k] = through[k] / total
