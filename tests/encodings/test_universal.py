"""The encoder of any architecture."""

import numpy as np
import pytest

from cate_hf import Architecture, get_encoding, get_space, load_encoder
from cate_hf.encodings._operation_names import HASHED, KINDS, describe, kind_of

NAMES = list(KINDS)


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("universal")


def random_architecture(rng, nodes, operations=("conv3x3", "gru", "sum", "never-heard-of")):
    edges = np.triu(rng.random((nodes, nodes)) < 0.3, 1)
    edges[np.arange(nodes - 1), np.arange(1, nodes)] |= rng.random(nodes - 1) < 0.7
    names = ["input", *rng.choice(operations, nodes - 2).tolist(), "output"]
    return Architecture(names, edges.astype(int).tolist())


def redrawn(architecture, rng):
    """The same graph with its nodes in another topological order."""
    edges = np.array(architecture.adjacency)
    order, left = [], set(range(len(edges)))
    while left:
        free = [node for node in left if not any(edges[other, node] for other in left)]
        order.append(int(rng.choice(free)))
        left.remove(order[-1])
    names = [architecture.operations[node] for node in order]
    return Architecture(names, edges[np.ix_(order, order)].tolist())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nor_conv_3x3", "convolution"),
        ("sep_conv_5x5", "convolution"),
        ("max_pool_3x3", "pooling"),
        ("skip_connect", "identity"),
        ("id", "identity"),
        ("width", None),  # "id" has to stand alone
        ("elementwise_prod", "product"),
        ("elementwise_sum", "sum"),
        ("activation_tanh", "activation"),
        ("linear", "linear"),
        ("gat", "graph convolution"),
        ("never-heard-of", None),
    ],
)
def test_kinds_of_names(name, kind):
    assert kind_of(name) == (len(NAMES) if kind is None else NAMES.index(kind))


def test_names_alike_are_alike_and_each_has_an_identity():
    def near(one, other):
        return np.dot(describe(one)[HASHED:], describe(other)[HASHED:])

    assert near("conv3x3", "conv5x5") > near("conv3x3", "maxpool3x3")
    assert np.linalg.norm(describe("conv3x3")[:HASHED]) == pytest.approx(1)
    assert not np.allclose(describe("never-heard-of"), describe("nor-that"))
    assert describe("conv3x3") == describe("conv3x3")
    kernel = len(describe("a")) - 3
    assert describe("conv7x7")[kernel] > describe("conv3x3")[kernel] > describe("relu")[kernel] == 0
    assert describe("dil_conv_3x3")[kernel + 1] > 0 == describe("conv_3x3")[kernel + 1]
    assert describe("sep_conv_3x3")[kernel + 2] > 0 == describe("conv_3x3")[kernel + 2]


def test_drawing_batch_and_vocabulary_do_not_matter(encoder):
    rng = np.random.default_rng(0)
    cells = [random_architecture(rng, int(rng.integers(3, 20))) for _ in range(40)]
    together = encoder.encode(cells)
    assert together.shape == (40, encoder.dim)
    assert np.isfinite(together).all()
    for row, cell in enumerate(cells[:10]):
        np.testing.assert_allclose(encoder.encode(cell)[0], together[row], atol=1e-4, rtol=1e-5)
        np.testing.assert_allclose(encoder.encode(redrawn(cell, rng))[0], together[row], atol=1e-4, rtol=1e-5)
    spaces = [Architecture(["input", "another", "output"], [[0, 1, 0], [0, 0, 1], [0, 0, 0]]), *cells]
    np.testing.assert_allclose(encoder.encode(spaces)[1:], together, atol=1e-4, rtol=1e-5)
    small = encoder.encode(cells, batch_size=7)
    np.testing.assert_allclose(small, together, atol=1e-4, rtol=1e-5)


def test_statistics_by_hand(encoder):
    # input → conv → pool → output and input → pool
    edges = [[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    cell = Architecture(["input", "conv3x3", "maxpool", "output"], edges)
    found = encoder.encode(cell, parts=["computation"])[0]
    vertices, joined, starts, ends, longest, shortest, mean, paths = found[:8]
    assert (vertices, joined, starts, ends, longest, shortest) == (4, 4, 1, 1, 3, 2)
    assert (mean, paths) == (pytest.approx(2.5), pytest.approx(np.log(3)))
    kinds = found[12:].reshape(6, len(KINDS) + 1)
    count, into, fed, through, most, fewest = kinds[:, NAMES.index("convolution")]
    assert (count, into, fed, through, most, fewest) == (1, 0, 1, pytest.approx(0.5), 1, 0)
    assert kinds[:, NAMES.index("pooling")].tolist() == [1, 1, 1, pytest.approx(1), 1, 1]


def test_architectures_that_differ_in_one_edge_or_operation_differ(encoder):
    edges = [[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    fewer = [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    cells = [
        Architecture(["input", a, b, "output"], matrix)
        for a, b, matrix in (("p", "q", edges), ("q", "p", edges), ("p", "q", fewer), ("p", "r", edges))
    ]
    vectors = encoder.encode(cells, parts=["wiring"])
    for one in range(4):
        for other in range(one):
            assert np.abs(vectors[one] - vectors[other]).max() > 0.01


def test_a_linear_probe_finds_single_skips_of_a_space_it_never_saw(encoder):
    from sklearn.linear_model import RidgeClassifier
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    edges = np.triu(rng.random((1500, 7, 7)) < 0.4, 1)
    edges[:, np.arange(6), np.arange(1, 7)] = True
    names = rng.choice(["one", "two", "three"], (1500, 5))
    cells = [
        Architecture(["x", *row, "y"], matrix.astype(int).tolist())
        for row, matrix in zip(names.tolist(), edges, strict=True)
    ]
    vectors = StandardScaler().fit_transform(encoder.encode(cells, parts=["wiring"]))
    for i, j in ((0, 2), (1, 4), (2, 6)):
        probe = RidgeClassifier(1e-3).fit(vectors[:1000], edges[:1000, i, j])
        assert probe.score(vectors[1000:], edges[1000:, i, j]) > 0.98
    probe = RidgeClassifier(1e-3).fit(vectors[:1000], names[:1000, 2])
    assert probe.score(vectors[1000:], names[1000:, 2]) > 0.98


def test_it_is_an_encoding_of_every_space():
    space = get_space("nasbench201")
    encoding = get_encoding("universal", space)
    vectors = encoding.transform(space.sample(500, seed=0))
    assert vectors.shape == (500, encoding.dim)
    assert vectors.dtype == np.float32
    assert np.abs(vectors.mean(0)).max() < 0.3


def test_what_it_cannot_encode_is_told(encoder):
    with pytest.raises(ValueError, match="row 1"):
        encoder.encode([Architecture(["a", "b"], [[0, 1], [0, 0]]), {"operations": ["a"]}])
    with pytest.raises(ValueError, match="unknown part of an encoding 'learned'"):
        encoder.encode(Architecture(["a", "b"], [[0, 1], [0, 0]]), parts=["learned"])
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        encoder.encode([], batch_size=0)
    assert encoder.encode([]).shape == (0, encoder.dim)
