import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import Architecture, ArchitectureTable
from cate_hf.graphs.table import PADDING, pack_edges, unpack_edges
from tests.strategies import VOCABULARY, architectures

relaxed = settings(deadline=None, max_examples=60)

PAIR = Architecture(["input", "output"], [[0, 1], [0, 0]])
CHAIN = Architecture(["input", "maxpool3x3", "output"], np.eye(3, k=1, dtype=int))


def table_of_three():
    return ArchitectureTable.from_architectures([PAIR, CHAIN, PAIR], VOCABULARY, {"score": [0.0, 0.5, 1.0]})


def arrays(n=2):
    """Codes and adjacency of n chains of three nodes in four positions."""
    codes = np.tile(np.array([0, 1, 4, PADDING]), (n, 1))
    adjacency = np.zeros((n, 4, 4), dtype=int)
    adjacency[:, [0, 1], [1, 2]] = 1
    return codes, adjacency


@relaxed
@given(st.integers(2, 15), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_edges_survive_packing(size, n, seed):
    adjacency = np.triu(np.random.default_rng(seed).integers(0, 2, (n, size, size), dtype=np.uint8), 1)
    assert np.array_equal(unpack_edges(pack_edges(adjacency), size), adjacency)


def test_edge_numbers():
    """Edge x -> y is bit x + y(y-1)/2, whatever the number of positions."""
    for size in (5, 7):
        adjacency = np.zeros((1, size, size), dtype=np.uint8)
        adjacency[0, 2, 4] = 1
        assert np.flatnonzero(np.unpackbits(pack_edges(adjacency), bitorder="little")).tolist() == [2 + 4 * 3 // 2]


@relaxed
@given(st.lists(architectures(), max_size=8))
def test_rows_come_back(archs):
    table = ArchitectureTable.from_architectures(archs, VOCABULARY)
    assert list(table) == archs
    assert [table[i] for i in range(-len(table), 0)] == archs
    again = ArchitectureTable.from_arrays(table.vocabulary, table.operation_codes, table.adjacency())
    assert list(again) == archs


def test_parts():
    table = table_of_three()
    for rows in (slice(1, None), [1, 2], np.array([False, True, True]), np.array([-2, -1])):
        part = table[rows]
        assert isinstance(part, ArchitectureTable)
        assert list(part) == [CHAIN, PAIR]
        assert part.columns["score"].tolist() == [0.5, 1.0]
        assert np.array_equal(table.adjacency(rows), part.adjacency())
    assert table[[2, 0, 2]].columns["score"].tolist() == [1.0, 0.0, 1.0]
    assert len(table[[]]) == 0
    assert CHAIN in table
    with pytest.raises(IndexError, match="row 3 of a table of 3"):
        table[3]


def test_columns():
    table = table_of_three().with_columns(hash=np.array(["0" * 32] * 3), vector=np.zeros((3, 4)))
    assert table.columns["hash"].dtype == np.dtype("<U32")
    assert set(table.columns) == {"score", "hash", "vector"}
    assert set(table.replace_columns({}).columns) == set()
    with pytest.raises(ValueError, match="column 'x': expected 3 values, one a row, got shape \\(2,\\)"):
        table.with_columns(x=[1, 2])


def test_vocabulary_of_first_appearances():
    assert ArchitectureTable.from_architectures([PAIR, CHAIN]).vocabulary == ("input", "output", "maxpool3x3")


def test_recode():
    table = table_of_three()
    back = table.recode(VOCABULARY[::-1])
    assert list(back) == list(table)
    assert back.operation_codes[0].tolist() == [4, 0, PADDING]
    with pytest.raises(
        ValueError, match="rows, row 1: node 1: unknown operation 'maxpool3x3', known are input, output"
    ):
        table.recode(("input", "output"), "rows")


@relaxed
@given(st.lists(st.lists(architectures(), min_size=1, max_size=4), min_size=1, max_size=4))
def test_concatenation(parts):
    """Tables of different widths and vocabularies."""
    tables = [ArchitectureTable.from_architectures(part, columns={"i": range(len(part))}) for part in parts]
    joined = ArchitectureTable.concatenate(tables)
    assert list(joined) == [arch for part in parts for arch in part]
    assert joined.columns["i"].tolist() == [i for part in parts for i in range(len(part))]


def test_concatenation_needs_the_same_columns():
    with pytest.raises(ValueError, match="table 1 has columns \\[\\], table 0 has \\['score'\\]"):
        ArchitectureTable.concatenate([table_of_three(), table_of_three().replace_columns({})])
    with pytest.raises(ValueError, match="no tables"):
        ArchitectureTable.concatenate([])


def test_widen():
    assert list(table_of_three().widen(7)) == list(table_of_three())
    assert table_of_three().widen(7).widen(3).max_nodes == 3
    with pytest.raises(ValueError, match="up to 3 nodes, more than 2"):
        table_of_three().widen(2)


def test_repr_and_size():
    table = table_of_three()
    assert repr(table) == "ArchitectureTable(3 architectures of at most 3 nodes; columns: score)"
    assert table.nbytes == 3 * 3 + 3 * 1 + 3 * 2 + 3 * 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, a: a.__setitem__((1, 2, 1), 1), "t, row 1: edge 2 -> 1 goes backward"),
        (lambda c, a: a.__setitem__((1, 1, 1), 1), "t, row 1: node 1 has an edge to itself"),
        (lambda c, a: a.__setitem__((1, 0, 1), 2), "t, row 1: adjacency\\[0\\]\\[1\\] must be 0 or 1, got 2"),
        (lambda c, a: a.__setitem__((1, 0, 3), 1), "t, row 1: edge 0 -> 3 leaves the architecture of 3 nodes"),
        (lambda c, a: c.__setitem__((1, 1), 9), "t, row 1: node 1 has operation code 9, the vocabulary has 5"),
        (lambda c, a: c.__setitem__((1, 1), -1), "t, row 1: node 1 has operation code -1"),
        (lambda c, a: c.__setitem__((1, 0), PADDING), "t, row 1: padding before node"),
        (lambda c, a: c.__setitem__((1, slice(1, None)), PADDING), "t, row 1: an architecture needs at least 2 nodes"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    codes, adjacency = arrays()
    change(codes, adjacency)
    with pytest.raises(ValueError, match=message):
        ArchitectureTable.from_arrays(VOCABULARY, codes, adjacency, source="t")


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_fractions_are_refused(value):
    codes, adjacency = arrays()
    adjacency = adjacency.astype(float)
    adjacency[1, 0, 1] = value
    with pytest.raises(ValueError, match=f"row 1: adjacency\\[0\\]\\[1\\] must be 0 or 1, got {value}"):
        ArchitectureTable.from_arrays(VOCABULARY, codes, adjacency)


def test_shapes_and_vocabulary_must_fit():
    codes, adjacency = arrays()
    with pytest.raises(ValueError, match="adjacency \\(N, L, L\\), got \\(2, 4\\) and \\(2, 3, 4\\)"):
        ArchitectureTable.from_arrays(VOCABULARY, codes, adjacency[:, :3])
    with pytest.raises(ValueError, match="each once"):
        ArchitectureTable.from_arrays(("a", "a"), codes, adjacency)
    with pytest.raises(ValueError, match="row 0: unknown operation 'maxpool3x3', known are input, output"):
        ArchitectureTable.from_architectures([CHAIN], ("input", "output"))
