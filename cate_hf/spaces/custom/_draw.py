"""Random architectures of a search space of one's own, and which rows of a table are plainly of it."""

from typing import NamedTuple

import numpy as np

from cate_hf.core._compiled import compiled, mix
from cate_hf.graphs.table import PADDING
from cate_hf.spaces.custom._fields import CHAIN, OUTPUT_NODE, Fields

DISTRIBUTION = (
    "the number of nodes is uniform over those that the limits leave, operations are uniform and independent; each node"
    " gets predecessors up to the fewest that it needs, then each node without a successor a later one, each uniform"
    " over those that the limits leave (where few edges are allowed, predecessors without a successor are preferred);"
    " further edges are uniform over those left, until there are as many as a number drawn uniformly"
)
_STREAM = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64's step
_MOST_PREFERENCE = 0.98


class Limits(NamedTuple):
    """`Fields` as arrays, for compiled code.

    Attributes:
        sizes: (S, 3) int64, numbers of nodes with the fewest and the most edges.
        degrees: in_degree and out_degree, each fewest and most, (4,) int64.
        skeleton: (E, 2) int64 of nodes, -1 for the output; chain: whether each node follows the one before it.
        fixed: (L,) uint8 operation codes by node, `PADDING` where the operation is free.
    """

    num_inputs: int
    operations: int
    sizes: np.ndarray
    degrees: np.ndarray
    skeleton: np.ndarray
    chain: bool
    fixed: np.ndarray


def limits_of(fields: Fields) -> Limits:
    fixed = np.full(fields.nodes[1], PADDING, dtype=np.uint8)
    for node, operation in fields.fixed_operations.items():
        fixed[node] = fields.num_inputs + fields.operations.index(operation)
    chain = fields.skeleton == CHAIN
    return Limits(
        fields.num_inputs,
        len(fields.operations),
        np.array(fields.sizes(), dtype=np.int64),
        np.array([*fields.in_degree, *fields.out_degree], dtype=np.int64),
        np.array([] if chain else fields.skeleton, dtype=np.int64).reshape(-1, 2),
        chain,
        fixed,
    )


