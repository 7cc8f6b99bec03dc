"""The hash of spaces of one's own: all it must tell apart, and nothing that it must not."""

from hashlib import blake2b

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import Architecture, ArchitectureTable, get_space
from cate_hf.graphs import from_networkx
from cate_hf.graphs.graph_hash import graph_hashes
from cate_hf.spaces.custom.custom_space import CustomSpace
from tests.strategies import architectures, redrawings

MASK = (1 << 64) - 1
MARK, IN, OUT, STEP, END, MARKED = (  # square roots of the first primes, as in SHA-512
    0x6A09E667F3BCC909,
    0xBB67AE8584CAA73B,
    0x3C6EF372FE94F82B,
    0xA54FF53A5F1D36F1,
    0x510E527FADE682D1,
    0x9B05688C2B3E6C1F,
)


def mix(z):
    z &= MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def refine(colours, edges):
    for _ in range(len(colours)):
        kinds = len({first for first, _ in colours})
        into = [[0, 0] for _ in colours]
        out = [[0, 0] for _ in colours]
        for x, y in edges:
            for half in range(2):
                into[y][half] += mix(colours[x][half] ^ IN)
                out[x][half] += mix(colours[y][half] ^ OUT)
        new = []
        for node, (first, second) in enumerate(colours):
            first = mix(first + STEP)
            first = mix((first ^ into[node][0] & MASK) + IN)
            first = mix((first ^ out[node][0] & MASK) + OUT)
            second = mix((second + STEP & MASK) ^ first)
            second = mix((second ^ into[node][1] & MASK) + IN)
            new.append((first, mix((second ^ out[node][1] & MASK) + OUT)))
        colours = new
        if kinds in (len(colours), len({first for first, _ in colours})):
            break
    return colours


def multiset(colours):
    return [sum(mix(colour[half] ^ END) for colour in colours) & MASK for half in range(2)]


def plain_hash(architecture):
    """The definition in whole numbers of Python."""
    colours = []
    for name in architecture.operations:
        digest = blake2b(name.encode(), digest_size=16).digest()
        colours.append((int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")))
    colours = refine(colours, architecture.edges)
    first, second = multiset(colours)
    firsts = [colour for colour, _ in colours]
    if len(set(firsts)) < len(firsts):
        totals = [0, 0]
        for node, colour in enumerate(firsts):
            if firsts.count(colour) > 1:
                marked = [(a ^ MARK, b ^ MARK) if i == node else (a, b) for i, (a, b) in enumerate(colours)]
                one, two = multiset(refine(marked, architecture.edges))
                totals = [totals[0] + mix(one ^ MARKED), totals[1] + mix(two ^ mix(one + MARKED))]
        first, second = mix(first + MARKED) ^ totals[0] & MASK, mix(second + MARKED) ^ totals[1] & MASK
    first = mix(first + END * len(colours))
    second = mix(second ^ mix(first + END))
    return f"{mix(first ^ mix(second + STEP)):016x}{second:016x}"


def hashes(*graphs):
    return [str(h) for h in graph_hashes(ArchitectureTable.from_architectures(graphs))]


def test_all_cells_of_nasbench101_differ():
    """And a description of that space lists exactly them."""
    known = get_space("nasbench101")
    hashes = np.unique(graph_hashes(known.enumerate()))
    assert len(hashes) == 423_624
    own = CustomSpace(name="mine", operations=known.vocabulary[1:-1], nodes=[2, 7], edges=[1, 9])
    table = own.enumerate(use_cache=False)
    assert np.bincount(table.num_nodes).tolist() == [0, 0, 1, 6, 84, 2_441, 62_010, 359_082]
    assert np.array_equal(table.columns["hash"], hashes)


@settings(deadline=None)
@given(st.lists(architectures(9), min_size=1, max_size=5))
def test_it_is_what_its_definition_says(graphs):
    assert hashes(*graphs) == [plain_hash(graph) for graph in graphs]


def test_values_that_never_change():
    plain = Architecture(["input", "a", "output"], [[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    twins = Architecture(["input", "a", "a", "output"], [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4])
    assert hashes(plain, twins) == ["1baedaff28a1fa8d16787887f2112376", "0df83392b96bddb02dd49ede4dd16c74"]


@settings(deadline=None)
@given(st.data())
def test_drawings_of_one_graph_share_it(data):
    graph = data.draw(architectures(9))
    other = data.draw(redrawings(graph))
    assert len(set(hashes(graph, other))) == 1


@settings(deadline=None)
@given(architectures(6), architectures(6))
def test_it_differs_where_isomorphism_does(one, other):
    assert (len(set(hashes(one, other))) == 1) == one.is_isomorphic(other)


@pytest.mark.parametrize("change", range(4))
def test_large_graphs(change):
    rng = np.random.default_rng(change)
    names = ["input", *rng.choice([f"o{i}" for i in range(64)], 198), "output"]
    matrix = np.triu(rng.random((200, 200)) < 0.02, 1).astype(int)
    start = Architecture(names, matrix)
    order = [0, *(1 + rng.permutation(198)), 199]
    drawn = nx.relabel_nodes(start.to_networkx(), {old: new for new, old in enumerate(order)})
    drawn = from_networkx(drawn)
    changed = matrix.copy()
    changed[change, 100 + change] ^= 1
    renamed = [*names]
    renamed[50 + change] = "new"
    same, again, edge, name = hashes(start, drawn, Architecture(names, changed), Architecture(renamed, matrix))
    assert same == again
    assert len({same, edge, name}) == 3


def layered(joined, after=False):
    """Two layers of nodes joined as said, between input and output, and with `after` a third joined node by node."""
    n = len(joined)
    layers = ["a"] * n + ["b"] * n + ["c"] * n * after
    matrix = np.zeros((len(layers) + 2,) * 2, dtype=int)
    first, second, third = (slice(1 + i * n, 1 + (i + 1) * n) for i in range(3))
    matrix[0, first], matrix[first, second] = 1, joined
    if after:
        matrix[first, third] = matrix[second, third] = np.eye(n)
    matrix[third if after else second, -1] = 1
    return Architecture(["input", *layers, "output"], matrix)


def test_regular_layers():
    """Colours alone cannot tell a ring of eight from two of four; a marked node can."""
    ring = layered(np.eye(4) + np.roll(np.eye(4), 1, axis=1))
    pairs = layered(np.kron(np.eye(2), np.ones((2, 2))))
    assert not ring.is_isomorphic(pairs)
    assert len(set(hashes(ring, pairs))) == 2


def test_what_its_documentation_says_it_cannot_tell_apart():
    places = [(i, j) for i in range(4) for j in range(4)]
    rook = np.array([[int((a == c) != (b == d)) for c, d in places] for a, b in places])
    steps = {(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)}
    shrikhande = np.array([[int(((c - a) % 4, (d - b) % 4) in steps) for c, d in places] for a, b in places])
    assert not nx.is_isomorphic(nx.from_numpy_array(rook), nx.from_numpy_array(shrikhande))
    one, other = layered(rook, after=True), layered(shrikhande, after=True)
    assert one.num_nodes == 50
    assert len(set(hashes(one, other))) == 1


def test_order_of_vocabulary_and_width_do_not_matter():
    cells = get_space("nasbench101").sample(200, seed=0)
    other = cells.recode(cells.vocabulary[::-1]).widen(30)
    assert np.array_equal(graph_hashes(cells), graph_hashes(other))
    assert len(graph_hashes(cells[:0])) == 0
