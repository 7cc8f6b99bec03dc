import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networkx.algorithms.isomorphism import DiGraphMatcher, categorical_node_match

from cate_hf import Architecture, ArchitectureTable, get_space
from cate_hf.data.pairs import default_settings, make_pairs
from cate_hf.graphs import read_parquet, write_parquet
from cate_hf.spaces.nasbench201.cells import all_codes, isomorphism_classes, keys, texts
from cate_hf.spaces.nasbench201.costs import EDGES, OPERATIONS, costs
from cate_hf.spaces.nasbench201.notation import parse_cell
from tests.strategies import redrawings

SPACE = get_space("nasbench201")
BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
CODES = st.lists(st.integers(0, 4), min_size=6, max_size=6)


@pytest.fixture(scope="module")
def cells():
    return SPACE.enumerate()


@pytest.fixture(scope="module")
def graphs():
    return SPACE.pool()


def outputs(codes):
    """What each cell gives for one number, its operations being functions of numbers: none of them additive."""
    functions = [np.zeros_like, lambda x: x, np.sin, lambda x: x * x + 1, lambda x: np.exp(-x)]
    nodes = [np.full(len(codes), 0.7)]
    for target in (1, 2, 3):
        total = np.zeros(len(codes))
        for edge, (source, end) in enumerate(EDGES):
            if end == target:
                choices = np.stack([f(nodes[source]) for f in functions])
                # An operation on a node that nothing feeds gives nothing.
                total += np.where(fed(codes, source), choices[codes[:, edge], np.arange(len(codes))], 0)
        nodes.append(total)
    return nodes[3].round(9)


def fed(codes, node):
    if node == 0:
        return np.ones(len(codes), dtype=bool)
    edges = [(edge, source) for edge, (source, target) in enumerate(EDGES) if target == node]
    return np.any([(codes[:, edge] > 0) & fed(codes, source) for edge, source in edges], axis=0)


def test_every_cell_and_every_graph(cells, graphs):
    assert len(cells) == SPACE.size == 15_625
    assert sorted(cells.columns["code"]) == keys(all_codes()).tolist()
    assert (cells.columns["hash"][1:] >= cells.columns["hash"][:-1]).all()
    assert len(np.unique(cells.columns["hash"])) == len(graphs) == 8_765
    assert (graphs.columns["hash"][1:] > graphs.columns["hash"][:-1]).all()
    assert list(graphs.columns) == list(cells.columns)
    assert np.bincount(graphs.num_nodes).tolist() == [0, 0, 1, 4, 16, 128, 904, 3616, 4096]
    assert (cells.num_nodes == 2).sum() == 341
    assert cells.adjacency().sum((1, 2)).max() == SPACE.max_edges == 10
    assert cells.num_nodes.max() == SPACE.max_nodes


def test_isomorphism_classes_compute_the_same(cells):
    classes = cells.columns["isomorphism_class"]
    order = np.argsort(cells.columns["code"])
    assert len(np.unique(classes)) == 6_466
    _, first = np.unique(classes[order], return_index=True)
    assert (np.diff(first) > 0).all()  # numbered by their first cell
    codes = all_codes()
    computed = outputs(codes)
    for same in (classes[order], cells.columns["hash"][order]):
        _, first, inverse = np.unique(same, return_index=True, return_inverse=True)
        assert np.array_equal(computed[first][inverse], computed)
    assert len(np.unique(computed)) == 4_930  # more compute the same than the benchmark's classes say
    some = np.random.default_rng(0).choice(15_625, 100)
    chosen = isomorphism_classes(codes[some])
    assert np.array_equal(chosen[:, None] == chosen, classes[order][some][:, None] == classes[order][some])