def draw_rows(limits: Limits, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The architectures of n attempts that met the limits, as `DISTRIBUTION` says: arrays of an `ArchitectureTable`."""
    most = len(limits.fixed)
    codes = np.full((n, most), PADDING, dtype=np.uint8)
    bits = np.zeros((n, (most * (most - 1) // 2 + 7) // 8), dtype=np.uint8)
    num_nodes = np.zeros(n, dtype=np.uint16)
    seeds = rng.integers(0, 2**64, size=n, dtype=np.uint64)
    _draw(seeds, *limits, codes, bits, num_nodes)
    met = num_nodes > 0
    return codes[met], bits[met], num_nodes[met]


def plainly_valid(limits: Limits, codes: np.ndarray, bits: np.ndarray, num_nodes: np.ndarray) -> np.ndarray:
    """(N,) bool: in the form that `validate` gives back, within all limits, nothing to be pruned."""
    valid = np.zeros(len(codes), dtype=bool)
    _check(*limits, codes, bits, num_nodes, valid)
    return valid


@compiled(nogil=True)
def _below(state, n):
    """A whole number from 0 to n - 1; `state` (1,) uint64 moves on."""
    state[0] += _STREAM
    return np.int64(mix(state[0]) % np.uint64(n))


@compiled(nogil=True)
def _pair(x, y):
    return x + y * (y - 1) // 2


@compiled(nogil=True)
def _join(x, y, joined, into, out):
    pair = _pair(x, y)
    if joined[pair]:
        return 0
    joined[pair] = True
    into[y] += 1
    out[x] += 1
    return 1


@compiled(nogil=True)
def _draw(seeds, num_inputs, operations, sizes, degrees, skeleton, chain, fixed, codes, bits, num_nodes):
    """One attempt a row; `num_nodes` stays 0 where it failed."""
    longest = codes.shape[1]
    pairs = longest * (longest - 1) // 2
    joined = np.empty(pairs, np.bool_)
    xs, ys = np.empty(pairs, np.uint8), np.empty(pairs, np.uint8)
    into, out = np.empty(longest, np.int64), np.empty(longest, np.int64)
    state = np.empty(1, np.uint64)
    for row in range(len(seeds)):
        state[0] = seeds[row]
        pick = _below(state, len(sizes))
        size, fewest, most = sizes[pick, 0], sizes[pick, 1], sizes[pick, 2]
        target = fewest + _below(state, most - fewest + 1)
        for node in range(size):
            into[node] = out[node] = 0
            if node < num_inputs:
                codes[row, node] = node
            elif node == size - 1:
                codes[row, node] = num_inputs + operations
            elif fixed[node] != PADDING:
                codes[row, node] = fixed[node]
            else:
                codes[row, node] = num_inputs + _below(state, operations)
        for pair in range(_pair(0, size)):
            joined[pair] = False
        edges = 0
        for i in range(len(skeleton)):
            y = size - 1 if skeleton[i, 1] == OUTPUT_NODE else skeleton[i, 1]
            edges += _join(skeleton[i, 0], y, joined, into, out)
        if chain:
            for node in range(num_inputs, size):
                edges += _join(node - 1, node, joined, into, out)
        preference = min(_MOST_PREFERENCE, max(0.0, 1.0 - 2.0 * (target - (size - num_inputs)) / size))
        added = _give_predecessors(state, size, num_inputs, degrees, preference, joined, into, out)
        if added < 0:
            continue
        edges += added + _give_successors(state, size, num_inputs, degrees, joined, into, out)
        if edges < target:
            edges += _add_edges(state, target - edges, size, num_inputs, degrees, joined, into, out, xs, ys)
        if fewest <= edges <= most and _in_limits(size, num_inputs, degrees, into, out):
            num_nodes[row] = size
            for pair in range(_pair(0, size)):
                if joined[pair]:
                    bits[row, pair >> 3] |= 1 << (pair & 7)


@compiled(nogil=True)
def _give_predecessors(state, size, num_inputs, degrees, preference, joined, into, out):
    """Edges added so that every node has the fewest predecessors that it needs; -1 where one finds none."""
    added = 0
    for y in range(num_inputs, size):
        needed = 1 if y == size - 1 else degrees[0]
        while into[y] < needed:
            prefer = np.float64(_below(state, 1 << 30)) < preference * (1 << 30)
            options = preferred = 0
            for x in range(y):
                if not joined[_pair(x, y)] and (x < num_inputs or out[x] < degrees[3]):
                    options += 1
                    preferred += out[x] == 0
            if options == 0:
                return -1
            only_preferred = prefer and preferred > 0
            left = _below(state, preferred if only_preferred else options)
            for x in range(y):
                if not joined[_pair(x, y)] and (x < num_inputs or out[x] < degrees[3]):
                    if only_preferred and out[x] > 0:
                        continue
                    if left == 0:
                        added += _join(x, y, joined, into, out)
                        break
                    left -= 1
    return added


@compiled(nogil=True)
def _give_successors(state, size, num_inputs, degrees, joined, into, out):
    """Edges added so that every node between has a successor."""
    added = 0
    for x in range(size - 2, num_inputs - 1, -1):
        if out[x] > 0:
            continue
        options = 1  # the output takes any number
        for y in range(x + 1, size - 1):
            options += into[y] < degrees[1]
        left = _below(state, options)
        chosen = size - 1
        for y in range(x + 1, size - 1):
            if into[y] < degrees[1]:
                if left == 0:
                    chosen = y
                    break
                left -= 1
        added += _join(x, chosen, joined, into, out)
    return added


@compiled(nogil=True)
def _add_edges(state, wanted, size, num_inputs, degrees, joined, into, out, xs, ys):
    """Up to so many further edges, each uniform over those that the limits leave; returns their number."""
    free = 0
    for y in range(num_inputs, size):
        for x in range(y):
            if not joined[_pair(x, y)]:
                xs[free], ys[free] = x, y
                free += 1
    added = 0
    # An edge that the limits forbid now stays forbidden: going through all in random order is the same as drawing anew.
    while free > 0 and added < wanted:
        pick = _below(state, free)
        x, y = np.int64(xs[pick]), np.int64(ys[pick])
        free -= 1
        xs[pick], ys[pick] = xs[free], ys[free]
        if (y == size - 1 or into[y] < degrees[1]) and (x < num_inputs or out[x] < degrees[3]):
            added += _join(x, y, joined, into, out)
    return added


@compiled(nogil=True)
def _in_limits(size, num_inputs, degrees, into, out):
    """Whether every node has edges as the limits say; then, in topological order, each is on a path to the output."""
    for node in range(num_inputs):
        if into[node] > 0:
            return False
    for node in range(num_inputs, size - 1):
        if not degrees[0] <= into[node] <= degrees[1] or not max(1, degrees[2]) <= out[node] <= degrees[3]:
            return False
    return into[size - 1] > 0


@compiled(nogil=True)
def _check(num_inputs, operations, sizes, degrees, skeleton, chain, fixed, codes, bits, num_nodes, valid):
    """Write which rows are within all limits."""
    into, out = np.empty(codes.shape[1], np.int64), np.empty(codes.shape[1], np.int64)
    for row in range(len(codes)):
        size, fewest, most = np.int64(num_nodes[row]), np.int64(1), np.int64(0)
        for i in range(len(sizes)):
            if sizes[i, 0] == size:
                fewest, most = sizes[i, 1], sizes[i, 2]
        fits = True
        for node in range(min(size, codes.shape[1])):
            into[node] = out[node] = 0
            code = codes[row, node]
            if node < num_inputs:
                fits = fits and code == node
            elif node == size - 1:
                fits = fits and code == num_inputs + operations
            else:
                fits = fits and num_inputs <= code < num_inputs + operations
                fits = fits and (node >= len(fixed) or fixed[node] == PADDING or fixed[node] == code)
        if not fits or most == 0:
            continue
        edges = pair = 0
        for y in range(size):
            for x in range(y):
                if bits[row, pair >> 3] >> (pair & 7) & 1:
                    edges += 1
                    into[y] += 1
                    out[x] += 1
                pair += 1
        fits = fewest <= edges <= most and _in_limits(size, num_inputs, degrees, into, out)
        for i in range(len(skeleton)):
            y = size - 1 if skeleton[i, 1] == OUTPUT_NODE else skeleton[i, 1]
            pair = _pair(skeleton[i, 0], y)
            fits = fits and bits[row, pair >> 3] >> (pair & 7) & 1 == 1
        if chain:
            for node in range(num_inputs, size):
                pair = _pair(node - 1, node)
                fits = fits and bits[row, pair >> 3] >> (pair & 7) & 1 == 1
        valid[row] = fits
