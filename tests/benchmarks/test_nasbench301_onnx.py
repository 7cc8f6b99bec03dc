import json
import sys
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from cate_hf import load_benchmark
from cate_hf.benchmarks.nasbench301._base import NasBench301Warning
from cate_hf.search.run import SearchSettings, run_search
from cate_hf.spaces.darts.genotypes import CellPair
from tests import nasbench301_files as files
from tests.nasbench301_files import SPACE

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def surrogate(tmp_path_factory):
    return files.write_onnx(tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def bench(surrogate):
    return load_benchmark("nasbench301", path=surrogate)


def test_predictions_are_the_models(bench):
    pairs = files.sample_pairs(40, seed=0)
    expected = np.array([files.expected(pair) for pair in pairs])
    assert np.ptp(expected[:, 0]) > 0.05
    assert np.allclose(bench.query_many(pairs), expected[:, 0], rtol=1e-5)
    assert np.allclose(bench.query_many(pairs, "runtime_seconds"), expected[:, 1], rtol=1e-5)
    accuracy, seconds = files.expected(pairs[3], epoch=20)
    assert bench.query(pairs[3], epoch=20) == pytest.approx(
        {"validation_accuracy": accuracy, "runtime_seconds": seconds}, rel=1e-5
    )
    assert bench.query(pairs[3], "runtime_seconds", epoch=20) == pytest.approx(seconds, rel=1e-5)


def test_one_cell_is_both(bench):
    cells = SPACE.sample(30, seed=1)
    expected = [files.expected(CellPair(cell, cell))[0] for cell in cells]
    assert np.allclose(bench.query_many(cells), expected, rtol=1e-5)
    assert np.array_equal(bench.query_many(cells), bench.query_many(list(cells)))
    other = cells[::-1]
    expected = [files.expected(CellPair(*pair))[0] for pair in zip(cells, other, strict=True)]
    assert np.allclose(bench.query_many(cells, reduction=other), expected, rtol=1e-5)


def test_batches_give_what_rows_give(bench, monkeypatch):
    cells = SPACE.sample(50, seed=2)
    whole = bench.query_many(cells)
    monkeypatch.setattr("cate_hf.benchmarks.nasbench301._onnx_surrogate._BATCH", 7)
    assert np.allclose(bench.query_many(cells, progress=True), whole, rtol=1e-6)
    assert np.allclose([bench.query(cell, "validation_accuracy") for cell in cells], whole, rtol=1e-6)
    assert bench.query_many(cells[:0]).shape == (0,)


def test_a_surrogate_is_no_table(bench):
    assert not bench.tabular
    assert bench
    assert "ONNX surrogate (surrogate.onnx), 1 to 98 epochs" in repr(bench)
    assert "YAHPO" in bench.oracle("runtime_seconds")
    assert bench.default_field == "validation_accuracy"
    with pytest.raises(ValueError, match="which is the best is not known"):
        bench.best()
    with pytest.raises(ValueError, match="it has no rows"):
        bench.rows([])
    with pytest.raises(TypeError, match="no number of them"):
        len(bench)
    with pytest.raises(ValueError, match="has no field 'test_accuracy'; it has validation_accuracy, runtime_seconds"):
        bench.query(SPACE.sample(1, 0)[0], "test_accuracy")
    for epoch in (0, 99, 1.5, True, "98"):
        with pytest.raises(ValueError, match="epoch must be 1 to 98"):
            bench.query_many(SPACE.sample(1, 0), epoch=epoch)
    with pytest.raises(ValueError, match="accuracy_model and noise_seed are for"):
        load_benchmark("nasbench301", path=bench.path, accuracy_model="xgb")


def genotype(*operations: str):
    """A cell of these operations, its nodes reading both inputs."""
    return SPACE.from_genotype([(name, i % 2) for i, name in enumerate(operations)])


def test_unusual_cells_are_warned_of(bench):
    skip, convolution, pooling = "skip_connect", "sep_conv_3x3", "max_pool_3x3"
    usual = genotype(*[skip] * 5, *[convolution] * 3)
    skips = genotype(*[skip] * 6, *[convolution] * 2)
    pools = genotype(*[pooling] * 7, convolution)
    convolutions = genotype(*[convolution] * 8)
    pairs = [
        CellPair(usual, usual),
        CellPair(skips, convolutions),
        CellPair(convolutions, skips),
        CellPair(pools, pools),
        CellPair(pools, convolutions),
        CellPair(usual, genotype(*[pooling] * 8)),
    ]
    assert bench.reliable_many(pairs).tolist() == [True, False, False, False, True, True]
    assert bench.check_best(pairs[0]) is None
    assert "6 of the 8 operations of its normal cell are skip_connect" in bench.check_best(pairs[1])
    assert "6 of the 8 operations of its reduction cell are skip_connect" in bench.check_best(pairs[2])
    assert "14 of the 16 operations of its cells have no parameters" in bench.check_best(pairs[3])
    fresh = load_benchmark("nasbench301", path=bench.path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh.query(usual)
    with pytest.warns(NasBench301Warning, match="not reliable"):
        fresh.query(skips)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh.query(skips)  # once is enough


def test_a_search_says_that_its_best_is_unusual(bench):
    cells = SPACE.table([genotype(*["skip_connect"] * n, *["sep_conv_3x3"] * (8 - n)) for n in range(9)])
    cells = SPACE.with_costs(cells)
    result = run_search(SearchSettings("darts", "random", 9, 1), bench, candidates=cells)
    trial = result["trials"][0]
    values = bench.query_many(cells)
    assert trial["best_so_far"][-1] == values.max()
    assert (trial["warning"] is None) == (values.argmax() < 6)
    most = run_search(SearchSettings("darts", "random", 1, 1), bench, candidates=cells[8:])
    assert "skip_connect" in most["trials"][0]["warning"]
    assert most["best_possible"] is None


def no_encoding(folder):
    (folder / "surrogate_encoding.json").unlink()


def change_encoding(change):
    def apply(folder):
        encoding = files.encoding()
        encoding = change(encoding) or encoding
        (folder / "surrogate_encoding.json").write_text(json.dumps(encoding))

    return apply


def replace(content):
    return lambda folder: (folder / "surrogate.onnx").write_bytes(content)


def model(**options):
    return lambda folder: files.write_onnx(folder, files.onnx_model(**options))


EDGE = files.PREFIX + "edge_reduce_13"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_encoding, "needs its encoding beside it, surrogate_encoding.json"),
        (lambda f: (f / "surrogate_encoding.json").write_text("{"), "surrogate_encoding.json: not valid JSON"),
        (lambda f: (f / "surrogate_encoding.json").write_bytes(b"\xff\xfe{"), "not valid JSON"),
        (change_encoding(lambda e: [1]), "expected an object of hyperparameters, got list"),
        (change_encoding(lambda e: e.pop(EDGE) and None), f"{EDGE} has no code 0 to 255 for '#na#'"),
        (change_encoding(lambda e: e[EDGE].pop("avg_pool_3x3") and None), f"{EDGE} has no code .* 'avg_pool_3x3'"),
        (change_encoding(lambda e: e[EDGE].update(skip_connect="7")), "has no code 0 to 255 for 'skip_connect'"),
        (replace(b""), "not an ONNX model"),
        (replace(b"\x00 nothing of the kind"), "cannot be read as ONNX"),
        (model(categories=33), r"expected inputs x_cat \(batch, 34\) int32, x_cont \(batch, 1\) float"),
        (model(outputs=3), r"not the NAS-Bench-301 surrogate: .* an output \(batch, 2\)"),
        (model(mean=True), "in a batch, a genotype scores another value"),
        (model(external=True), "keeps its weights in other files"),
        (model(scale=(1000.0, 1.0)), "its first output is not accuracies in percent"),
        (model(scale=(0.0, 1.0)), "its first output is not accuracies in percent"),
        (model(scale=(np.nan, 1.0)), "its output is not two finite numbers a genotype"),
    ],
)
def test_bad_models_are_refused_in_one_line(tmp_path, spoil, message, capfd):
    files.write_onnx(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        load_benchmark("nasbench301", path=tmp_path / "surrogate.onnx")
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_codes_that_the_model_does_not_know_are_found_when_it_is_loaded(tmp_path, nasbench301_folder):
    path = tmp_path / "surrogate.onnx"
    path.write_bytes((nasbench301_folder / "surrogate.onnx").read_bytes())
    encoding = json.loads((nasbench301_folder / "surrogate_encoding.json").read_bytes())
    encoding[EDGE]["skip_connect"] = 8
    (tmp_path / "surrogate_encoding.json").write_text(json.dumps(encoding))
    with pytest.raises(ValueError, match="cannot be run with the codes of surrogate_encoding.json"):
        load_benchmark("nasbench301", path=path)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(surrogate, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=r"needs the packages onnx and onnxruntime: pip install 'cate_hf\[nb301\]'"):
        load_benchmark("nasbench301", path=surrogate)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_models_give_one_line(surrogate, tmp_path, data):
    content = bytearray(surrogate.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    files.write_onnx(tmp_path)
    (tmp_path / "surrogate.onnx").write_bytes(content)
    bench, message = files.outcome(lambda: load_benchmark("nasbench301", path=tmp_path / "surrogate.onnx"))
    if message is None:
        assert bench.query_many(SPACE.sample(3, 0)).shape == (3,)
    else:
        assert "surrogate" in message
        assert "\n" not in message


def test_the_published_surrogate(nasbench301_folder):
    labels = load_benchmark("nasbench301", path=nasbench301_folder / "labels.parquet")
    bench = load_benchmark("nasbench301", path=nasbench301_folder / "surrogate.onnx")
    pairs = labels.candidates()
    accuracies, known = bench.query_many(pairs), labels.query_many(pairs)
    assert spearmanr(accuracies, known).statistic == pytest.approx(0.909, abs=5e-4)
    assert np.mean(accuracies - known) == pytest.approx(0.013, abs=5e-4)
    seconds, known = (b.query_many(pairs, "runtime_seconds") for b in (bench, labels))
    assert spearmanr(seconds, known).statistic > 0.95
    # All of its 34 inputs, one architecture at a time, worked out from the configuration.
    import onnxruntime

    published = json.loads((nasbench301_folder / "surrogate_encoding.json").read_bytes())
    assert published == files.encoding()
    session = onnxruntime.InferenceSession(str(nasbench301_folder / "surrogate.onnx"))
    for row in range(0, 10_000, 500):
        settings = {name.rpartition(":")[2]: value for name, value in SPACE.configuration(pairs[row]).items()}
        codes = [published[files.PREFIX + name][settings.get(name, "#na#")] for name in files.hyperparameters()]
        inputs = {"x_cat": np.array([codes], dtype=np.int32), "x_cont": np.array([[98]], dtype=np.float32)}
        assert accuracies[row] == pytest.approx(session.run(None, inputs)[0][0, 0] / 100, abs=1e-6)
    # What the warning is about: a cell of nothing but skip_connect is rated above the mean of random cells.
    cells = SPACE.sample(2000, seed=0)
    skips = SPACE.from_genotype([("skip_connect", i % 2) for i in range(8)])
    assert bench.query_many([skips])[0] > bench.query_many(cells).mean()
