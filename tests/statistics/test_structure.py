import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import Architecture, ArchitectureTable, get_space
from cate_hf.spaces.custom.custom_space import CustomSpace
from cate_hf.statistics.structure import structure, structure_names
from tests.statistics.reference import reference_structure
from tests.strategies import architectures, redrawings


class Joined(CustomSpace):
    """A space of any graphs of a few nodes, of one to three inputs, two operations and sums."""

    transparent = ("sum",)

    def __init__(self, inputs: int, most: int = 9):
        names = [f"in{i}" for i in range(inputs)]
        super().__init__(name="joined", operations=["a", "b", "sum"], nodes=[inputs + 1, most], input=names)


JOINED = {inputs: Joined(inputs) for inputs in (1, 2, 3)}


@st.composite
def joined(draw) -> tuple[CustomSpace, list[Architecture]]:
    """Graphs with nodes that lead nowhere, edges between inputs, and inputs without a path."""
    space = JOINED[draw(st.integers(1, 3))]
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        inner = draw(st.lists(st.sampled_from(["a", "b", "sum"]), max_size=8 - space.num_inputs))
        size = space.num_inputs + len(inner) + 1
        bits = draw(st.lists(st.integers(0, 1), min_size=size * (size - 1) // 2, max_size=size * (size - 1) // 2))
        adjacency = np.zeros((size, size), np.uint8)
        adjacency[np.triu_indices(size, 1)] = bits
        rows.append(Architecture([*space.vocabulary[: space.num_inputs], *inner, "output"], adjacency))
    return space, rows


def assert_as_reference(space, table):
    names, numbers = structure_names(space), structure(space, table)
    assert numbers.shape == (len(table), len(names))
    assert numbers.dtype == np.float32
    costs = {f"log_cost:{cost}": np.log1p(space.costs(table.replace_columns({}), cost)) for cost in space.cost_names}
    for row, architecture in enumerate(table):
        expected = reference_structure(space, architecture) | {name: values[row] for name, values in costs.items()}
        assert set(expected) == set(names)
        np.testing.assert_allclose(numbers[row], [expected[name] for name in names], rtol=1e-6, err_msg=architecture)


@settings(deadline=None, max_examples=300)
@given(joined())
def test_any_graphs_by_listing_their_paths(drawn):
    space, rows = drawn
    assert_as_reference(space, space.table(rows))


@pytest.mark.parametrize(("name", "rows"), [("nasbench101", 150), ("nasbench201", 100), ("darts", 60)])
def test_cells_by_listing_their_paths(name, rows):
    space = get_space(name)
    assert_as_reference(space, space.sample(rows, seed=3))


@settings(deadline=None)
@given(st.data())
def test_isomorphic_drawings_share_their_numbers_and_dead_nodes_do_not_count(data):
    space = JOINED[1]
    drawn = data.draw(architectures(max_nodes=9))
    names = {"conv1x1-bn-relu": "a", "conv3x3-bn-relu": "b", "maxpool3x3": "sum", "input": "in0"}
    drawn = Architecture([names.get(name, name) for name in drawn.operations], drawn.adjacency)
    rows = [drawn, data.draw(redrawings(drawn))]
    if drawn.closure()[0, -1]:
        rows.append(drawn.prune())
    numbers = structure(space, space.table(rows))[:, : -len(space.cost_names)]
    np.testing.assert_array_equal(numbers[1:], numbers[:1].repeat(len(rows) - 1, axis=0))


def test_names_are_unique_and_costs_come_last():
    for space in (*map(get_space, ("nasbench101", "nasbench201", "darts")), *JOINED.values()):
        names = structure_names(space)
        assert len(set(names)) == len(names)
        assert names[-len(space.cost_names) :] == [f"log_cost:{cost}" for cost in space.cost_names]
    assert len(structure_names(get_space("nasbench101"))) == 30
    assert "sum:count" not in structure_names(get_space("darts"))


def test_the_cells_of_nasbench201_without_a_path_are_zeros_but_for_their_costs():
    space = get_space("nasbench201")
    cells = space.enumerate()
    empty = cells.num_nodes == 2
    numbers = structure(space, cells)
    assert empty.sum() == 341
    assert not numbers[empty, :-2].any()
    assert (numbers[~empty, 0] > 0).all()
    # The costs are those of the graph, also of a cell whose dead operations the column counts.
    assert len(np.unique(numbers[empty, -2:], axis=0)) == 1
    assert len(np.unique(cells.columns["parameters"][empty])) > 1


def test_columns_are_not_looked_at():
    space = get_space("nasbench101")
    table = space.sample(5, seed=0)
    wrong = table.with_columns(parameters=np.zeros(5), flops=np.zeros(5))
    np.testing.assert_array_equal(structure(space, wrong), structure(space, table))


def test_a_table_over_another_vocabulary_and_of_other_width():
    space = get_space("nasbench101")
    table = space.sample(20, seed=1)
    other = table.recode(("output", *space.vocabulary[:-1])).widen(9)
    np.testing.assert_array_equal(structure(space, other), structure(space, table))
    chain = np.eye(3, k=1, dtype=np.uint8)
    foreign = ArchitectureTable.from_architectures([Architecture(["input", "sep_conv_3x3", "output"], chain)])
    with pytest.raises(ValueError, match="row 0: node 1: unknown operation 'sep_conv_3x3'"):
        structure(space, foreign)


def test_many_paths_are_counted_without_listing_them():
    most = 100
    space = Joined(1, most)
    adjacency = np.triu(np.ones((most, most), np.uint8), 1)
    chain = np.eye(most, k=1, dtype=np.uint8)
    rows = [Architecture(["in0", *["a", "b"] * (most // 2 - 1), "output"], graph) for graph in (adjacency, chain)]
    numbers = structure(space, space.table(rows))
    full, line = (dict(zip(structure_names(space), row, strict=True)) for row in numbers)
    assert full["log_paths"] == pytest.approx((most - 2) * np.log(2))
    assert full["a:mean_on_path"] == pytest.approx((most - 2) / 4)
    assert full["mean_path"] == pytest.approx((most - 2) / 2 + 1)
    assert (full["longest_path"], full["shortest_path"], full["a:fewest_on_path"]) == (most - 1, 1, 0)
    assert (line["shortest_path"], line["a:fewest_on_path"], line["b:most_on_path"]) == (most - 1, 49, 49)
    assert full["edges"] == networkx.complete_graph(most).number_of_edges()


def test_no_rows():
    space = get_space("darts")
    assert structure(space, space.sample(3, seed=0)[:0]).shape == (0, len(structure_names(space)))
