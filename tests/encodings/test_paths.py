"""Vectors and distances of the path encodings, against walking all paths of one architecture at a time."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cate_hf import Architecture, get_space
from cate_hf.encodings import get_encoding
from cate_hf.encodings._path_numbers import PathNumbers, short_length
from cate_hf.spaces.custom.custom_space import CustomSpace
from tests.encodings.conftest import encoding_of, slow_number, slow_paths, space_of
from tests.strategies import architectures, redrawings

KINDS = ["", "-categorical", "-continuous"]
FORMS = [f"path{kind}{end}" for kind in KINDS for end in ("", "-truncated")]
FEWEST = {"nasbench201": 1, "darts": 1}
SHORT = {"nasbench101": 3, "nasbench201": 2, "darts": 2, "two-inputs": 3, "tiny": 1, "chain": 3}
COUNTS = {
    "nasbench101": (364, 40),
    "nasbench201": (84, 20),
    "darts": (5600, 112),
    "two-inputs": (2 * (1 + 3 + 9 + 27 + 81 + 243), 2 * (1 + 3 + 9 + 27)),
    "tiny": (7, 3),
}
MOST = {"nasbench101": 8, "nasbench201": 4, "darts": 18}


def slow_numbers(space_name, architecture, truncated):
    """The increasing numbers of an architecture's paths."""
    space = space_of(space_name)
    fewest, longest = FEWEST.get(space_name, 0), SHORT[space_name] if truncated else 99
    paths = [path for path in slow_paths(space, architecture) if fewest < len(path) <= longest + 1]
    return sorted(slow_number(space, path, fewest) for path in paths)


def slow_vector(form, space_name, architecture, most):
    truncated = form.endswith("truncated")
    numbers, count = slow_numbers(space_name, architecture, truncated), COUNTS[space_name][truncated]
    if "categorical" in form:
        return [(number + 1) / count for number in numbers] + [0.0] * (most - len(numbers))
    return [float(number in numbers) for number in range(count)] + [len(numbers) / most] * ("continuous" in form)


@pytest.mark.parametrize("space", COUNTS)
@pytest.mark.parametrize("form", FORMS)
def test_every_row_is_that_of_the_slow_form(form, space, rng):
    encoding, pool = encoding_of(form, space), space_of(space).pool()
    table = pool[rng.integers(len(pool), size=40)]
    vectors = encoding.transform(table)
    truncated = form.endswith("truncated")
    most = min(COUNTS[space][truncated], MOST.get(space) or most_of(space, truncated))
    expected = np.array([slow_vector(form, space, architecture, most) for architecture in table])
    assert (vectors.shape, vectors.dtype) == (expected.shape, np.float32)
    assert encoding.dim == vectors.shape[1]
    np.testing.assert_allclose(vectors, expected, rtol=1e-6)
    assert encoding.transform(table[:0]).shape == (0, encoding.dim)


def most_of(space, truncated):
    return max(len(slow_numbers(space, architecture, truncated)) for architecture in space_of(space).pool())


@pytest.mark.parametrize("space", MOST)
def test_the_most_paths_that_a_space_says_are_the_most_there_are(space):
    its = space_of(space)
    _, counts = PathNumbers(its).of(its.pool())
    assert counts.max() == MOST[space] == its.most_paths


def test_no_darts_cell_has_more_paths_than_18():
    """At most: intermediate nodes that read both inputs, then the two nodes before, with operations all different."""
    space = space_of("darts")
    names = space.vocabulary[2:9]
    inputs = [0, 1, 1, 2, 2, 3, 3, 4]
    cell = space.from_genotype([(names[entry % 7], value) for entry, value in enumerate(inputs)])
    assert len(slow_paths(space, cell)) == 2 + 3 + 5 + 8 == 18


@settings(deadline=None, max_examples=100)
@given(cell=architectures())
def test_one_hot_paths_are_those_of_the_architecture(cell):
    space = get_space("nasbench101")
    encoding = encoding_of("path", "nasbench101")
    texts = encoding.paths.texts()
    assert len(texts) == encoding.dim
    vector = encoding.transform(space.table([cell]))[0]
    assert sorted(texts[number] for number in np.flatnonzero(vector)) == cell.paths()
    short = encoding_of("path-truncated", "nasbench101").transform([cell])[0]
    np.testing.assert_array_equal(short, vector[:40])