def test_graphs_are_their_cells_without_dead_operations(cells, graphs):
    assert np.array_equal(SPACE.hash_many(graphs), graphs.columns["hash"])
    operations = np.array(
        [[OPERATIONS.index(name.split("~")[0]) for name in _names(t)] for t in graphs.columns["cell"]]
    )
    assert np.array_equal((operations > 0).sum(1), graphs.num_nodes - 2)
    for name, values in zip(("parameters", "flops"), costs(operations), strict=True):
        assert np.array_equal(graphs.columns[name], values)
        assert np.array_equal(SPACE.costs(graphs.replace_columns({}), name), values)
    # No cell of the graph has fewer operations, or as many and a lower code.
    rows = np.searchsorted(graphs.columns["hash"], cells.columns["hash"])
    assert (cells.columns["parameters"] >= graphs.columns["parameters"][rows]).all()
    minimal = (np.array([key.count("0") for key in _keys(cells)]) == 8 - graphs.num_nodes[rows].astype(int)).nonzero()[
        0
    ]
    lowest = np.full(len(graphs), 999_999)
    np.minimum.at(lowest, rows[minimal], cells.columns["code"][minimal])
    assert np.array_equal(lowest, graphs.columns["code"])


def _names(text):
    return text.replace("+", "").strip("|").replace("||", "|").split("|")


def _keys(table):
    return [f"{code:06}" for code in table.columns["code"].tolist()]


def test_the_published_best_cell():
    cell = SPACE.parse(BEST)
    assert cell == SPACE.parse("333132") == SPACE.cell(BEST) == SPACE.cell(f" {BEST}\n")
    assert SPACE.native(cell) == BEST
    assert SPACE.parameters(cell) == 1_073_466
    assert cell.operations[1:-1] == tuple(OPERATIONS[int(digit)] for digit in "333132")
    assert cell.edges == [(0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7)]
    assert SPACE.parse(SPACE.hash(cell)) == cell


def test_indices_of_the_benchmark(cells):
    """Those that its authors' own code checks, and those of the best cells."""
    known = {"421211": 0, "400103": 9, "442043": 123, "333132": 6111, "333133": 9930, "322133": 10676}
    index = dict(zip(_keys(cells), cells.columns["index"].tolist(), strict=True))
    assert {key: index[key] for key in known} == known
    assert sorted(index.values()) == list(range(15_625))


