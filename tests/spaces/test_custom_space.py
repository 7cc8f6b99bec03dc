"""Spaces of one's own: what they contain, by brute force, and everything that a space offers."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import Architecture, ArchitectureTable, CateConfig, CateTokenizer
from cate_hf.spaces.base import Space
from cate_hf.spaces.custom._draw import draw_rows
from cate_hf.spaces.custom.custom_space import CustomSpace

ENAS = {
    "name": "enas-like",
    "operations": {"conv3x3": {"parameters": 9}, "conv5x5": {"parameters": 25}, "pool": {"parameters": 0}},
    "nodes": 8,
    "edges": [7, 14],
    "in_degree": [1, 2],
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CATE_HF_CACHE", str(tmp_path / "cache"))


def space(**fields):
    return CustomSpace(**({"name": "mine", "operations": ["a", "b"]} | fields))


def graph(operations, *edges):
    matrix = np.zeros((len(operations),) * 2, dtype=int)
    for x, y in edges:
        matrix[x, y] = 1
    return Architecture(operations, matrix)


def all_drawings(own):
    """Every labelled graph of up to `max_nodes` nodes with the inputs first and the output last."""
    inputs, between = own.num_inputs, own.vocabulary[own.num_inputs : -1]
    for size in range(inputs + 1, own.max_nodes + 1):
        pairs = [(x, y) for y in range(size) for x in range(y)]
        for names in product(between, repeat=size - inputs - 1):
            operations = [*own.vocabulary[:inputs], *names, own.vocabulary[-1]]
            for chosen in product((0, 1), repeat=len(pairs)):
                yield graph(operations, *(pair for pair, there in zip(pairs, chosen, strict=True) if there))


def meets(fields, a):
    """The limits in plain words, of a graph with nothing to prune."""
    edges, inputs = a.edges, fields.num_inputs
    into, out = a.adjacency.sum(axis=0), a.adjacency.sum(axis=1)
    between = range(inputs, len(a) - 1)
    low, high = fields.edges or (1, 10_000)
    return (
        fields.nodes[0] <= len(a) <= fields.nodes[1]
        and low <= len(edges) <= high
        and not into[:inputs].any()
        and into[-1] > 0
        and all(fields.in_degree[0] <= into[v] <= fields.in_degree[1] for v in between)
        and all(fields.out_degree[0] <= out[v] <= fields.out_degree[1] for v in between)
        and all(edge in edges for edge in fields.skeleton_edges(len(a)))
        and all(a.operations[v] == name for v, name in fields.fixed_operations.items())
    )


SMALL = [
    {"nodes": [2, 5]},
    {"nodes": [3, 5], "edges": [3, 5], "in_degree": [1, 2]},
    {"nodes": 5, "skeleton": "chain"},
    {"nodes": 5, "skeleton": [["input", 1], [1, "output"]], "out_degree": [1, 2]},
    {"nodes": [4, 5], "fixed_operations": {2: "b"}, "edges": [1, 6]},
    {"nodes": [3, 5], "input": ["left", "right"], "in_degree": [2, 3]},
    {"nodes": 5, "in_degree": 1, "out_degree": 1},
    {"nodes": 4, "operations": ["a", "b", "c"], "edges": 3},
]


@pytest.mark.parametrize("fields", SMALL, ids=[" ".join(f) for f in SMALL])
def test_a_small_space_is_listed_sampled_and_validated_as_by_brute_force(fields):
    own = space(**fields)
    plain = [a for a in all_drawings(own) if meets(own.fields, a)]
    alike: dict[tuple, list[Architecture]] = {}  # graphs of one kind of nodes are compared exactly
    for a in plain:
        degrees = zip(a.operations, a.adjacency.sum(axis=0).tolist(), a.adjacency.sum(axis=1).tolist(), strict=True)
        kind = alike.setdefault(tuple(sorted(degrees)), [])
        if not any(a.is_isomorphic(b) for b in kind):
            kind.append(a)
    different = [a for kind in alike.values() for a in kind]
    expected = {own.hash(a) for a in different}
    assert len(expected) == len(different)
    listed = own.enumerate(use_cache=False)
    assert {str(h) for h in listed.columns["hash"]} == expected
    assert own.size == len(listed) == len(expected)
    assert (listed.columns["hash"][1:] > listed.columns["hash"][:-1]).all()
    # Samples: all of it, and nothing else.
    table = own._as_table(*draw_rows(own._limits, 60_000, np.random.default_rng(0)))
    assert {str(h) for h in np.unique(own.hash_many(table))} == expected
    assert set(table[:500]) <= set(plain)
    # Validation: each row by the table as one by one.
    some = list(all_drawings(own))[:: 7 if own.max_nodes == 5 else 1]
    drawn = own.table(some)
    look = own._needs_a_look(drawn)
    for a, needs_a_look in zip(some, look.tolist(), strict=True):
        assert needs_a_look != meets(own.fields, a)
        if not needs_a_look:
            assert own.validate(a) == a
        elif own.is_valid(a):
            assert meets(own.fields, own.validate(a))
            assert len(own.validate(a)) < len(a)


@st.composite
def some_fields(draw):
    inputs = draw(st.integers(1, 3))
    least = draw(st.integers(inputs + 1, 10))
    nodes = [least, draw(st.integers(least, 12))]
    fields = {"nodes": nodes, "input": [f"in{i}" for i in range(inputs)]}
    if draw(st.booleans()):
        fields["in_degree"] = [draw(st.integers(1, inputs)), draw(st.integers(inputs, 6))]
    if draw(st.booleans()):
        fields["out_degree"] = [1, draw(st.integers(1, 4))]
    if draw(st.booleans()):
        fields["edges"] = [1, draw(st.integers(nodes[1] * 2, nodes[1] * 3))]
    if draw(st.booleans()):
        fields["skeleton"] = "chain"
        fields.setdefault("in_degree", [1, 6])[0] = 1
    if draw(st.booleans()) and least > inputs + 2:
        fields["fixed_operations"] = {inputs: "b"}
    return fields


@settings(deadline=None, max_examples=40)
@given(some_fields(), st.integers(0, 100))
def test_what_is_drawn_is_valid_and_stays_so(fields, seed):
    own = space(**fields)
    table = own._draw(50, np.random.default_rng(seed))
    assert len(table) >= 50
    assert own.validate_many(table) is table
    for a in table[:50]:
        assert own.validate(a) == a
        assert meets(own.fields, a)


def test_distribution():
    own = space(operations=["a", "b", "c", "d"], nodes=[5, 14], edges=[1, 40])
    assert own.size is None
    assert "uniform" in own.distribution
    table = own._as_table(*draw_rows(own._limits, 40_000, np.random.default_rng(0)))
    assert np.bincount(table.num_nodes)[5:] / 40_000 == pytest.approx(0.1, abs=0.01)
    operations = np.bincount(table.operation_codes.ravel(), minlength=256)[1:5]
    assert operations / operations.sum() == pytest.approx(0.25, abs=0.01)
    edges = np.bitwise_count(table.edge_bits).sum(axis=1)[table.num_nodes == 14]
    counts = np.bincount(edges, minlength=41)[20:]  # those that need no more than drawn: uniform
    assert counts / counts.sum() == pytest.approx(1 / 21, abs=0.02)


def test_samples_are_unique_and_follow_the_seed():
    own = CustomSpace(**ENAS)
    table = own.sample(3_000, seed=1)
    assert len(table) == len(np.unique(table.columns["hash"])) == 3_000
    assert set(table.columns) == {"hash", "parameters"}
    again, other = own.sample(3_000, seed=1), own.sample(3_000, seed=2)
    assert np.array_equal(table.columns["hash"], again.columns["hash"])
    assert not np.array_equal(table.columns["hash"], other.columns["hash"])


def test_tight_limits_are_met():
    few = space(operations=[f"o{i}" for i in range(64)], nodes=200, edges=[199, 215])
    table = few.sample(200, seed=0)
    edges = np.bitwise_count(table.edge_bits).sum(axis=1)
    assert 199 <= edges.min() <= edges.max() <= 215
    path = space(nodes=12, edges=11, in_degree=1, out_degree=1)
    for a in path._draw(20, np.random.default_rng(0))[:20]:
        assert a.edges == [(i, i + 1) for i in range(11)]


def test_200_nodes_and_64_operations():
    own = space(operations=[f"o{i}" for i in range(64)], nodes=[2, 200], edges=[1, 400])
    table = own.sample(300, seed=0)
    assert table.num_nodes.max() > 190
    assert own.validate_many(table) is table
    tokenizer = CateTokenizer.from_config(CateConfig.for_space(own))
    batch = tokenizer(table, return_tensors="np")
    assert batch["input_ids"].shape[0] == 300
    assert batch["attention_mask"].sum(axis=1).tolist() == table.num_nodes.tolist()
    small = table[int(np.argmin(np.abs(table.num_nodes.astype(int) - 40)))]
    found = own.neighbours(small)
    assert len(found) > 38 * 63
    assert {own.is_valid(a) for a in found[:50]} == {True}


def test_nothing_to_draw_says_why():
    impossible = space(nodes=19, edges=[40, 41], in_degree=[1, 3], skeleton=[[0, 4], [1, 4], [2, 4], [3, 4]])
    with pytest.raises(ValueError, match="mine: none of 2.* meets the limits: nodes 19, edges 40 to 41, in_degree"):
        impossible.sample(3, seed=0)
    small = space(nodes=9, edges=[20, 21], in_degree=[1, 3], skeleton=[[0, 4], [1, 4], [2, 4], [3, 4]])
    with pytest.raises(ValueError, match="mine: no architecture meets the limits: nodes 9, edges 20 to 21"):
        small.sample(3, seed=0)
    never = space(nodes=12, valid=lambda a: False)
    with pytest.raises(ValueError, match="the condition in Python"):
        never.sample(1, seed=0)
    nothing = space(nodes=3, valid=lambda a: False)
    with pytest.raises(ValueError, match="no architecture meets the condition"):
        nothing.enumerate()


def test_pool_is_what_there_is():
    own = CustomSpace(**ENAS | {"pool": 500})
    pool = own.pool()
    assert len(pool) == 500
    assert (pool.columns["hash"][1:] > pool.columns["hash"][:-1]).all()
    assert own.pool() is pool
    assert np.array_equal(CustomSpace(**ENAS | {"pool": 500}).pool().columns["hash"], pool.columns["hash"])
    chains = space(nodes=12, skeleton="chain", in_degree=1, out_degree=1, edges=11, pool=3000)
    assert chains.size is None  # more nodes than are listed
    pool = chains.pool()
    assert len(pool) == 2**10


def test_a_condition_in_python():
    def without_b_first(a):
        return a.operations[1] != "b"

    own, whole = space(nodes=4, skeleton="chain", valid=without_b_first), space(nodes=4, skeleton="chain")
    table = own.enumerate()
    assert len(table) * 2 == len(whole.enumerate())
    assert own.version != whole.version
    good = graph(["input", "a", "b", "output"], (0, 1), (1, 2), (2, 3))
    bad = graph(["input", "b", "a", "output"], (0, 1), (1, 2), (2, 3))
    assert own.validate(good) == good
    assert whole.is_valid(bad)
    with pytest.raises(ValueError, match="does not meet the condition of mine in Python"):
        own.validate(bad)
    with pytest.raises(ValueError, match="rows.x, row 1: .*condition"):
        own.validate_many(own.table([good, bad]), "rows.x")
    assert own.hash(bad_free := good) == whole.hash(bad_free)
    sampled = space(nodes=[9, 12], valid=without_b_first).sample(100, seed=0)
    assert all(without_b_first(a) for a in sampled)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (graph(["input", "c", "output"], (0, 1), (1, 2)), "node 1: unknown operation 'c'"),
        (graph(["input", "output"], (0, 1)), "2 nodes; a mine architecture has at least 3"),
        (graph(["input", *"aaaaa", "output"], *((i, i + 1) for i in range(6))), "7 nodes; .* at most 6"),
        (graph(["input", "a", "b", "output"], (0, 1), (0, 2), (1, 3), (2, 3), (0, 3)), "5 edges; .* at most 4"),
        (graph(["input", *"aab", "output"], (0, 1), (0, 2), (1, 4), (2, 4)), "no edge 1 -> 2, which the skeleton"),
        (graph(["input", "b", "a", "output"], (0, 1), (1, 2), (2, 3)), "node 1: a mine architecture has 'a' there"),
        (graph(["input", "a", "output"], (0, 1)), "no path"),
    ],
)
def test_what_is_not_of_the_space_is_told_why(architecture, message):
    own = space(nodes=[3, 6], edges=[1, 4], skeleton=[[0, 1]], fixed_operations={1: "a"})
    if "skeleton" in message:
        own = space(nodes=[4, 6], edges=[1, 5], skeleton=[[1, 2]])
    assert not own.is_valid(architecture)
    with pytest.raises(ValueError, match=message):
        own.validate(architecture)


def test_degrees_and_inputs_are_told():
    own = space(nodes=[3, 5], input=["l", "r"], in_degree=[2, 2], out_degree=[1, 1])
    with pytest.raises(ValueError, match="1 predecessors of node 2; .* at least 2"):
        own.validate(graph(["l", "r", "a", "output"], (0, 2), (2, 3)))
    with pytest.raises(ValueError, match="2 successors of node 2; .* at most 1"):
        own.validate(graph(["l", "r", "a", "a", "output"], (0, 2), (1, 2), (2, 3), (0, 3), (3, 4), (2, 4)))
    with pytest.raises(ValueError, match="node 1 is an input of mine"):
        own.validate(graph(["l", "r", "a", "output"], (0, 1), (0, 2), (1, 2), (2, 3)))


def test_limits_hold_after_pruning():
    own = space(nodes=[3, 4])
    loose = graph(["input", "b", "a", "a", "output"], (0, 1), (0, 2), (2, 3), (3, 4))
    assert own.validate(loose) == graph(["input", "a", "a", "output"], (0, 1), (1, 2), (2, 3))
    assert own.hash(loose) == own.hash(own.validate(loose))


@pytest.mark.parametrize("fields", [SMALL[1], SMALL[2], SMALL[5], {"nodes": [3, 9]}, {"nodes": 9, "edges": [8, 9]}])
def test_neighbours_are_those_of_the_base_class(fields):
    own = space(**fields)
    for a in own.sample(8, seed=0):
        found = own.neighbours(a)
        assert set(found.columns["hash"]) == set(Space.neighbours(own, a).columns["hash"])
        assert own.hash(a) not in found.columns["hash"]
        assert np.array_equal(own.hash_many(found), found.columns["hash"])


@pytest.mark.parametrize("fields", [{"nodes": 8, "edges": 9}, {"nodes": 8, "input": ["l", "r"], "in_degree": 2}])
def test_neighbours_where_the_number_of_edges_is_fixed(fields):
    own = space(**fields)
    assert not own.free_edges
    inputs = own.num_inputs
    for a in own.sample(6, seed=0):
        expected = set(Space.neighbours(own, a).columns["hash"])
        for x, y in a.edges:
            for other in set(range(y)) - {x} if y >= inputs else ():
                edges = {*a.edges} - {(x, y)} | {(other, y)}
                moved = graph(a.operations, *edges)
                if len(edges) == a.num_edges and own.is_valid(moved):
                    expected.add(own.hash(moved))
        found = own.neighbours(a).columns["hash"]
        assert set(found) == expected - {own.hash(a)}
        assert len(found) > len(a) - inputs - 1


def test_costs_add_up():
    own = CustomSpace(
        name="costly",
        operations={"a": {"parameters": 3, "seconds": 0.5}, "b": {"parameters": 5, "seconds": 0}},
        nodes=[2, 5],
        edge_costs={"parameters": 100},
    )
    a = graph(["input", "a", "b", "a", "output"], (0, 1), (1, 2), (2, 3), (3, 4), (0, 4))
    assert own.cost_names == ("parameters", "seconds")
    assert own.parameters(a) == 3 + 5 + 3 + 5 * 100
    assert own.costs(own.table([a]), "seconds").tolist() == [1.0]
    table = own.enumerate()
    assert table.columns["parameters"].dtype == np.int64
    for row, each in enumerate(table[:200]):
        by_hand = sum({"a": 3, "b": 5}.get(name, 0) for name in each.operations) + 100 * each.num_edges
        assert table.columns["parameters"][row] == by_hand
    with pytest.raises(ValueError, match="unknown cost 'flops'; costly has parameters, seconds"):
        own.flops(a)
    plain = space(nodes=[2, 5])
    assert plain.cost_names == ("nodes",)
    assert plain.costs(plain.table([Architecture(["input", "a", "output"], np.eye(3, k=1, dtype=int))]), "nodes") == [1]


def test_network_of_ones_own():
    own = space(nodes=[2, 4], builder=lambda a, width: (len(a), width))
    loose = graph(["input", "b", "a", "output"], (0, 2), (2, 3))
    assert own.build(loose, width=7) == (3, 7)
    with pytest.raises(ValueError, match="does not say how to build"):
        space(nodes=3).build(loose)


def test_tables_of_other_widths_and_order():
    own = space(nodes=[2, 5])
    table = own.enumerate()
    other = ArchitectureTable.recode(table.replace_columns({}), own.vocabulary[::-1]).widen(30)
    assert np.array_equal(own.hash_many(own.validate_many(other)), table.columns["hash"])
    with pytest.raises(ValueError, match="too large to be listed"):
        space(nodes=[2, 100]).enumerate()
