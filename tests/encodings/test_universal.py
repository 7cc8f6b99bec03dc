"""The encoder of any architecture."""

import contextlib
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from cate_hf import Architecture, ArchitectureTable, get_encoding, get_space, load_encoder
from cate_hf.cli import main
from cate_hf.encodings._operation_names import GROUPS, HASHED, KINDS, describe, group_of, kind_of
from cate_hf.encodings.files import encode_to_parquet
from cate_hf.encodings.neighbours import nearest_architectures
from cate_hf.graphs import write_parquet
from cate_hf.graphs._table_arrow import column_from_arrow
from cate_hf.graphs.graph_hash import graph_hashes

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


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("conv1x1-bn-relu", "convolution 1x1"),
        ("nor_conv_3x3", "convolution 3x3"),
        ("Conv2d", "convolution 3x3"),
        ("conv7x7", "convolution of 5x5 or more"),
        ("mbconv5x5-e6", "separable convolution of 5x5 or more"),
        ("sep_conv_3x3", "separable convolution to 3x3"),
        ("dil_conv_5x5", "dilated convolution of 5x5 or more"),
        ("avg_pool_3x3", "average pooling"),
        ("max_pool_3x3", "pooling"),
        ("sigmoid", "attention or gate"),
        ("BatchNorm2d", "activation or normalisation"),
        ("elementwise_sum", "sum or concatenation"),
        ("never-heard-of", "other"),
        ("input", None),
    ],
)
def test_groups_of_names(name, group):
    assert group_of(name) == (-1 if group is None else GROUPS.index(group))


def test_operations_of_one_group_are_told_apart(encoder):
    """The share of paths through a node is of each operation by itself too, though both are graph convolutions."""
    edges = [[0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    cells = [
        Architecture(["input", a, b, c, "output"], edges) for a, b, c in (("gcn", "gat", "gin"), ("gat", "gcn", "gin"))
    ]
    both = encoder.encode(cells, parts=["computation"])
    np.testing.assert_allclose(both[0], both[1], atol=1e-6)
    wiring = encoder.encode(cells, parts=["wiring"])
    assert np.abs(wiring[0] - wiring[1]).max() > 0.1


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
    groups = found[12:].reshape(6, len(GROUPS))
    count, into, fed, through, most, fewest = groups[:, GROUPS.index("convolution 3x3")]
    assert (count, into, fed, through, most, fewest) == (1, 0, 1, pytest.approx(0.5), 1, 0)
    assert groups[:, GROUPS.index("pooling")].tolist() == [1, 1, 1, pytest.approx(1), 1, 1]
    assert groups.sum() == pytest.approx(3.5 + 6)  # inputs and outputs are in no group


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


def test_large_graphs_are_encoded_like_small_ones(encoder):
    rng = np.random.default_rng(1)
    sparse = np.triu(rng.random((1024, 1024)) < 0.004, 1).astype(int)
    large = Architecture(["input", *rng.choice(["conv3x3", "sum"], 1022).tolist(), "output"], sparse)
    dense = Architecture(["node"] * 150, np.triu(np.ones((150, 150), int), 1))  # 3e44 paths
    small = random_architecture(rng, 60)
    together = encoder.encode([small, large, dense])
    assert np.isfinite(together).all()
    np.testing.assert_allclose(encoder.encode(small)[0], together[0], rtol=1e-4, atol=1e-3)
    assert together[1:, 0].tolist() == [1024, 150]
    assert together[2, 11] <= 150**0.5
    with pytest.raises(ValueError, match="at most 1024"):
        ArchitectureTable.from_arrays(("a", "b"), np.zeros((1, 1025), int), np.zeros((1, 1025, 1025), np.uint8))


def test_files_of_any_operations(encoder, tmp_path):
    rng = np.random.default_rng(2)
    cells = [random_architecture(rng, int(rng.integers(3, 9))) for _ in range(20)]
    table = ArchitectureTable.from_architectures(cells).with_columns(score=np.arange(20))
    write_parquet(table, tmp_path / "cells.parquet")
    lines = [json.dumps(cell.to_dict() | {"score": i}) for i, cell in enumerate(cells)]
    (tmp_path / "cells.jsonl").write_text("\n".join(lines))
    for name in ("cells.parquet", "cells.jsonl"):
        model = "universal" if name == "cells.jsonl" else None
        arguments = [
            "encode",
            "--input",
            str(tmp_path / name),
            "--output",
            str(tmp_path / "out.parquet"),
            "--overwrite",
        ]
        with contextlib.nullcontext() if model else pytest.warns(UserWarning, match="no model and no space is named"):
            assert main([*arguments, *(["--model", model] if model else [])]) == 0
        found = pq.read_table(tmp_path / "out.parquet")
        np.testing.assert_allclose(np.array(found["encoding"].to_pylist()), encoder.encode(cells), rtol=1e-5, atol=1e-5)
        assert column_from_arrow(found["hash"]).tolist() == graph_hashes(table).tolist()
        assert found["score"].to_pylist() == list(range(20))
    again = tmp_path / "again.parquet"
    encode_to_parquet("universal", again, input=tmp_path / "out.parquet")  # with a hash, which stays
    assert pq.read_table(again)["hash"].equals(found["hash"])
    encode_to_parquet("universal", tmp_path / "given.parquet", input=cells)
    given = np.array(pq.read_table(tmp_path / "given.parquet")["encoding"].to_pylist())
    np.testing.assert_allclose(given, encoder.encode(cells), rtol=1e-5, atol=1e-5)


def test_a_space_of_ones_own_needs_no_checkpoint(tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\noperations: [a, b]\nnodes: [2, 5]\npool: 200\n")
    space = get_space(file)
    with pytest.warns(UserWarning, match="no checkpoint is bundled for mine: encoded by 'universal'"):
        rows, dim = encode_to_parquet(None, tmp_path / "out.parquet", space=file)
    assert (rows, dim) == (len(space.pool()), 248)
    cell = space.sample(1, seed=0)[0]
    with pytest.warns(UserWarning, match="encoded by 'universal'"):
        near = nearest_architectures(None, input=[cell], k=3, space=file)
    assert len(near.found) == 3
    with pytest.warns(UserWarning, match="encoded by 'universal'"):
        given = nearest_architectures(input=[cell], k=3, space=space, encodings=tmp_path / "out.parquet")
    assert given.found.columns["hash"].tolist() == near.found.columns["hash"].tolist()
    with pytest.raises(ValueError, match="universal is of no space"):
        nearest_architectures("universal", input=[cell])
    with pytest.raises(ValueError, match="nasbench101 is a checkpoint of nasbench101, not of mine"):
        nearest_architectures("nasbench101", input=[cell], space=file)
    with pytest.raises(ValueError, match="give a model or a space"):
        nearest_architectures(input=[cell])


def test_networks_and_workflows_are_encoded(encoder):
    import networkx
    from torch import nn

    from cate_hf.graphs import from_fx, from_networkx

    graph = networkx.DiGraph([("load", "clean"), ("clean", "train"), ("load", "train")])
    for node in graph:
        graph.nodes[node]["operation"] = node
    network = from_fx(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)))
    vectors = encoder.encode([from_networkx(graph), network])
    assert vectors.shape == (2, encoder.dim)
    assert np.isfinite(vectors).all()
