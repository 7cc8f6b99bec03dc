"""NAS-Bench-101 with every run: queries by epochs and run, simulated time, and the published numbers."""

import numpy as np
import pytest

from cate_hf import get_space, load_benchmark
from cate_hf.benchmarks.nasbench101._records import FIELDS
from cate_hf.benchmarks.nasbench101._run_results import RunResults
from tests import nasbench101_file as file

SPACE = get_space("nasbench101")
CELLS = SPACE.sample(50, seed=1)
HASHES = CELLS.columns["hash"].tolist()


@pytest.fixture
def bench(published, cache):
    return load_benchmark("nasbench101", path=published, seed=7)


def test_queries_by_epochs_and_run(bench, runs):
    assert bench.epochs == [4, 108]
    for field in FIELDS:
        assert np.array_equal(bench.query_many(CELLS, field), file.column(runs, field).sum(axis=1) / 3)
        for epochs in (4, 108):
            for run in range(3):
                found = bench.query_many(CELLS, field, epochs=epochs, run=run)
                assert np.array_equal(found, file.column(runs, field, epochs)[:, run])
    one = bench.query(CELLS[3], epochs=4, run=2)
    assert one == {field: file.column(runs, field, 4)[3, 2] for field in FIELDS} | {
        "parameters": CELLS.columns["parameters"][3]
    }
    assert isinstance(one["parameters"], int)
    assert bench.query(CELLS[3], "halfway_test_accuracy", run=1) == file.column(runs, "halfway_test_accuracy")[3, 1]
    best, value = bench.best("validation_accuracy", run=0)
    row = file.column(runs, "validation_accuracy")[:, 0].argmax()
    assert (best, value) == (CELLS.columns["hash"][row], file.column(runs, "validation_accuracy")[row, 0])


def test_random_runs_follow_the_seed(bench, runs, published):
    def draw(benchmark):
        many = benchmark.query_many(CELLS, "test_accuracy", run="random")
        return [*many.tolist(), *(benchmark.query(CELLS[0], run="random")["training_seconds"] for _ in range(12))]

    first = draw(bench)
    assert draw(bench) != first
    bench.reset()
    assert draw(bench) == first
    assert draw(load_benchmark("nasbench101", path=published, seed=7)) == first
    assert draw(load_benchmark("nasbench101", path=published)) != first
    assert all(value in file.column(runs, "test_accuracy")[row] for row, value in enumerate(first[:50]))
    assert set(first[50:]) == set(file.column(runs, "training_seconds")[0])
    result = bench.query(CELLS[1], run="random")  # one run, not a mixture
    assert [result[field] for field in FIELDS] in runs[108][1].tolist()
    for seed in (-1, 1.5, True, "a"):
        with pytest.raises(ValueError, match="seed must be an integer, 0 or more"):
            load_benchmark("nasbench101", path=published, seed=seed)


def test_simulated_time_is_that_of_what_was_asked_for(bench, runs):
    seconds, half = file.column(runs, "training_seconds"), file.column(runs, "halfway_training_seconds")
    assert bench.simulated_seconds == 0
    expected = 0.0
    for run in range(3):
        bench.query(CELLS[5], run=run)
        expected += seconds[5, run]
        assert bench.simulated_seconds == pytest.approx(expected)
    bench.query(CELLS[6], "validation_accuracy", epochs=4)
    expected += file.column(runs, "training_seconds", 4)[6].mean()
    bench.query(CELLS[6], "halfway_test_accuracy", run=1)
    expected += half[6, 1]
    bench.query(CELLS[6], "parameters")
    bench.best()
    bench.oracle("test_accuracy")
    assert bench.simulated_seconds == pytest.approx(expected)
    with pytest.raises(ValueError, match="no field"):
        bench.query(CELLS[6], "latency")
    assert bench.simulated_seconds == pytest.approx(expected)
    bench.query_many(CELLS)
    assert bench.simulated_seconds == pytest.approx(expected + seconds.mean(axis=1).sum())
    bench.reset()
    accuracy = bench.query_many(CELLS, run="random")
    drawn = seconds[np.arange(50), (file.column(runs, "test_accuracy") == accuracy[:, None]).argmax(axis=1)]
    assert bench.simulated_seconds == pytest.approx(drawn.sum(), rel=1e-2)
    bench.reset()
    assert bench.simulated_seconds == 0


def test_what_a_number_is_and_where_it_is_from(bench, published):
    assert bench.oracle("test_accuracy") == "mean test accuracy of 3 runs of 108 epochs"
    assert bench.oracle("validation_accuracy", epochs=4, run=0) == "validation accuracy of run 0 of 4 epochs"
    assert "a random run" in bench.oracle("train_accuracy", run="random")
    assert bench.oracle("halfway_training_seconds") == (
        "mean half-way training time in seconds of 3 runs of 108 epochs"
    )
    assert bench.oracle("parameters") == "trainable parameters"
    assert repr(bench).endswith("; 3 runs of 4, 108 epochs from results.tfrecord>")
    assert "50 architectures of nasbench101" in repr(bench)


@pytest.mark.parametrize("epochs", [12, 0, "108", True, 1.5])
def test_epochs_that_are_not_there(bench, epochs):
    with pytest.raises(ValueError, match=r"no results of .* epochs in .*results.tfrecord; it has 4, 108"):
        bench.query(CELLS[0], epochs=epochs)


@pytest.mark.parametrize("run", [3, -1, "all", None, True, 1.5])
def test_runs_that_cannot_be(bench, run):
    for ask in (bench.query, bench.query_many):
        with pytest.raises(ValueError, match="run must be 'mean', 'random', or 0, 1 or 2, not"):
            ask(CELLS[0] if ask == bench.query else CELLS, run=run)


