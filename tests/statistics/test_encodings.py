"""The encodings `structure` and `zero-cost`."""

import inspect
import warnings

import numpy as np
import pytest

from cate_hf import Architecture, get_space
from cate_hf.encodings import _zero_cost as zero_cost
from cate_hf.encodings import get_encoding
from cate_hf.graphs._cache import CACHE_VARIABLE
from cate_hf.spaces.custom.custom_space import CustomSpace
from cate_hf.statistics.initialisation import InitialisationSettings, initialisation
from cate_hf.statistics.structure import structure

SMALL = InitialisationSettings(batch=4, image_size=8)


@pytest.fixture(scope="module")
def cells():
    """All cells of NAS-Bench-101."""
    return get_space("nasbench101").enumerate()


@pytest.mark.long
def test_structure_of_all_cells(cells):
    encoding = get_encoding("structure", "nasbench101")
    vectors = encoding.transform(cells)
    assert vectors.shape == (len(cells), encoding.dim) == (423_624, 30)
    assert vectors.dtype == np.float32
    assert not encoding.learned
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(vectors.std(axis=0), 1, atol=1e-3)
    raw = structure(encoding.space, cells)
    for i in range(encoding.dim):
        assert np.corrcoef(raw[::97, i], vectors[::97, i])[0, 1] == pytest.approx(1, abs=1e-6)
    odd = np.random.default_rng(0).integers(0, 2**64, encoding.dim, dtype=np.uint64) | np.uint64(1)
    keys = np.concatenate([(part.view(np.uint32) * odd).sum(axis=1) for part in np.array_split(vectors, 16)])
    _, counts = np.unique(keys, return_counts=True)  # of 64 bits: hardly ever are two confused
    documented = inspect.getdoc(type(encoding))
    assert f"{counts[counts > 1].sum():,} share a vector with others" in documented
    assert f"there are {len(counts):,} different vectors" in " ".join(documented.split())


def test_structure_of_a_row_does_not_depend_on_the_others():
    encoding = get_encoding("structure", "nasbench201")
    table = encoding.space.enumerate()[:50]
    vectors = encoding.transform(table)
    np.testing.assert_array_equal(encoding.transform(table[[7]]), vectors[[7]])
    assert encoding.fit(table) is encoding
    np.testing.assert_array_equal(encoding.transform(table), vectors)
    assert np.isfinite(vectors).all()  # numbers that all cells share among them, such as to_output
    drawn = encoding.sample(5, np.random.default_rng(0))
    assert len(drawn) == 5
    assert encoding.by_table
    assert encoding.perturb(drawn[0], np.random.default_rng(0)) is None
    assert encoding.distance(vectors[:2], vectors[:3]).shape == (2, 3)


def test_structure_of_a_space_of_ones_own():
    space = CustomSpace(name="own", operations=["a", "b"], nodes=[3, 4])
    vectors = get_encoding("structure", space).transform(space.pool())
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-5)


def test_zero_cost(tmp_path, monkeypatch):
    space = get_space("nasbench201")
    table = space.pool()[::1500]
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(zero_cost, "_REFERENCE_ROWS", 8)
    encoding = get_encoding("zero-cost", space, settings=SMALL, jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vectors = encoding.transform(table)
    assert vectors.shape == (len(table), encoding.dim) == (6, 25)
    assert vectors.dtype == np.float32
    assert np.abs(vectors).max() <= 10
    raw = initialisation(space, table, SMALL)
    column = int(np.argmax(np.abs(vectors).max(axis=0) < 10))
    assert np.corrcoef(raw[:, column], vectors[:, column])[0, 1] == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(get_encoding("zero-cost", space, settings=SMALL).transform(table[:2]), vectors[:2])


def test_zero_cost_of_many_says_how_long_it_takes(tmp_path, monkeypatch):
    space = get_space("nasbench201")
    table = space.pool()[:40]
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(zero_cost, "_REFERENCE_ROWS", 2)
    monkeypatch.setattr(zero_cost, "_MANY", 30)
    encoding = get_encoding("zero-cost", space, settings=SMALL, jobs=1)
    with pytest.warns(UserWarning, match=r"^40 networks of nasbench201 .* \d+ \w+, at \d+ ms a network, 1 at a"):
        encoding.transform(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoding.transform(table)


def test_zero_cost_needs_a_network():
    space = CustomSpace(name="own", operations=["a"], nodes=[3, 4])
    with pytest.raises(ValueError, match="own does not say how to build a network"):
        get_encoding("zero-cost", space)


@pytest.mark.parametrize("name", ["structure", "zero-cost"])
def test_architectures_of_another_space_are_refused(name):
    foreign = Architecture(["input", "sep_conv_3x3", "output"], np.eye(3, k=1, dtype=np.uint8))
    with pytest.raises(ValueError, match="row 0: unknown operation 'sep_conv_3x3'"):
        get_encoding(name, "nasbench201").transform([foreign])
