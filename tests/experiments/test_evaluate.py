"""Measures of encodings: prediction and geometry, on vectors of which they are known, and by the command."""

import json

import numpy as np
import pytest

from cate_hf import get_space
from cate_hf.cli import main
from cate_hf.encodings import get_encoding, register_encoding
from cate_hf.experiments._geometry import effective_dimension, geometry, redraw
from cate_hf.experiments._prediction import NAMES, best, check_labels, fitting, measures, predict, split, to_target
from cate_hf.experiments.evaluate import EvaluateSettings, evaluate_encodings
from cate_hf.experiments.maps import draw_map, neighbour_map, principal_map
from cate_hf.spaces.custom.custom_space import CustomSpace

SPACE = get_space("nasbench201")


@pytest.fixture(scope="module")
def cells():
    return SPACE.pool()


def test_measures_by_hand():
    true = np.arange(300.0)
    assert measures(true, true) == pytest.approx({"kendall_tau": 1, "spearman": 1, "precision_at_k": 1})
    assert measures(-true, true) == pytest.approx({"kendall_tau": -1, "spearman": -1, "precision_at_k": 0})
    assert measures(np.zeros(300), true)["kendall_tau"] == 0
    top = true.copy()
    top[[297, 0]] = top[[0, 297]]  # one of the three best is taken for the worst
    assert measures(top, true)["precision_at_k"] == pytest.approx(2 / 3)


def test_the_sets_of_architectures_are_disjoint():
    development, rest = split(10_000, True)
    test, same = split(10_000, False)
    assert np.array_equal(rest, same)
    assert not set(development) & set(test)
    assert not set(rest) & (set(development) | set(test))
    assert len({*development, *test, *rest}) == 10_000
    with pytest.raises(ValueError, match="8,001 architectures are not enough"):
        split(8_001, False)


def test_numbers_of_architectures_fit_the_table():
    assert fitting(423_624, None, None) == (4000, (50, 150, 424))
    assert fitting(8_765, None, None) == (4000, (50, 150, 424))
    assert fitting(300, None, None) == (60, (50, 150))
    assert fitting(60, None, None) == (12, (18,))
    assert fitting(300, 100, (20,)) == (100, (20,))
    for count in range(9, 400):
        test_size, labels = fitting(count, None, None)
        check_labels(count, labels, 1, ["ridge"], test_size)
    with pytest.raises(ValueError, match="8 architectures are not enough: expected at least 9, 2 × 2 for tests and 5"):
        check_labels(8, (5,), 1, ["ridge"], 2)
    with pytest.raises(
        ValueError, match="300 architectures are not enough for 2 × 150 .*expected --test-size 2 to 147"
    ):
        check_labels(300, (50,), 1, ["ridge"], 150)
    with pytest.raises(ValueError, match="--seeds must be at least 1, not 0"):
        check_labels(300, (50,), 0, ["ridge"], 60)


def test_the_fewest_labels_are_enough_for_each_predictor():
    rng = np.random.default_rng(0)
    vectors, target = rng.normal(size=(9, 4)).astype(np.float32), rng.normal(size=9)
    assert set(predict(vectors, target, [5], 1, test_size=2)[5]) == set(NAMES)
    with pytest.raises(ValueError, match="--labels must be 5 to 5, what 9 architectures leave .*, not 4"):
        predict(vectors, target, [4], 1, test_size=2)


@pytest.mark.parametrize("name", NAMES)
def test_each_predictor_learns_what_has_a_small_spread(name):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(700, 8)).astype(np.float32)
    target = 5 + 0.02 * (vectors[:, 0] + 0.5 * vectors[:, 1])
    assert best(predict(vectors, target, [150], 1, names=[name], test_size=200)[150])[1] > 0.45


def test_what_is_linear_in_the_vectors_is_predicted():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(900, 5)).astype(np.float32)
    target = vectors @ np.array([1.0, -2.0, 0.5, 0.0, 3.0])
    found = predict(vectors, target, [20, 100], 2, names=["ridge", "knn"], test_size=200)
    name, mean, spread = best(found[100])
    assert name == "ridge"
    assert mean > 0.97
    assert spread < 0.05
    noise = predict(vectors, rng.normal(size=900), [100], 2, names=["ridge"], test_size=200)
    assert abs(best(noise[100])[1]) < 0.2
    assert predict(vectors, target, [20], 1, names=["ridge"], test_size=200)[20] == {
        "ridge": {k: v[:1] for k, v in found[20]["ridge"].items()}
    }
    with pytest.raises(ValueError, match="did you mean 'ridge'"):
        predict(vectors, target, [20], 1, names=["rigde"], test_size=200)
    with pytest.raises(ValueError, match="--labels must be 5 to 500"):
        predict(vectors, target, [501], 1, test_size=200)


def test_targets_keep_the_order():
    accuracy = np.array([0.1, 0.9, 0.94, 1.0])
    assert (np.diff(to_target(accuracy, "test_accuracy")) > 0).all()
    np.testing.assert_allclose(to_target(100 * accuracy, "test_accuracy"), to_target(accuracy, "test_accuracy"))
    assert to_target(accuracy, "latency_seconds") is accuracy


def test_geometry_of_vectors_that_are_known(cells):
    cells = cells[:1500]
    accuracy = np.random.default_rng(0).random(len(cells))
    line = np.column_stack([accuracy, np.zeros(len(cells))])
    found = geometry(SPACE, cells, line, accuracy)
    assert found["unique_share"] == pytest.approx(1, abs=0.01)
    assert found["effective_dimension"] == pytest.approx(1)
    assert found["distance_accuracy"] == pytest.approx(1, abs=1e-3)
    assert found["neighbour_accuracy_gap"] < 0.02
    assert np.isnan(found["drawing_distance"])
    path, adjacency = (get_encoding(name, SPACE) for name in ("path", "adjacency"))
    assert geometry(SPACE, cells, path.transform(cells), accuracy, path.transform)["drawing_distance"] == 0
    other = geometry(SPACE, cells, adjacency.transform(cells), accuracy, adjacency.transform)
    assert other["drawing_distance"] > 0.1
    assert other["edit_distance"] > 0.3
    assert other["neighbour_accuracy_gap"] == pytest.approx(1, abs=0.15)  # accuracies are random here