def test_a_cell_with_fewer_runs(runs, tmp_path, cache):
    """Cell 0 lacks its run 2, cell 1 all runs of 108 epochs."""
    table, path = file.made_up_table(CELLS), tmp_path / "fewer.tfrecord"
    hashes = CELLS.columns["hash"].tolist()
    drawn, records = file.drawings(table), []
    for epochs, values in runs.items():
        for row, run in np.ndindex(50, 3):
            if epochs == 108 and ((row, run) == (0, 2) or row == 1):
                continue
            parameters = int(CELLS.columns["parameters"][row])
            message = file.metrics_message(epochs, values[row, run].tolist(), parameters)
            records.append(file.frame(file.record(hashes[row], epochs, *drawn[row], message)))
    path.write_bytes(b"".join(records))
    for _ in range(2):  # from the file, then from the cache
        bench = load_benchmark("nasbench101", path=path)
        accuracy = file.column(runs, "test_accuracy")
        assert bench.query(CELLS[0])["test_accuracy"] == accuracy[0, :2].sum() / 2
        assert bench.query(CELLS[0], "test_accuracy", run=1) == accuracy[0, 1]
        with pytest.raises(ValueError, match=rf"cell {hashes[0]} has 2 runs of 108 epochs .*asked for run 2"):
            bench.query(CELLS[0], run=2)
        for run in ("mean", "random", 0):
            with pytest.raises(ValueError, match=f"cell {hashes[1]} has 0 runs of 108 epochs"):
                bench.query(CELLS[1], run=run)
        assert {bench.query(CELLS[0], "test_accuracy", run="random") for _ in range(15)} == set(accuracy[0, :2])
        with pytest.raises(ValueError, match="no 'test_accuracy' for 2 of 50 architectures, first row 0"):
            bench.query_many(CELLS, run=2)
        bench.reset()
        found = bench.query_many(CELLS, run=2, missing="nan")
        assert np.isnan(found[:2]).all()
        assert np.array_equal(found[2:], accuracy[2:, 2])
        assert bench.simulated_seconds == pytest.approx(file.column(runs, "training_seconds")[2:, 2].sum())
        assert bench.query(CELLS[1], epochs=4, run=2)["test_accuracy"] == file.column(runs, "test_accuracy", 4)[1, 2]
        assert bench.oracle("test_accuracy") == "mean test accuracy of up to 3 runs of 108 epochs"
        assert repr(bench).endswith("results.tfrecord>") or "2 times fewer than 3 of a cell" in repr(bench)


def test_a_file_made_from_the_published_results(nasbench101_table, tmp_path, cache):
    """2,000 cells: the mean of the runs is the published mean, run 0 the published one where it is known."""
    table = file.read_published(nasbench101_table, 2000)
    path = tmp_path / "nasbench_only108.tfrecord"
    values = file.make_runs(table, 108)
    file.write_file(path, table, {108: values})
    check_against_the_table(load_benchmark("nasbench101", path=path), table, values)


def check_against_the_table(bench, table, values):
    cells = SPACE.enumerate()
    rows = np.searchsorted(cells.columns["hash"], np.array(table["hash"].to_pylist(), dtype="U32"))
    cells = cells[rows]
    mean, published = bench.query_many(cells), table["test_accuracy"].to_numpy()
    # Each run is rounded to float32, so that the mean is, to a hair; the number of right images is the same.
    assert np.abs(mean - published).max() < 2**-24
    assert np.array_equal(np.rint(mean * 3 * file.IMAGES), np.rint(published * 3 * file.IMAGES))
    for field, name in (
        ("validation_accuracy", "validation_accuracy_108"),
        ("training_seconds", "training_seconds_108"),
    ):
        known = ~np.isnan(table[name].to_numpy())
        assert known.sum() > 100
        found = bench.query_many(cells, field, run=0)
        assert np.array_equal(found[known], table[name].to_numpy()[known].astype(np.float64))
    assert np.array_equal(bench.query_many(cells, "parameters"), table["parameters"].to_numpy())
    for run in range(3):
        for field in FIELDS:
            assert np.array_equal(bench.query_many(cells, field, run=run), file.column({108: values}, field)[:, run])


@pytest.mark.slow
def test_the_whole_file(nasbench101_table, tmp_path, cache):
    """All cells: as many bytes as the published file, a small cache, and the same numbers from both."""
    table = file.read_published(nasbench101_table)
    path = tmp_path / "nasbench_only108.tfrecord"
    values = file.make_runs(table, 108)
    assert file.write_file(path, table, {108: values}) == 3 * 423_624
    assert path.stat().st_size == 522_767_376
    for _ in range(2):
        bench = load_benchmark("nasbench101", path=path)
        assert len(bench) == 423_624
        check_against_the_table(bench, table, values)
    (stored,) = cache.glob("nasbench101-runs-*.parquet")
    assert stored.stat().st_size < 20e6
    path.unlink()
    assert bench.best()[0] == "02e5a0247bbdcf2860b7e96f74961594"


def test_a_search_is_offered_the_cells_of_the_file(bench):
    candidates = bench.candidates()
    assert sorted(candidates.columns["hash"].tolist()) == sorted(CELLS.columns["hash"].tolist())
    assert set(candidates.columns) >= {"hash", "parameters", "flops"}
    assert np.isfinite(bench.query_many(candidates)).all()


def test_results_know_their_epochs():
    results = RunResults(np.arange(2), CELLS.columns["hash"][:2], np.ones(2), {108: np.zeros((8, 3, 2))})
    assert results.epochs == [108]
    assert results.num_runs(108).tolist() == [3, 3]
