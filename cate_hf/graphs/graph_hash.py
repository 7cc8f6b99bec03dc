"""An isomorphism-invariant hash of labelled directed acyclic graphs of up to 1,024 nodes, for whole tables of them.

Colour refinement (Weisfeiler and Lehman 1968; Shervashidze et al., JMLR 2011, section 2): each node starts from 128
bits made of its operation's name, and in every round takes in the multisets of its predecessors' and of its successors'
colours, until the number of colours grows no more, which takes at most as many rounds as there are nodes. Where nodes
of one colour are left, each of them in turn is marked and the colours are refined once more, and the hash takes in the
multiset of what comes out. The work for n nodes and e edges is at most n (n + e), or n times that with such nodes.

Isomorphic graphs always have one hash. Graphs that are not isomorphic have different ones (up to 2^-64 a pair, roughly)
unless refinement with one marked node cannot tell them apart. No two cells of NAS-Bench-101 are such; some of many
nodes in a regular pattern are: two layers of 16 nodes joined once as the 4 × 4 rook's graph, once as the Shrikhande
graph, and node by node to a third layer, 50 nodes in all, share a hash.

All of it is arithmetic modulo 2^64 on numbers that depend on names alone: hashes are the same on every platform, in
every version, and of every space that uses the same names for its operations.
"""

from collections.abc import Callable
from hashlib import blake2b

import numpy as np

from cate_hf.core._compiled import compiled, mix
from cate_hf.core._parallel import over_chunks
from cate_hf.graphs._hashes import hash_text
from cate_hf.graphs.table import ArchitectureTable

_CHUNK = 8192
_HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), dtype="<u2")

# Odd constants without structure: the fractional parts of square roots of primes, as SHA-512 starts from.
_MARK, _IN, _OUT, _STEP, _END, _MARKED = (
    np.uint64(n)
    for n in (
        0x6A09E667F3BCC909,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
    )
)


def graph_hashes(table: ArchitectureTable, on_progress: Callable[[int], None] | None = None) -> np.ndarray:
    """(N,) text: 32 hexadecimal characters an architecture, equal for isomorphic ones.

    Args:
        on_progress: called with the number of architectures finished, after each chunk.
    """
    starts = _name_colours(table.vocabulary)
    digests = np.empty((len(table), 2), dtype=np.uint64)

    def work(part: slice) -> None:
        _hash_rows(table.operation_codes[part], table.edge_bits[part], table.num_nodes[part], starts, digests[part])
        if on_progress is not None:
            on_progress(part.stop - part.start)

    over_chunks(work, len(table), _CHUNK, products=False)
    return hash_text(_HEX[digests.astype(">u8").view(np.uint8)].view("S32").ravel())


def _name_colours(vocabulary: tuple[str, ...]) -> np.ndarray:
    """(V, 2) uint64 of the operations' names."""
    digests = b"".join(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest() for name in vocabulary)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64).reshape(-1, 2)


@compiled(nogil=True)
def _hash_rows(codes, bits, sizes, starts, digests):
    """Hash each row into `digests` (N, 2)."""
    most = codes.shape[1]
    colours = np.empty((most, 2), np.uint64)
    marked = np.empty((most, 2), np.uint64)
    sums = np.empty((most, 4), np.uint64)
    ordered = np.empty(most, np.uint64)
    firsts = np.empty(most * (most - 1) // 2, np.uint16)
    seconds = np.empty_like(firsts)
    for row in range(len(codes)):
        size = int(sizes[row])
        edges = _edge_list(bits[row], size, firsts, seconds)
        for node in range(size):
            for half in range(2):
                colours[node, half] = starts[codes[row, node], half]
        kinds = _refine(colours, sums, ordered, size, firsts, seconds, edges)
        first, second = _multiset(colours, size)
        if kinds < size:
            first, second = _add_marked(colours, marked, sums, ordered, size, firsts, seconds, edges, first, second)
        first = mix(first + _END * np.uint64(size))
        second = mix(second ^ mix(first + _END))
        digests[row, 0] = mix(first ^ mix(second + _STEP))
        digests[row, 1] = second


@compiled(nogil=True)
def _edge_list(bits, size, firsts, seconds):
    """Write the edges of a row; returns their number."""
    edges = bit = 0
    for y in range(size):
        for x in range(y):
            if bits[bit >> 3] >> (bit & 7) & 1:
                firsts[edges], seconds[edges] = x, y
                edges += 1
            bit += 1
    return edges


@compiled(nogil=True)
def _refine(colours, sums, ordered, size, firsts, seconds, edges):
    """Refine the colours in place until their number is final; returns it."""
    kinds = _count_kinds(colours, ordered, size)
    for _ in range(size):
        if kinds == size:
            # All nodes differ: one more round makes every colour know its neighbours, which is the whole graph.
            _round(colours, sums, size, firsts, seconds, edges)
            break
        _round(colours, sums, size, firsts, seconds, edges)
        before, kinds = kinds, _count_kinds(colours, ordered, size)
        if kinds == before:
            break
    return kinds


@compiled(nogil=True)
def _round(colours, sums, size, firsts, seconds, edges):
    """One round: sums of mixed colours stand for the multisets of the neighbours' colours."""
    for node in range(size):
        for part in range(4):
            sums[node, part] = 0
    for edge in range(edges):
        x, y = firsts[edge], seconds[edge]
        for half in range(2):
            sums[y, half] += mix(colours[x, half] ^ _IN)
            sums[x, 2 + half] += mix(colours[y, half] ^ _OUT)
    for node in range(size):
        first = mix(colours[node, 0] + _STEP)
        first = mix((first ^ sums[node, 0]) + _IN)
        first = mix((first ^ sums[node, 2]) + _OUT)
        second = mix((colours[node, 1] + _STEP) ^ first)
        second = mix((second ^ sums[node, 1]) + _IN)
        colours[node, 1] = mix((second ^ sums[node, 3]) + _OUT)
        colours[node, 0] = first


@compiled(nogil=True)
def _count_kinds(colours, ordered, size):
    """How many different colours there are, by their first halves; `ordered` (L,) is room to sort them in."""
    kinds = 0
    for node in range(size):
        colour, place = colours[node, 0], kinds
        while place > 0 and ordered[place - 1] > colour:
            place -= 1
        if place > 0 and ordered[place - 1] == colour:
            continue
        for i in range(kinds, place, -1):
            ordered[i] = ordered[i - 1]
        ordered[place] = colour
        kinds += 1
    return kinds


@compiled(nogil=True)
def _multiset(colours, size):
    first, second = np.uint64(0), np.uint64(0)
    for node in range(size):
        first += mix(colours[node, 0] ^ _END)
        second += mix(colours[node, 1] ^ _END)
    return first, second


@compiled(nogil=True)
def _add_marked(colours, marked, sums, ordered, size, firsts, seconds, edges, first, second):
    """Add to a digest the multiset of the refinements in which one of the nodes of a shared colour is marked."""
    total_first, total_second = np.uint64(0), np.uint64(0)
    for node in range(size):
        shared = False
        for other in range(size):
            if other != node and colours[other, 0] == colours[node, 0]:
                shared = True
                break
        if not shared:
            continue
        for other in range(size):
            for half in range(2):
                marked[other, half] = colours[other, half] ^ (_MARK if other == node else np.uint64(0))
        _refine(marked, sums, ordered, size, firsts, seconds, edges)
        one, two = _multiset(marked, size)
        total_first += mix(one ^ _MARKED)
        total_second += mix(two ^ mix(one + _MARKED))
    return mix(first + _MARKED) ^ total_first, mix(second + _MARKED) ^ total_second