def test_geometry_in_a_space_without_a_window_of_its_own():
    costs = {"conv": {"parameters": 9}, "pool": {"parameters": 0}}
    space = CustomSpace(name="windowless", operations=costs, nodes=[2, 6], edges=[1, 8])
    cells = space.enumerate()[:400]
    found = geometry(space, cells, cells.columns["parameters"][:, None].astype(np.float32), np.arange(400.0))
    spread = cells.columns["parameters"].std()
    assert 0 <= found["equal_cost_distance"] < spread


def test_effective_dimension_and_map():
    rng = np.random.default_rng(0)
    assert effective_dimension(rng.normal(size=(20_000, 8))) == pytest.approx(8, abs=0.05)
    points, share = principal_map(rng.normal(size=(500, 3)) * [5, 1, 0.1])
    assert points.shape == (500, 2)
    assert share > 0.99
    assert principal_map(rng.normal(size=(50, 1)))[0].shape == (50, 2)


def test_redrawings_are_isomorphic(cells):
    rng = np.random.default_rng(0)
    drawn = 0
    for cell in cells[::200]:
        other = redraw(cell, 1, rng)
        assert other.is_isomorphic(cell)
        drawn += other != cell
    assert drawn > 5


@pytest.mark.long
def test_the_command(tmp_path, capsys):
    folder = tmp_path / "evaluation"
    command = ["evaluate", "--space", "nasbench201", "--labels", "30", "--seeds", "2", "--predictors", "ridge,knn"]
    command += ["--pool", "1200", "--test-size", "300", "--output", str(folder)]
    assert main([*command, "--encodings", "path"]) == 0
    first = (folder / "path.json").read_text()
    assert main([*command, "--encodings", "path,parameters"]) == 0
    assert (folder / "path.json").read_text() == first
    table = (folder / "table.md").read_text()
    assert table in capsys.readouterr().out
    assert table.count("| parameters |") == 5
    assert "Oracle: validation accuracy" in table
    numbers = json.loads(first)
    assert numbers["dim"] == 84
    assert len(numbers["prediction"]["30"]["ridge"]["kendall_tau"]) == 2
    for name in ("tau.png", "tau.svg", "map-path.png", "map-parameters.png"):
        assert (folder / name).stat().st_size > 1000
    assert main([*command, "--encodings", "path", "--map", "tsne"]) == 0
    assert (folder / "path.json").read_text() == first
    assert (folder / "map-tsne-path.png").stat().st_size > 1000
    command[command.index("30")] = "31"
    assert main([*command, "--encodings", "path"]) == 2
    assert "holds another evaluation: labels is [31] here and [30] there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--encodings", "pth"], "did you mean 'path'"),
        (["--encodings", " , "], "--encodings: expected names separated by commas"),
        (["--predictors", ""], "--predictors: expected names separated by commas"),
        (["--labels", "many"], "--labels must be numbers"),
        (["--labels", "9000"], "--labels must be 5 to 765"),
        (["--predictors", "rigde", "--encodings", "path"], "did you mean 'ridge'"),
        (["--field", "beauty"], "beauty"),
        (["--map", "tnse"], "did you mean 'tsne'"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, arguments, message):
    arguments = ["evaluate", "--space", "nasbench201", "--encodings", "path", *arguments]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_an_encoding_is_made_and_fitted_once(tmp_path):
    calls = []
    path = type(get_encoding("path", SPACE))

    class Counted(path):
        name, learned = "counted", True

        def __init__(self, space):
            calls.append("made")
            super().__init__(space)

        def fit(self, table, progress=False):
            calls.append("fitted")
            return self

    register_encoding("counted", Counted, replace=True)
    settings = EvaluateSettings("nasbench201", labels=(20,), seeds=1, predictors=("ridge",), pool=700, test_size=200)
    table = evaluate_encodings(tmp_path / "counted", settings, ["counted"])
    assert "| counted |" in table
    assert calls == ["made", "fitted"]
    with pytest.raises(ValueError, match="unknown encoding 'pth'; did you mean 'path'"):
        evaluate_encodings(tmp_path / "wrong", settings, ["counted", "pth"])
    assert calls == ["made", "fitted"]  # none is made before all names are known


def test_neighbours_stay_together_on_a_map(tmp_path, cells):
    rng = np.random.default_rng(0)
    centres = 20 * rng.normal(size=(3, 10))
    group = rng.integers(3, size=240)
    vectors = (centres[group] + rng.normal(size=(240, 10))).astype(np.float32)
    points = neighbour_map(vectors, "tsne")
    distances = np.linalg.norm(points[:, None] - points, axis=2) + np.diag(np.full(240, np.inf))
    assert (group[distances.argmin(axis=1)] == group).mean() > 0.98
    draw_map(tmp_path / "map.png", "three", vectors, cells[:240], rng.random(240), "test_accuracy", "tsne")
    assert (tmp_path / "map.png").stat().st_size > 1000


def test_a_map_whose_package_is_not_there_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    command = ["evaluate", "--space", "nasbench201", "--map", "umap", "--output", str(tmp_path / "out")]
    assert main(command) == 2
    assert "the map umap needs the package umap-learn: pip install 'cate_hf[umap]'" in capsys.readouterr().err