@pytest.mark.parametrize("space", ["nasbench201", "two-inputs", "tiny"])
def test_texts_are_those_of_the_architecture_in_other_spaces(space, rng):
    encoding, its = encoding_of("path", space), space_of(space)
    pool = its.pool()
    table = pool[rng.integers(len(pool), size=50)]
    texts = encoding.paths.texts()
    for architecture, vector in zip(table, encoding.transform(table), strict=True):
        assert sorted(texts[number] for number in np.flatnonzero(vector)) == architecture.paths(its.num_inputs)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), cell=architectures(), form=st.sampled_from(FORMS))
def test_isomorphic_drawings_share_a_vector(data, cell, form):
    other = data.draw(redrawings(cell))
    vectors = encoding_of(form, "nasbench101").transform([cell, other])
    np.testing.assert_array_equal(*vectors)


def test_truncated_paths_keep_those_of_few_operations():
    for space, longest in SHORT.items():
        assert short_length(space_of(space)) == longest
    texts = encoding_of("path-truncated", "darts").paths.texts()
    assert len(texts) == 2 * 7 + 2 * 7**2
    assert texts[0] == "c_{k-2}|max_pool_3x3|output"
    assert texts[7] == "c_{k-1}|max_pool_3x3|output"
    assert texts[-1] == "c_{k-1}|dil_conv_5x5|dil_conv_5x5|output"


@settings(deadline=None, max_examples=40)
@given(cells=st.lists(architectures(), min_size=1, max_size=6), form=st.sampled_from(FORMS))
def test_distance_counts_paths_that_are_not_shared(cells, form):
    truncated = form.endswith("truncated")
    sets = [set(slow_numbers("nasbench101", cell, truncated)) for cell in cells]
    assume(max(map(len, sets)) <= MOST["nasbench101"])  # of more, the categorical form leaves some out
    encoding = encoding_of(form, "nasbench101")
    vectors = encoding.transform(cells)
    distances = encoding.distance(vectors, vectors[:3])
    assert distances.dtype == np.float64
    expected = [[len(a ^ b) + abs(len(a) - len(b)) * ("continuous" in form) for b in sets[:3]] for a in sets]
    np.testing.assert_allclose(distances, expected, atol=1e-5)


def test_a_categorical_vector_leaves_the_longest_paths_out_where_there_are_more():
    names = ["conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu"]
    full = Architecture(["input", *names, "output"], np.triu(np.ones((7, 7), int), 1))
    numbers = slow_numbers("nasbench101", full, truncated=False)
    assert len(numbers) > 8
    vector = encoding_of("path-categorical", "nasbench101").transform([full])[0]
    np.testing.assert_allclose(vector * 364 - 1, numbers[:8], atol=1e-4)


def test_too_many_possible_paths_are_refused_and_the_truncated_forms_are_named(rng):
    chain = space_of("chain")
    for kind in KINDS:
        with pytest.raises(
            ValueError, match=rf"path{kind}: encodings-chain has more than 100,000 .*; path{kind}-truncated"
        ):
            get_encoding(f"path{kind}", chain)
        encoding = encoding_of(f"path{kind}-truncated", "chain")
        table = chain.pool()[:20]
        numbers, counts = encoding.paths.of(table)
        starts = np.cumsum(counts) - counts
        for row, architecture in enumerate(table):  # all its paths would be too many to walk
            own = numbers[starts[row] : starts[row] + counts[row]].tolist()
            assert own == slow_short_numbers(chain, architecture, SHORT["chain"])
        assert np.isfinite(encoding.transform(table)).all()


def slow_short_numbers(space, architecture, longest):
    walks, found = [(0, ("input",))], set()
    while walks:
        node, names = walks.pop()
        for after in np.flatnonzero(architecture.adjacency[node]).tolist():
            if after == architecture.num_nodes - 1:
                found.add(names)
            elif len(names) <= longest:
                walks.append((after, (*names, architecture.operations[after])))
    return sorted(slow_number(space, path, 0) for path in found)


def test_one_operation_and_many_nodes_are_many_walks_but_few_paths():
    space = CustomSpace(name="encodings-one", operations=["conv"], nodes=[2, 60], pool=50)
    dense = Architecture(["input", *["conv"] * 58, "output"], np.triu(np.ones((60, 60), int), 1))
    assert get_encoding("path", space).transform([dense]).tolist() == [[1.0] * 59]  # of 2^58 walks


def test_more_memory_than_there_is_is_refused():
    space = space_of("darts")
    table = space.pool()[np.zeros(1_000_000, dtype=np.int64)]
    with pytest.raises(ValueError, match="1,000,000 vectors of 5,600 numbers are 21 GiB; transform parts"):
        encoding_of("path", "darts").transform(table)
