"""Encodings by name, of one's own too, and checkpoints as encodings."""

import importlib.metadata

import numpy as np
import pytest

from cate_hf import get_space, load_encoder
from cate_hf.encodings import BaseEncoding, Encoding, encoding_names, get_encoding, register_encoding, registry
from tests.encodings.conftest import encoding_of, space_of
from tests.tiny import save_tiny

FIXED = [
    "adjacency",
    "adjacency-categorical",
    "adjacency-continuous",
    "adjacency-onehot",
    "parameters",
    "path",
    "path-categorical",
    "path-categorical-truncated",
    "path-continuous",
    "path-continuous-truncated",
    "path-truncated",
    "random",
]


class Nodes(BaseEncoding):
    """How many nodes there are."""

    name = "nodes"
    dim = 1

    def transform(self, table):
        return self.own_table(table).num_nodes[:, None].astype(np.float32)


@pytest.fixture
def own_names(monkeypatch):
    monkeypatch.setattr(registry.CATALOG, "registered", {})


@pytest.mark.parametrize("space", ["nasbench101", "nasbench201", "darts", "two-inputs", "tiny"])
@pytest.mark.parametrize("name", FIXED)
def test_all_that_an_encoding_offers(name, space, rng):
    encoding = encoding_of(name, space)
    assert isinstance(encoding, Encoding)
    assert name in encoding_names()
    assert encoding.name == ("adjacency" if name == "adjacency-onehot" else name)
    assert encoding.space is space_of(space)
    assert not encoding.learned
    table = encoding.sample(25, rng)
    assert len(table) == 25
    assert [*table.columns] == ["hash"]
    assert encoding.fit(table) is encoding
    vectors = encoding.transform(table)
    assert (vectors.shape, vectors.dtype) == ((25, encoding.dim), np.float32)
    assert np.isfinite(vectors).all()
    distances = encoding.distance(vectors[:7], vectors)
    assert (distances.shape, distances.dtype) == ((7, 25), np.float64)
    assert np.abs(np.diagonal(distances)).max() < 1e-6
    assert distances.min() > -1e-9
    row_by_row = np.concatenate([encoding.transform(table[row : row + 1]) for row in range(25)])
    np.testing.assert_array_equal(row_by_row, vectors)


@pytest.mark.parametrize("space", ["nasbench101", "nasbench201", "darts", "two-inputs", "tiny", "chain"])
@pytest.mark.parametrize("name", FIXED)
def test_samples_and_steps_are_architectures_of_the_space(name, space, rng):
    if space == "chain" and name.startswith("path") and not name.endswith("truncated"):
        pytest.skip("refused: too many paths")
    encoding, its = encoding_of(name, space), space_of(space)
    table = encoding.sample(30, rng)
    its.validate_many(table)
    np.testing.assert_array_equal(its.hash_many(table), table.columns["hash"])
    for architecture in table[:12]:
        step = encoding.perturb(architecture, rng)
        if encoding.by_table:
            assert step is None
        elif step is not None:
            assert its.validate(step) == step
            assert its.hash(step) != its.hash(architecture)
    assert encoding.by_table or step is not None


@pytest.mark.parametrize("name", ["adjacency", "adjacency-continuous", "path", "path-categorical-truncated", "random"])
def test_the_same_generator_gives_the_same(name):
    encoding = encoding_of(name, "nasbench201")
    first, second = (encoding.sample(50, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.columns["hash"], second.columns["hash"])
    assert encoding.perturb(first[0], np.random.default_rng(4)) == encoding.perturb(first[0], np.random.default_rng(4))


def test_names_of_parts_that_are_not_there_are_not_listed(monkeypatch):
    monkeypatch.setitem(registry._OWN, "absent", "cate_hf.encodings.no_such_module:Absent")
    assert "absent" not in encoding_names()
    with pytest.raises(ValueError, match="unknown encoding 'absent'"):
        get_encoding("absent", "nasbench101")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("adjacent", "adjacency"), ("paths", "path"), ("nasbench-101", "nasbench101"), ("ranom", "random")],
)
def test_an_unknown_name_brings_the_nearest(wrong, right):
    with pytest.raises(ValueError, match=f"unknown encoding '{wrong}'; did you mean '{right}'"):
        get_encoding(wrong, "nasbench101")
    with pytest.raises(ValueError, match="unknown search space 'nasbench11'"):
        get_encoding("path", "nasbench11")


def test_one_of_ones_own(own_names, rng):
    register_encoding("nodes", Nodes)
    assert "nodes" in encoding_names()
    encoding = get_encoding("nodes", "nasbench201")
    pool = get_space("nasbench201").pool()
    np.testing.assert_array_equal(encoding.transform(pool)[:, 0], pool.num_nodes)
    assert encoding.by_table
    assert encoding.perturb(pool[0], rng) is None
    assert np.isin(encoding.sample(9, rng).columns["hash"], pool.columns["hash"]).all()
    assert encoding.distance(np.array([[1.0], [4.0]]), np.array([[1.0]])).tolist() == [[0.0], [3.0]]
    for name in ("nodes", "path"):
        with pytest.raises(ValueError, match=f"there is an encoding called '{name}' already"):
            register_encoding(name, Nodes)
    register_encoding("nodes", Nodes, replace=True)


def test_one_that_lacks_a_member_is_refused(own_names):
    class Half:
        name, dim, learned, by_table = "half", 1, False, True

        def __init__(self, space):
            self.space = space

        def transform(self, table): ...

    register_encoding("half", Half)
    with pytest.raises(ValueError, match="encoding 'half': Half lacks fit, sample, perturb, distance"):
        get_encoding("half", "nasbench101")


def test_installed_packages_add_theirs(monkeypatch):
    point = importlib.metadata.EntryPoint("installed", f"{__name__}:Nodes", registry.CATALOG.group)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point] * (group == registry.CATALOG.group))
    assert "installed" in encoding_names()
    assert get_encoding("installed", "nasbench101").dim == 1


def test_checkpoints(tmp_path, rng):
    space = get_space("nasbench101")
    folder = save_tiny(tmp_path / "tiny")
    table = encoding_of("random", "nasbench101").sample(20, rng)
    encoding = get_encoding(folder, space, device="cpu")
    np.testing.assert_array_equal(encoding.transform(table), load_encoder(folder, device="cpu").encode(table))
    assert (encoding.name, encoding.dim, encoding.learned, encoding.by_table) == (str(folder), 16, True, True)
    assert encoding.fit(table) is encoding
    assert encoding.perturb(table[0], rng) is None
    bundled = get_encoding("cate", "nasbench101", device="cpu")
    assert bundled.name == "cate"
    by_name = get_encoding("nasbench101", "nasbench101", device="cpu")
    np.testing.assert_array_equal(bundled.transform(table), by_name.transform(table))
    assert bundled.transform(table).shape == (20, bundled.dim)
    with pytest.raises(ValueError, match="is a checkpoint of nasbench101, not of darts"):
        get_encoding(folder, "darts")
    with pytest.warns(UserWarning, match="no checkpoint is bundled for encodings-tiny: encoded by 'universal'") as told:
        default = get_encoding("cate", space_of("tiny"))
    assert told[0].filename == __file__
    assert default.name == "universal"
    with pytest.raises(ValueError, match=r"no config\.json"):
        get_encoding(tmp_path, "nasbench101")