def test_dead_operations_and_cells_without_a_path():
    alone = Architecture(["input", "nor_conv_3x3", "output"], [[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert SPACE.cell("000300") == SPACE.cell("200300") == SPACE.cell("023340") == alone  # 2→3 is none
    assert SPACE.parameters(alone) == costs(np.array([[0, 0, 0, 3, 0, 0]]))[0]
    empty = Architecture(["input", "output"], [[0, 0], [0, 0]])
    dead = Architecture(["input", "nor_conv_3x3", "output"], [[0, 1, 0], [0, 0, 0], [0, 0, 0]])
    assert SPACE.cell("000000") == SPACE.cell("004033") == SPACE.validate(dead) == SPACE.validate(empty) == empty
    assert SPACE.is_valid(empty)
    assert SPACE.native(empty) == "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert SPACE.parameters(empty) == 73_306
    assert SPACE.hash(empty) == SPACE.hash(dead) != SPACE.hash(SPACE.cell("000100"))


@settings(deadline=None, max_examples=60)
@given(codes=CODES, data=st.data())
def test_any_drawing_of_a_cell_has_its_texts_and_hash(codes, data):
    text = texts(np.array([codes]))[0]
    assert parse_cell(text).tolist() == parse_cell("".join(map(str, codes))).tolist() == codes
    cell = SPACE.parse(text)
    assert SPACE.from_codes(np.array([codes]))[0] == cell
    drawn = data.draw(redrawings(cell))
    assert SPACE.hash(drawn) == SPACE.hash(cell)
    assert SPACE.native(drawn) == SPACE.native(cell)
    assert SPACE.cell(SPACE.native(cell)).is_isomorphic(cell)
    assert SPACE.parameters(drawn) == costs(SPACE.cell_codes(SPACE.native(cell))[None])[0]


def test_equal_hashes_are_isomorphic_graphs(cells):
    rng = np.random.default_rng(1)
    node_match = categorical_node_match("operation", None)
    order = np.argsort(cells.columns["code"])
    for row in rng.choice(15_625, 150):
        one = cells[int(order[row])]
        same = np.flatnonzero(cells.columns["hash"] == cells.columns["hash"][order[row]])
        close = order[[(row + step) % 15_625 for step in (1, 5, 25, 625)]]
        for other in {*rng.choice(same, 2).tolist(), *close.tolist()}:
            matcher = DiGraphMatcher(_networkx(one), _networkx(cells[other]), node_match)
            assert matcher.is_isomorphic() == (cells.columns["hash"][other] == cells.columns["hash"][order[row]])


def _networkx(cell):
    graph = nx.DiGraph(cell.edges)
    graph.add_nodes_from((node, {"operation": name}) for node, name in enumerate(cell.operations))
    return graph


@settings(deadline=None, max_examples=25)
@given(row=st.integers(0, 8_764))
def test_neighbours_are_one_operation_away_and_mutual(graphs, row):
    neighbours = SPACE.neighbours(graphs[row])
    hashes = neighbours.columns["hash"]
    assert len(np.unique(hashes)) == len(hashes) > 8
    assert graphs.columns["hash"][row] not in hashes
    assert np.array_equal(SPACE.hash_many(neighbours), hashes)
    codes = SPACE.cell_codes(graphs.columns["cell"][row])
    expected = set()
    for edge in range(6):
        for operation in set(range(5)) - {codes[edge]}:
            expected.add(SPACE.hash(SPACE.cell("".join(map(str, [*codes[:edge], operation, *codes[edge + 1 :]])))))
    assert expected - {SPACE.hash(graphs[row])} <= {str(hash_) for hash_ in hashes}
    back = SPACE.neighbours(neighbours[row % len(neighbours)])
    assert graphs.columns["hash"][row] in back.columns["hash"]


def test_samples_are_unique_graphs(graphs):
    sample = SPACE.sample(3_000, seed=3)
    assert len(np.unique(sample.columns["hash"])) == 3_000
    assert np.array_equal(sample.columns["code"], SPACE.sample(3_000, seed=3).columns["code"])
    assert (sample.num_nodes == 8).mean() == pytest.approx(4096 / 8765, abs=0.04)
    assert set(sample.columns["hash"]) <= set(graphs.columns["hash"])


def test_tables_go_through_files(tmp_path, cells):
    part = cells[::100]
    for packed in (True, False):
        write_parquet(part, tmp_path / f"{packed}.parquet", packed=packed)
        read = read_parquet(tmp_path / f"{packed}.parquet", SPACE.vocabulary)
        assert np.array_equal(read.operation_codes, part.operation_codes)
        for name, values in part.columns.items():
            assert np.array_equal(read.columns[name], values), name
    SPACE.check_hashes(part, "x")
    assert len(SPACE.validate_many(part)) == len(part)


def _chain(*operations):
    return Architecture(["input", *operations, "output"], np.eye(len(operations) + 2, k=1, dtype=int))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (_chain(*["nor_conv_3x3"] * 4), "no NAS-Bench-201 cell has this graph"),
        (_chain(*["nor_conv_3x3"] * 7), "9 nodes; a nasbench201 architecture has at most 8"),
        (_chain("none"), "node 1: unknown operation 'none', known are input, skip_connect"),
        (_chain("nor_conv_5x5"), "node 1: unknown operation 'nor_conv_5x5'"),
        (Architecture(["input", "output"], [[0, 1], [0, 0]]), "no NAS-Bench-201 cell has this graph"),
        (Architecture(["skip_connect", "output"], [[0, 1], [0, 0]]), "node 0: expected 'input'"),
    ],
)
def test_what_is_not_of_the_space_is_told_why(cell, message):
    assert not SPACE.is_valid(cell)
    for refused in (SPACE.validate, SPACE.native, SPACE.neighbours, SPACE.parameters):
        with pytest.raises(ValueError, match=message):
            refused(cell)
    with pytest.raises(ValueError, match=message if "unknown" in message else f"x, row 1: {message}"):
        SPACE.validate_many(ArchitectureTable.from_architectures([SPACE.cell("000000"), cell]), "x")


def test_tables_are_validated_row_by_row(graphs):
    dead = Architecture(
        ["input", "nor_conv_3x3", "skip_connect", "output"], [[0, 1, 1, 0], [0] * 4, [0, 0, 0, 1], [0] * 4]
    )
    table = SPACE.table([SPACE.cell("000000"), dead, graphs[7]])
    valid = SPACE.validate_many(table)
    assert [*valid] == [SPACE.cell("000000"), SPACE.cell("000100"), graphs[7]]
    with pytest.raises(ValueError, match="row 1: no NAS-Bench-201 cell has this graph"):
        SPACE.codes(SPACE.table([graphs[0], _chain(*["skip_connect"] * 4)]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BEST.replace("~2|", "~1|"), "edge 2→3: 'nor_conv_1x1~1', expected op~2"),
        (BEST.replace("skip", "jump"), "edge 0→3: unknown operation 'jump_connect', known are none, skip_connect"),
        (BEST[:-1], r"expected \|op~0\|\+\|op~0\|op~1\|\+\|op~0\|op~1\|op~2\|"),
        (BEST + "+|none~0|", r"expected \|op~0\|"),
        ("333135", "edge 2→3 has operation 5, expected 0 to 4"),
        ("33313", "'33313' is neither"),
    ],
)
def test_wrong_texts_are_refused_in_one_line(text, message):
    for refused in (SPACE.parse, SPACE.cell, SPACE.build):
        with pytest.raises(ValueError, match=message) as error:
            refused(text)
        assert "\n" not in str(error.value)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_mutated_texts_are_read_or_refused(data):
    text = [*texts(np.array([data.draw(CODES)]))[0]]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.text("|~+013_noe\n\0é", max_size=2))
    text = "".join(text) or "|"
    refusal = None
    try:
        codes = SPACE.cell_codes(text)
    except ValueError as error:
        refusal = str(error)
    if refusal is None:
        groups = ("".join(text.split())).split("+")  # spaces, and the order of the edges into a node, do not matter
        entries = (sorted(group.strip("|").split("|"), key=lambda entry: entry[-1]) for group in groups)
        assert texts(codes[None])[0] == "+".join(f"|{'|'.join(group)}|" for group in entries)
    else:
        assert len(refusal.splitlines()) == 1


