"""Probes of encodings: made-up labels by hand, what finds them, the command, and cards."""

import csv
import json

import numpy as np
import pytest

from cate_hf import Architecture, get_space
from cate_hf.cli import main
from cate_hf.experiments.probe import ProbeSettings, linear_probes, made_up_labels, probe, read_probe
from cate_hf.graphs._node_order import canonical_wiring
from cate_hf.publishing.card_files import render_checkpoint_card
from cate_hf.spaces.custom.custom_space import CustomSpace
from tests.tiny import save_tiny

CHAIN = "name: chain-of-six\noperations: [a, b]\nnodes: 6\nedges: [7, 12]\nskeleton: chain\npool: 400\n"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("cate_hf.experiments.probe._PREDICTORS", ("ridge",))  # a process takes seconds a fit


@pytest.fixture(scope="module")
def space():
    return CustomSpace.from_definition(CHAIN)


@pytest.fixture(scope="module")
def table(space):
    return space.sample(700, seed=0)


@pytest.fixture(scope="module")
def drawing(space, table):
    return canonical_wiring(table, 1)


def slow_label(cell, kind, weights):
    """Of edges (L, L), of pairs (V, V) by name, or of paths by rotations {name: (S, S)}."""
    size = cell.num_nodes
    if kind == "edges":
        return sum(weights[i, j] for i in range(size) for j in range(size) if cell.adjacency[i, j])
    if kind == "pairs":
        reach = cell.closure()
        pairs = [(i, j) for i in range(size) for j in range(size) if reach[i, j]]
        return sum(weights[cell.operations[i], cell.operations[j]] for i, j in pairs)

    def onward(node, state):
        state = state @ weights[cell.operations[node]]
        if node == size - 1:
            return state[0]
        return sum(onward(after, state) for after in range(size) if cell.adjacency[node, after])

    start = np.eye(len(next(iter(weights.values()))))[0]
    return sum(onward(node, start) for node in range(size) if not cell.adjacency[:, node].any())


def test_made_up_labels_by_hand(space, table, drawing):
    names = space.vocabulary
    rng = np.random.default_rng([5, 0])
    weights = np.zeros((6, 6))
    weights[np.triu_indices(6, 1)] = rng.normal(size=15)
    expected = [slow_label(cell, "edges", weights) for cell in table[:30]]
    np.testing.assert_allclose(made_up_labels(table, drawing, space, "edges", 5)[:30], expected, atol=1e-6)
    rng = np.random.default_rng([5, 2])
    pairs = rng.normal(size=(4, 4)) / 4**0.5
    turns = np.linalg.qr(rng.normal(size=(4, 6, 6)))[0]
    expected = [slow_label(cell, "paths", dict(zip(names, turns, strict=True))) for cell in table[:30]]
    np.testing.assert_allclose(made_up_labels(table, drawing, space, "paths", 5)[:30], expected, atol=1e-6)
    pairs = np.random.default_rng([5, 3]).normal(size=(4, 4)) / 4**0.5
    by_name = {(a, b): pairs[i, j] for i, a in enumerate(names) for j, b in enumerate(names)}
    expected = [slow_label(cell, "pairs", by_name) for cell in table[:30]]
    np.testing.assert_allclose(made_up_labels(table, drawing, space, "pairs", 5)[:30], expected, atol=1e-6)


def test_labels_do_not_depend_on_the_drawing():
    space = get_space("nasbench101")
    first = [[0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    order = [0, 2, 1, 3, 4]
    names = ["input", "conv3x3-bn-relu", "maxpool3x3", "conv1x1-bn-relu", "output"]
    second = Architecture([names[i] for i in order], np.array(first)[np.ix_(order, order)])
    table = space.table([Architecture(names, first), second])
    drawing = canonical_wiring(table.widen(7), 1)
    for kind in ("edges", "operations", "paths", "pairs"):
        one, other = made_up_labels(table, drawing, space, kind, 0)
        assert one == pytest.approx(other)
        assert one != pytest.approx(made_up_labels(table, drawing, space, kind, 1)[0])


def test_the_drawing_itself_holds_all_that_is_additive_in_it(space, table, drawing):
    settings = ProbeSettings(space, labels=(150,), seeds=1, test_size=150)
    found = linear_probes(drawing, drawing, space, 150)
    assert found["operation_probe"] == found["edge_probe"] == 1
    assert found["operation_usual"] < 0.6
    assert 0.4 < found["edge_usual"] < 0.6
    noise = np.random.default_rng(0).normal(size=(len(table), 20))
    blind = linear_probes(noise, drawing, space, 150)
    assert blind["operation_probe"] < found["operation_usual"] + 0.1
    taus = {}
    for name, vectors in (("drawing", drawing), ("noise", noise)):
        measured = probe(vectors, table, drawing, settings)["kendall_tau"]
        taus[name] = {kind: np.mean(by["150"]) for kind, by in measured.items()}
    assert min(taus["drawing"]["edges"], taus["drawing"]["operations"]) > 0.95  # there are ties
    assert max(taus["noise"].values()) < 0.2


def test_the_command_and_the_card(tmp_path, capsys):
    (tmp_path / "chain.yaml").write_text(CHAIN)
    arguments = ["evaluate", "--space", str(tmp_path / "chain.yaml"), "--probe", "--output", str(tmp_path / "probes")]
    arguments += ["--labels", "20,60", "--seeds", "2", "--test-size", "100"]
    assert main([*arguments, "--encodings", "universal"]) == 0
    assert main([*arguments, "--encodings", "universal,structure"]) == 0
    found = read_probe(tmp_path / "probes")
    assert list(found["encodings"]) == ["universal", "structure"]
    text = (tmp_path / "probes" / "probe.md").read_text(encoding="utf-8")
    assert "| encoding | numbers | single edges @20 | single edges @60 |" in text
    assert text in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "probes" / "probe.csv").open(encoding="utf-8")))
    assert len(rows) == 2 * (4 * 2 + 2)
    first = found["encodings"]["universal"]["kendall_tau"]["edges"]["20"]
    assert float(rows[0]["value"]) == pytest.approx(np.mean(first))
    assert main([*arguments, "--seeds", "3"]) == 2
    assert "holds probes of other settings" in capsys.readouterr().err
    assert main([*arguments, "--benchmark", "x"]) == 2
    assert "--probe takes no --benchmark" in capsys.readouterr().err
    folder = save_tiny(tmp_path / "tiny")
    assert main(["card", str(folder), "--probe", str(tmp_path / "probes"), "--write"]) == 0
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "## What the encoding holds" in card
    assert f"| edges @20 | {np.mean(first):.3f} |" in card
    assert render_checkpoint_card(folder) == card  # the facts are kept
    (tmp_path / "probes" / "probe.json").write_text(json.dumps({"encodings": {"a": 1}}))
    with pytest.raises(ValueError, match="expected the result of `cate evaluate --probe`"):
        read_probe(tmp_path / "probes")
