"""One order of the nodes for all drawings of an architecture, and what stands where in it as numbers."""

import numpy as np

from cate_hf.core._compiled import compiled
from cate_hf.core._parallel import over_chunks
from cate_hf.graphs.graph_hash import _edge_list, _name_colours, _refine
from cate_hf.graphs.table import ArchitectureTable

_CHUNK = 8192
_MARK = np.uint64(0x9E3779B97F4A7C15)


def canonical_wiring(table: ArchitectureTable, num_inputs: int) -> np.ndarray:
    """Return which operation stands where and which places are joined, the same for isomorphic drawings.

    Inputs keep their places and the output has the last one. The nodes between are sorted by the longest path from an
    input, then by the longest path to the output, then by operation, then by refined colours (Weisfeiler and Leman);
    nodes that these do not tell apart are marked one after the other.

    Args:
        table: N architectures of up to L nodes and V operations.

    Returns:
        (N, L(L-1)/2 + P·O) float32 zeros and ones: edges in row-major order of the upper triangle, then the operations
        of the P places between inputs and output, O of them at each.
    """
    most, inputs = table.max_nodes, num_inputs
    operations = len(table.vocabulary) - inputs - 1
    edges, places = most * (most - 1) // 2, most - inputs - 1
    result = np.zeros((len(table), edges + places * operations), np.float32)
    colours = _name_colours(table.vocabulary)

    def fill(rows: slice) -> None:
        arrays = (table.operation_codes[rows], table.edge_bits[rows], table.num_nodes[rows])
        _write_rows(*arrays, colours, inputs, operations, edges, result[rows])

    over_chunks(fill, len(table), _CHUNK)
    return result


@compiled(nogil=True)
def _write_rows(codes, bits, sizes, starts, inputs, operations, edges, result):
    most = codes.shape[1]
    colours = np.empty((most, 2), np.uint64)
    sums = np.empty((most, 4), np.uint64)
    ordered = np.empty(most, np.uint64)
    firsts = np.empty(most * (most - 1) // 2, np.uint16)
    seconds = np.empty_like(firsts)
    before, after = np.empty(most, np.int64), np.empty(most, np.int64)
    place = np.empty(most, np.int64)
    for row in range(len(codes)):
        size = np.int64(sizes[row])
        count = _edge_list(bits[row], size, firsts, seconds)
        before[:], after[:] = 0, 0
        for edge in range(count):  # edges are sorted by their end, and nodes drawn in topological order
            x, y = np.int64(firsts[edge]), np.int64(seconds[edge])
            before[y] = max(before[y], before[x] + 1)
        for edge in range(count - 1, -1, -1):
            x, y = np.int64(firsts[edge]), np.int64(seconds[edge])
            after[x] = max(after[x], after[y] + 1)
        for node in range(size):
            for half in range(2):
                colours[node, half] = starts[codes[row, node], half]
            colours[node, 0] += np.uint64(min(node, inputs))  # inputs are not exchanged with each other
        kinds = _refine(colours, sums, ordered, size, firsts, seconds, count)
        for _ in range(size):
            if kinds == size:
                break
            marked = -1
            for node in range(size):
                for other in range(node + 1, size):
                    if colours[node, 0] == colours[other, 0] and (marked < 0 or colours[node, 0] < colours[marked, 0]):
                        marked = node
            colours[marked, 0] ^= _MARK
            kinds = _refine(colours, sums, ordered, size, firsts, seconds, count)
        for node in range(size):
            if node < inputs:
                place[node] = node
            elif node == size - 1:
                place[node] = most - 1
            else:
                rank = inputs
                for other in range(inputs, size - 1):
                    if other != node and _is_first(codes[row], before, after, colours, other, node):
                        rank += 1
                place[node] = rank
                start = edges + (rank - inputs) * operations
                result[row, start + np.int64(codes[row, node]) - inputs] = 1
        for edge in range(count):
            x, y = place[firsts[edge]], place[seconds[edge]]
            result[row, x * most - x * (x + 1) // 2 + y - x - 1] = 1


@compiled(nogil=True)
def _is_first(codes, before, after, colours, a, b):
    if before[a] != before[b]:
        return before[a] < before[b]
    if after[a] != after[b]:
        return after[a] > after[b]
    if codes[a] != codes[b]:
        return codes[a] < codes[b]
    return colours[a, 0] < colours[b, 0]
