import collections
import json
import os
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cate_hf import load_benchmark
from cate_hf.benchmarks.nasbench301._ensembles import noise
from cate_hf.benchmarks.nasbench301._features import vectors
from cate_hf.benchmarks.nasbench301._pickles import read_booster
from cate_hf.benchmarks.nasbench301._treelite import read_boosters
from cate_hf.spaces.darts.genotypes import OPERATIONS
from cate_hf.spaces.darts.pairs import read_cells
from tests import nasbench301_files as files
from tests.nasbench301_files import SPACE

pytest.importorskip("treelite", reason="the ensembles are read by treelite, of the extra nb301")

PAIRS = files.sample_pairs(80, seed=5)
ROWS = vectors(read_cells(SPACE, PAIRS))


def predict(data: bytes, rows: np.ndarray, package: str = "xgboost", trees: int = 0) -> np.ndarray:
    """(N,) what a model predicts."""
    (booster,) = read_boosters([(Path("model"), data, trees)], package, 56)
    return booster.predict(rows)


def test_vectors_are_those_of_the_configuration():
    """Every hyperparameter in its place: the names that are always there sorted, then the edges that may be absent."""
    prefix = "NetworkSelectorDatasetInfo:darts:"
    cells = ("normal", "reduce")
    always = [f"edge_{cell}_{edge}" for cell in cells for edge in (0, 1)]
    places = dict(zip(always, range(10, 14), strict=True))
    nodes = [f"inputs_node_{cell}_{node}" for cell in cells for node in (3, 4, 5)]
    places |= dict(zip(nodes, range(15, 21), strict=True))
    sometimes = sorted(f"edge_{cell}_{edge}" for cell in cells for edge in range(2, 14))
    places |= dict(zip(sometimes, range(32, 56), strict=True))
    for pair, row in zip(PAIRS, ROWS, strict=True):
        settings = SPACE.configuration(pair)
        for name, place in places.items():
            value = settings.get(prefix + name)
            if value is None:
                expected = -1
            elif name.startswith("edge"):
                expected = OPERATIONS.index(value)
            else:
                expected = sorted(f"{i}_{j}" for j in range(int(name[-1])) for i in range(j)).index(value)
            assert row[place] == expected, name
    rest = np.setdiff1d(np.arange(56), list(places.values()))
    assert (ROWS[:, rest] == ROWS[0, rest]).all()
    assert np.allclose(ROWS[0, [24, 26]], np.log([0.025, 0.0003]))  # learning rate and weight decay, in logarithms


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A release with an ensemble of each kind of tree: its folder, and what each should predict."""
    folder = tmp_path_factory.mktemp("models") / "nb_models_1.0"
    accuracies, runtimes = [], []
    for seed in range(4):
        trees = files.random_trees(6, seed)
        data = files.xgboost_binary(trees) if seed % 2 else json.dumps(files.xgboost_document(trees)).encode()
        state = {"handle": bytearray(data), "feature_names": None, "best_iteration": 2, "best_score": 0.5}
        files.write_member(folder / "xgb_v1.0" / str(seed), files.pickled("xgboost.core", state), "xgb")
        accuracies.append(files.sum_of_trees(trees, ROWS))
        trees = files.random_trees(6, 10 + seed)
        score = collections.defaultdict(collections.OrderedDict, {"valid_0": {"rmse": np.float64(3.5)}})
        state = {"handle": files.lightgbm_text(trees), "best_iteration": 5 * (seed % 2), "best_score": score}
        files.write_member(folder / "lgb_runtime_v1.0" / str(seed), files.pickled("lightgbm.basic", state), "lgb_time")
        runtimes.append(files.sum_of_trees(trees[:5] if seed % 2 else trees, ROWS, base=0.0))
    return folder, np.array(accuracies), np.array(runtimes)


def test_means_over_the_members(release):
    folder, accuracies, runtimes = release
    bench = load_benchmark("nasbench301", path=folder)
    assert bench.fields == ["validation_accuracy", "runtime_seconds"]
    assert "validation_accuracy by 4 XGBoost models (xgb_v1.0)" in repr(bench)
    assert bench.oracle("runtime_seconds") == "seconds of training: mean of 4 LightGBM models (lgb_runtime_v1.0)"
    assert np.allclose(bench.query_many(PAIRS), accuracies.mean(axis=0) / 100, rtol=1e-6)
    assert np.allclose(bench.query_many(PAIRS, "runtime_seconds"), runtimes.mean(axis=0), rtol=1e-5)
    assert bench.query(PAIRS[0])["runtime_seconds"] == pytest.approx(runtimes[:, 0].mean(), rel=1e-5)
    _, spread = bench.ensembles["validation_accuracy"].predict(read_cells(SPACE, PAIRS))
    assert np.allclose(spread, accuracies.std(axis=0), rtol=1e-5)
    with pytest.raises(ValueError, match="epoch is for the ONNX surrogate"):
        bench.query_many(PAIRS, epoch=50)
    one = load_benchmark("nasbench301", path=folder / "xgb_v1.0")
    assert one.fields == ["validation_accuracy"]
    assert np.array_equal(one.query_many(PAIRS), bench.query_many(PAIRS))
    single = load_benchmark("nasbench301", path=folder / "lgb_runtime_v1.0" / "2")
    assert single.fields == ["runtime_seconds"]
    assert np.allclose(single.query_many(PAIRS, "runtime_seconds"), runtimes[2], rtol=1e-5)


def test_noise_is_the_members_spread_and_the_same_every_time(release):
    folder, accuracies, _ = release
    noisy = load_benchmark("nasbench301", path=folder, noise_seed=7)
    values = noisy.query_many(PAIRS)
    expected = accuracies.mean(axis=0) + accuracies.std(axis=0) * noise(read_cells(SPACE, PAIRS), 14)
    assert np.allclose(values, expected / 100, rtol=1e-5)
    assert np.array_equal(noisy.query_many(PAIRS[::-1])[::-1], values)
    assert noisy.query(PAIRS[3], "validation_accuracy") == values[3]
    assert "noise seed 7" in repr(noisy)
    assert "with noise of their spread (seed 7)" in noisy.oracle("validation_accuracy")
    assert not np.allclose(load_benchmark("nasbench301", path=folder, noise_seed=8).query_many(PAIRS), values)
    numbers = noise(read_cells(SPACE, SPACE.sample(4000, seed=0)), 3)
    assert abs(numbers.mean()) < 0.06
    assert abs(numbers.std() - 1) < 0.05
    assert abs(np.mean(np.abs(numbers) < 1) - 0.683) < 0.03
    for seed in (-1, 2**31, 1.0, True):
        with pytest.raises(ValueError, match="noise_seed must be None or 0 to"):
            load_benchmark("nasbench301", path=folder, noise_seed=seed)


@pytest.mark.parametrize("version", ["0.90", "1.0", "1.2", "json"])
def test_forms_of_xgboost_models(version):
    trees = files.random_trees(5, 1)
    if version == "json":
        data = json.dumps(files.xgboost_document(trees)).encode()
    else:
        data = files.xgboost_binary(trees, version=version)
    rows = np.random.default_rng(0).normal(0, 2, (50, 56))
    # Thresholds themselves among the numbers: a row goes left below them only.
    rows[:20] = np.random.default_rng(1).choice(trees[0]["split_conditions"], (20, 56))
    assert np.array_equal(predict(data, rows), files.sum_of_trees(trees, rows))


def test_nodes_that_pruning_deleted_are_left_out():
    tree = {
        "left_children": [3, -1, -1, -1, -1],
        "right_children": [4, -1, -1, -1, -1],
        "split_indices": [10, 0xFFFFFFFF, 0xFFFFFFFF, 0, 0],
        "split_conditions": [2.5, 7.0, 7.0, 1.0, -1.0],
    }
    for data in (files.xgboost_binary([tree]), json.dumps(files.xgboost_document([tree])).encode()):
        assert predict(data, ROWS).tolist() == [1.5 if row[10] < 2.5 else -0.5 for row in ROWS]


def learnt(rows):
    return 90 + 0.3 * rows[:, 10] - 0.2 * rows[:, 40] + 0.1 * rows[:, 16]


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_boosters_that_xgboost_trained_and_pickled(tmp_path, protocol):
    xgboost = pytest.importorskip("xgboost")
    rows = vectors(read_cells(SPACE, SPACE.sample(400, seed=1), SPACE.sample(400, seed=2)))
    config = {"max_depth": 5, "objective": "reg:squarederror", "eval_metric": "rmse", "booster": "gbtree", "alpha": 0.1}
    expected = []
    for seed in range(2):
        data = xgboost.DMatrix(rows, label=learnt(rows) + np.random.default_rng(seed).normal(0, 0.1, len(rows)))
        booster = xgboost.train({**config, "seed": seed, "gamma": 0.1 * seed, "nthread": 1}, data, 15)
        files.write_member(tmp_path / "xgb" / str(seed), pickle.dumps(booster, protocol), "xgb")
        expected.append(booster.predict(xgboost.DMatrix(ROWS)))
        # The same model in the form of XGBoost 1.3 to 2.0.
        document = {"Model": json.loads(bytes(booster.save_raw("json"))), "Config": {}}
        assert np.array_equal(predict(json.dumps(document).encode(), ROWS), expected[-1])
    assert np.ptp(expected[0]) > 0.5
    bench = load_benchmark("nasbench301", path=tmp_path / "xgb")
    assert np.allclose(bench.query_many(PAIRS), np.mean(expected, axis=0) / 100, rtol=1e-6)
    trusted = load_benchmark("nasbench301", path=tmp_path / "xgb", trust_pickle=True)
    assert np.allclose(trusted.query_many(PAIRS), bench.query_many(PAIRS), rtol=1e-6)


def test_boosters_that_lightgbm_trained_and_pickled(tmp_path):
    lightgbm = pytest.importorskip("lightgbm")
    rows = vectors(read_cells(SPACE, SPACE.sample(400, seed=1), SPACE.sample(400, seed=2)))
    config = {"objective": "regression", "metric": "rmse", "num_leaves": 12, "verbose": -1, "num_threads": 1}
    expected = []
    for seed in range(2):
        noisy = 100 * learnt(rows) + np.random.default_rng(seed).normal(0, 20, len(rows))
        train, test = lightgbm.Dataset(rows[:300], noisy[:300]), lightgbm.Dataset(rows[300:], noisy[300:])
        stop = [lightgbm.early_stopping(3, verbose=False)]
        booster = lightgbm.train({**config, "seed": seed}, train, 200, valid_sets=[test], callbacks=stop)
        assert 0 < booster.best_iteration < 200
        files.write_member(tmp_path / "lgb" / str(seed), pickle.dumps(booster), "lgb_time")
        expected.append(booster.predict(ROWS))
    assert np.ptp(expected[0]) > 50
    bench = load_benchmark("nasbench301", path=tmp_path / "lgb")
    assert np.allclose(bench.query_many(PAIRS, "runtime_seconds"), np.mean(expected, axis=0), rtol=1e-9)
    trusted = load_benchmark("nasbench301", path=tmp_path / "lgb", trust_pickle=True)
    assert np.allclose(trusted.query_many(PAIRS, "runtime_seconds"), np.mean(expected, axis=0), rtol=1e-9)


class RunsCode:
    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_code_in_a_pickle_is_never_run(tmp_path):
    proof = tmp_path / "proof"
    evil = RunsCode()
    RunsCode.folder = str(proof)
    inside = files.pickled("xgboost.core", {"handle": bytearray(b"binf"), "best_score": evil})
    for number, content in enumerate((pickle.dumps(evil), inside)):
        file = files.write_member(tmp_path / f"xgb{number}", content, "xgb")
        with pytest.raises(ValueError, match="it asks for posix.mkdir, which could run code; if you trust") as error:
            load_benchmark("nasbench301", path=file.parent)
        assert str(file) in str(error.value)
        assert "trust_pickle=True (--trust-pickle)" in str(error.value)
        assert "\n" not in str(error.value)
        assert not proof.exists()
    with pytest.raises(ValueError, match="expected an XGBoost or LightGBM booster"):
        load_benchmark("nasbench301", path=tmp_path / "xgb0", trust_pickle=True)
    assert proof.exists()  # so it would have run


def test_trusting_needs_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    monkeypatch.delitem(sys.modules, "xgboost.core", raising=False)
    file = files.write_member(tmp_path / "m", files.pickled("xgboost.core", {"handle": bytearray(b"")}), "xgb")
    with pytest.raises(ValueError, match=r"unpickling needs xgboost.*: pip install xgboost"):
        load_benchmark("nasbench301", path=file.parent, trust_pickle=True)


TREES = files.random_trees(2, 0)


def xgb(data):
    return files.pickled("xgboost.core", {"handle": bytearray(data)})


def document(*keys, value, **options):
    """A JSON model with one thing changed."""
    content = files.xgboost_document(files.random_trees(2, 0), **options)
    place = content["Model"]["learner"]
    for key in keys[:-1]:
        place = place[key]
    if keys:
        place[keys[-1]] = value
    return xgb(json.dumps(content).encode())


FOREST = ("gradient_booster", "model", "trees")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a pickled booster"),
        (b"not a pickle", "not a pickled booster"),
        (xgb(files.xgboost_binary(TREES))[:-40], "not a pickled booster"),
        (pickle.dumps([1, 2]), "a pickle, but not of an XGBoost or LightGBM booster"),
        (files.pickled("xgboost.core", {"best_score": 1.0}), "a pickled booster without a model in it"),
        (files.pickled("xgboost.core", {"handle": "text"}), "a pickled booster without a model in it"),
        (files.pickled("sklearn.svm", {}), "it asks for sklearn.svm.Booster, which could run code"),
        (b"\x80\x04K\x01r\xff\xff\xff\x7f.", "numbers its memory up to"),
        (files.pickled("lightgbm.basic", {"handle": files.lightgbm_text(TREES)}), "a booster of lightgbm; its model_c"),
        (xgb(files.xgboost_binary(TREES)[:900]), "Ill-formed XGBoost model file"),
        (xgb(files.xgboost_binary(TREES, features=8)), "split_index must be less than num_feature .8.*; if you trust"),
        (xgb(files.xgboost_binary(TREES, features=60)), "a model of 60 features, expected 56; if you trust"),
        (xgb(files.xgboost_binary(TREES, objective="multi:softmax")), "model of 1 outputs through 'softmax'"),
        (xgb(files.xgboost_binary([])), "it has no trees"),
        (xgb(b"\0" * 400), "Gradient booster must be gbtree or dart"),
        (xgb(b"\xff" * 400), "treelite cannot read it"),
        (xgb(b'{"Model": '), "could not be parsed as XGBoost model"),
        (xgb(b'{"Model": 1}'), "could not be parsed as XGBoost model"),
        (xgb(b"{L\0"), "treelite cannot read it .*ubjson"),
        (document(value=None, booster="gblinear"), "treelite cannot read it"),
        (document("learner_model_param", "num_class", value="3"), "a model of 3 outputs"),
        (document("learner_model_param", "base_score", value="nan"), "its base score is nan"),
        (document("learner_model_param", value={}), "treelite cannot read it .*base_score"),
        (document(value=None, split_type=[1]), "could not be parsed as XGBoost model"),
        (document(*FOREST, 1, "left_children", value=[0] * 27), "could not be parsed as XGBoost model"),
        (document(*FOREST, 1, "left_children", 0, value=0), "treelite cannot read it .*used by a child node"),
        (document(*FOREST, 0, "right_children", 0, value=99), "treelite cannot read it .*Node with key 99 not found"),
        (document(*FOREST, 0, "right_children", 0, value=-1), "treelite cannot read it .*cannot be negative"),
        (document(*FOREST, 0, "split_indices", 0, value=56), "tree 0: looks at a feature above 55"),
        (document(*FOREST, 0, "split_indices", value=["a"] * 17), "could not be parsed as XGBoost model"),
        (document(*FOREST, 0, "split_conditions", 0, value=float("nan")), "tree 0: has numbers that are not finite"),
    ],
)
def test_bad_boosters_are_refused_in_one_line(tmp_path, content, message):
    file = files.write_member(tmp_path / "xgb", content, "xgb")
    with pytest.raises(ValueError, match=message) as error:
        load_benchmark("nasbench301", path=tmp_path)
    assert "\n" not in str(error.value)
    assert str(file) in str(error.value)


TEXT = files.lightgbm_text(TREES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not the text of a LightGBM model"),
        (TEXT[:-300], "its text ends before the last tree"),
        (files.lightgbm_text(TREES, num_class=3), "treelite cannot read it .*multiclass"),
        (files.lightgbm_text(TREES, objective="binary sigmoid:1"), "a model of 1 outputs through 'sigmoid'"),
        (files.lightgbm_text(TREES, features=60), "a model of 60 features, expected 56"),
        (TEXT.replace("decision_type=2", "decision_type=1"), "treelite cannot read it"),
        (TEXT.replace("decision_type=2", "decision_type=6"), "tree 0: takes 0 for missing"),
        (TEXT.replace("num_cat=0", "num_cat=1"), "treelite cannot read it .*cat_boundaries"),
        (TEXT.replace("threshold=", "threshold=1.0 "), "tree 0: threshold has 9 numbers, expected 8"),
        (TEXT.replace("left_child=", "left_child=x", 1), "invalid literal for int.*'x"),
        (TEXT.replace("leaf_value", "leaf_val", 1), "tree 0: leaf_value has 0 numbers"),
        (
            re.sub("right_child=-?[0-9]+", "right_child=-10", TEXT),
            "tree 0: a child is not a later node of the tree, nor a leaf",
        ),
        (re.sub("right_child=-?[0-9]+", "right_child=0", TEXT), "tree 0: a child is not a later node"),
    ],
)
def test_bad_texts_are_refused_in_one_line(tmp_path, text, message):
    content = files.pickled("lightgbm.basic", {"handle": text, "best_iteration": -1})
    files.write_member(tmp_path / "lgb", content, "lgb_time")
    with pytest.raises(ValueError, match=message) as error:
        load_benchmark("nasbench301", path=tmp_path)
    assert "\n" not in str(error.value)


def test_lightgbm_text_as_it_is_read():
    assert predict(TEXT.encode(), ROWS, "lightgbm") == pytest.approx(files.sum_of_trees(TREES, ROWS, 0.0), abs=1e-5)
    alone = files.lightgbm_text(
        [{"left_children": [-1], "right_children": [-1], "split_indices": [0], "split_conditions": [3.25]}]
    )
    assert predict(alone.encode(), ROWS[:2], "lightgbm").tolist() == [3.25, 3.25]
    with pytest.raises(ValueError, match="its best iteration is 3, it has 2 trees"):
        predict(TEXT.encode(), ROWS, "lightgbm", trees=3)


def no_config(folder):
    (folder / "xgb" / "0" / "model_config.json").unlink()


def config(**values):
    return lambda folder: (folder / "xgb" / "0" / "model_config.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "xgb" / "0" / "surrogate_model.model").unlink(), "no ensemble of NAS-Bench-301 in it"),
        (no_config, "no model_config.json beside it"),
        (lambda f: (f / "xgb" / "0" / "model_config.json").write_text("{"), "model_config.json: not valid JSON"),
        (lambda f: (f / "xgb" / "0" / "model_config.json").write_text("[]"), "expected an object, got list"),
        (config(), "a model 'None'; known are xgb, lgb, xgb_time, lgb_time"),
        (config(model=["xgb"]), "a model .*; known are"),
        (config(model="svr"), "a model 'svr'; known are"),
        (config(model="gnn_gin"), "an ensemble of graph networks \\(gnn_gin\\), which is not read here"),
        (config(model="xgb", **{"param:bananas_enc": True}), "trained on path encodings"),
    ],
)
def test_bad_folders_are_refused_in_one_line(tmp_path, spoil, message):
    files.write_member(tmp_path / "xgb" / "0", xgb(files.xgboost_binary(TREES)), "xgb")
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        load_benchmark("nasbench301", path=tmp_path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_which_ensemble_is_meant(tmp_path, release):
    for version in ("0.9", "1.0"):
        for seed in range(2):
            folder = tmp_path / f"xgb_v{version}" / str(seed)
            files.write_member(folder, xgb(files.xgboost_binary(TREES)), "xgb")
    with pytest.raises(ValueError, match="xgb models in xgb_v0.9 and xgb_v1.0; give the folder of one release"):
        load_benchmark("nasbench301", path=tmp_path)
    with pytest.raises(ValueError, match="no ensemble 'gnn_gin'; it has lgb_time, xgb"):
        load_benchmark("nasbench301", path=release[0], accuracy_model="gnn_gin")
    with pytest.raises(ValueError, match="surrogate_model.model: a member of an ensemble; give the folder"):
        load_benchmark("nasbench301", path=tmp_path / "xgb_v1.0" / "0" / "surrogate_model.model")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "surrogate.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match="no ensemble .*; give one of its files, surrogate.onnx"):
        load_benchmark("nasbench301", path=tmp_path / "empty")


def mutated(data, content: bytes) -> bytes:
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at : at + 4] = data.draw(st.sampled_from([b"\xff" * 4, b"\0" * 4, b"", b"\x7f\xff\xff\xff"]))
        else:
            content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        content = content or bytearray(b"\0")
    return bytes(content)


BINARY = files.xgboost_binary(TREES)
JSON = json.dumps(files.xgboost_document(TREES)).encode()
PICKLES = [
    xgb(BINARY),
    pickle.dumps(collections.OrderedDict(a=1)),
    files.pickled("lightgbm.basic", {"handle": TEXT, "best_score": collections.defaultdict(dict, a=np.float64(1))}),
]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_pickles_give_one_line(tmp_path, data):
    path = tmp_path / "surrogate_model.model"
    path.write_bytes(mutated(data, data.draw(st.sampled_from(PICKLES))))
    _, message = files.outcome(lambda: read_booster(path))
    assert message is None or ("surrogate_model.model" in message and "\n" not in message)


@settings(deadline=None, max_examples=15)  # each takes a process
@given(data=st.data())
def test_damaged_models_give_one_line(data):
    form = data.draw(st.sampled_from([BINARY, JSON, TEXT.encode()]))
    content = mutated(data, form)

    package = "lightgbm" if form == TEXT.encode() else "xgboost"
    sums, message = files.outcome(lambda: predict(content, ROWS[:2], package))
    assert sums.shape == (2,) if message is None else "\n" not in message