@settings(deadline=None, max_examples=150)
@given(text=st.text(max_size=90))
def test_any_text_is_read_or_refused(text):
    try:
        SPACE.cell_codes(text)
    except ValueError:
        pass


@pytest.mark.parametrize("codes", [[[0, 1, 2, 3, 4]], [[0, 1, 2, 3, 4, 5]], [0, 1, 2, 3, 4, 4], [[0.5] * 6]])
def test_wrong_codes_are_refused(codes):
    for refused in (SPACE.from_codes, SPACE.graph_rows):
        with pytest.raises(ValueError, match="operations"):
            refused(np.array(codes))


def test_networks_of_cells_and_of_graphs():
    def count(network):
        return sum(parameter.numel() for parameter in network.parameters())

    settings_ = {"channels": 4, "cells": 1, "classes": 3}
    whole = costs(np.array([[0, 3, 3, 2, 0, 0]]), **settings_)[0]
    assert count(SPACE.build("033200", **settings_)) == whole
    live = costs(np.array([[0, 0, 0, 2, 0, 0]]), **settings_)[0]
    assert count(SPACE.build(SPACE.cell("033200"), **settings_)) == live < whole
    with pytest.raises(ValueError, match="neither the string of a nasbench201 cell"):
        SPACE.build("resnet")


def test_pairs_find_partners(graphs):
    chosen = default_settings("nasbench201")
    cost = SPACE.costs(graphs, chosen.cost)
    sorted_cost = np.sort(cost)
    within = np.searchsorted(sorted_cost, sorted_cost + chosen.window, "right") - np.searchsorted(
        sorted_cost, sorted_cost - chosen.window
    )
    assert (within <= 11).sum() == 1  # only the one graph of six 3×3 convolutions is far from all others
    pairs = make_pairs(cost, chosen.window, chosen.partners, chosen.seed)
    assert len(pairs) > 15 * len(graphs)
