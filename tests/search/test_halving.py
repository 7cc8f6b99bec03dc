"""Successive halving: what is promoted, what is paid, and that nothing is measured twice."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tests.nasbench101_file as file
from cate_hf import load_benchmark
from cate_hf.search.halving import SuccessiveHalving
from cate_hf.search.journal import Journal
from cate_hf.search.run import SearchSettings, run_search
from tests.search.searches import CANDIDATES, optimizer, synthetic

FIDELITIES = {"short": 4, "middle": 12, "full": 36}
FINAL = synthetic() + 1e-4 * np.arange(len(CANDIDATES))  # no two alike


def measured(row, level, seed=0):
    """The lower the fidelity, the more noise."""
    return float(FINAL[row] + (2 - level) * np.random.default_rng([seed, row, level]).normal(0, 0.01))


@given(st.integers(2, 4), st.integers(1, 25), st.integers(1, 6), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_only_the_best_part_goes_up_and_nothing_is_measured_twice(reduction, count, at_once, random):
    halving = SuccessiveHalving(optimizer("random", count=count), FIDELITIES, reduction)
    seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
    values: dict[int, dict[int, float]] = {0: {}, 1: {}, 2: {}}
    waiting: list[tuple[int, int]] = []
    while True:
        while len(waiting) < at_once and halving.unfinished():
            row, level = halving.ask_row()
            assert row not in seen[level]
            if level:  # one of the best known one below, as long as there were new ones to measure
                assert row in values[level - 1]
                if len(seen[0]) < count:
                    better = sum(value > values[level - 1][row] for value in values[level - 1].values())
                    assert better < len(values[level - 1]) // reduction
            seen[level].append(row)
            waiting.append((row, level))
        if not waiting:
            break
        row, level = waiting.pop(random.randrange(len(waiting)))
        values[level][row] = measured(row, level)
        halving.tell_row(row, level, values[level][row])
    assert sorted(seen[0]) == sorted(seen[1]) == sorted(seen[2]) == list(range(count))
    assert halving.spent == count * sum(FIDELITIES.values())
    assert halving.best_row() == (int(np.argmax(FINAL[:count])), 2)
    with pytest.raises(ValueError, match="every candidate has been measured"):
        halving.ask()


def test_a_failure_is_paid_for_and_not_promoted():
    halving = SuccessiveHalving(optimizer("random", count=6), FIDELITIES, 2)
    for _ in range(2):
        halving.tell_row(*halving.ask_row(), float("nan"))
    assert halving.spent == 8
    with pytest.raises(ValueError, match="nothing has been measured"):
        halving.best()
    while halving.unfinished():
        row, level = halving.ask_row()
        assert row not in halving.optimizer.rows[:2]
        halving.tell_row(row, level, measured(row, level))


@pytest.mark.parametrize("name", ["random", "cate-dngo-ls", "regularized-evolution"])
def test_a_killed_one_goes_on_from_its_journal(name, tmp_path):
    def go_on(halving, until):
        asked = []
        while halving.spent < until:
            row, level = halving.ask_row()
            asked.append((row, level))
            halving.tell_row(row, level, measured(row, level))
        return asked

    whole = go_on(SuccessiveHalving(optimizer(name), FIDELITIES), 500)
    found = []
    for until in (60, 200, 333, 500):
        search = optimizer(name)
        Journal(search, tmp_path)
        halving = SuccessiveHalving(search, FIDELITIES)
        found += go_on(halving, until)
        halving.ask_row()  # and ends here, before it is told
        search.journal.close()
    assert found == whole
    assert {level for _, level in whole} == {0, 1, 2}


def test_what_cannot_be_is_refused():
    search = optimizer("random", count=8)
    for wrong in ({"a": 1}, {"a": 2, "b": 2}, {"a": 3, "b": 1}, {"a": 0, "b": 1}, {"a": 1, "b": float("inf")}):
        with pytest.raises(ValueError, match="two or more with costs that increase"):
            SuccessiveHalving(search, wrong)
    with pytest.raises(ValueError, match="reduction must be 2 or more, not 1"):
        SuccessiveHalving(search, FIDELITIES, 1)
    halving = SuccessiveHalving(search, FIDELITIES)
    architecture, fidelity = halving.ask()
    assert fidelity == "short"
    with pytest.raises(ValueError, match="no fidelity 'long', there are short, middle, full"):
        halving.tell(architecture, "long", 0.5)
    with pytest.raises(ValueError, match="expected a number, or NaN"):
        halving.tell(architecture, "full", float("inf"))
    with pytest.raises(ValueError, match="is 'good'; expected a number"):
        halving.tell(architecture, "full", "good")
    with pytest.raises(ValueError, match="row 8 of 8 candidates"):
        halving.tell_row(8, 1, 0.5)
    with pytest.raises(ValueError, match="cate-predictor/mean takes another"):
        SearchSettings("nasbench101", "cate-predictor/mean", fidelities=FIDELITIES)
    halving.tell(architecture, "full", 0.5)
    with pytest.raises(ValueError, match="told already at full"):
        halving.tell(architecture, "full", 0.5)
    assert halving.best() == (architecture, "full", 0.5)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "cells.parquet"
    levels = {
        f"validation_accuracy_{e}": [measured(r, i) for r in range(len(CANDIDATES))] for i, e in enumerate((4, 12))
    }
    columns = {"hash": CANDIDATES.columns["hash"], "test_accuracy": FINAL, "validation_accuracy": FINAL, **levels}
    pq.write_table(pa.table(columns), path)
    return load_benchmark("nasbench101", path)


def test_a_search_by_fidelities_spends_its_budget(table):
    text = "validation_accuracy_4,validation_accuracy_12,validation_accuracy=36"
    settings = SearchSettings(
        "nasbench101", "random", 20, 3, report_field="test_accuracy", fidelities=SuccessiveHalving.parse(text)
    )
    result = run_search(settings, table, None, CANDIDATES)
    assert result["fidelities"] == {"validation_accuracy_4": 4, "validation_accuracy_12": 12, "validation_accuracy": 36}
    assert result["guide_field"] == "validation_accuracy"
    final = dict(zip(CANDIDATES.columns["hash"], FINAL, strict=True))
    for trial in result["trials"]:
        paid = np.cumsum([query["cost"] for query in trial["queries"]])
        assert 20 * 36 - 36 < paid[-1] <= 20 * 36
        assert len(trial["regret"]) == 20
        first = int(np.argmax(paid > 10 * 36))  # the best of what half of the budget paid for
        known = [q for q in trial["queries"][:first] if q["fidelity"] == "validation_accuracy"]
        assert trial["best_so_far"][9] == max(final[q["hash"]] for q in known)
        assert len({(q["hash"], q["fidelity"]) for q in trial["queries"]}) == len(trial["queries"])
    plain = run_search(SearchSettings("nasbench101", "random", 20, 3), table, None, CANDIDATES)
    at_end = [np.mean([trial["regret"][-1] for trial in found["trials"]]) for found in (result, plain)]
    assert at_end[0] < at_end[1]  # five times as many seen for the same cost
    with pytest.raises(ValueError, match="leave out the guide's field"):
        SearchSettings("nasbench101", guide_field="test_accuracy", fidelities=SuccessiveHalving.parse(text))
    for wrong in ("validation_accuracy,test_accuracy=3", "a=1,a=2", "a=x,b=2"):
        with pytest.raises(ValueError, match="fidelities: "):
            SuccessiveHalving.parse(wrong)


def test_epochs_of_a_published_file_are_fidelities(tmp_path):
    few = file.made_up_table(CANDIDATES[:40])
    runs = {epochs: file.make_runs(few, epochs) for epochs in (4, 12, 36, 108)}
    file.write_file(tmp_path / "nasbench_full.tfrecord", few, runs)
    bench = load_benchmark("nasbench101", tmp_path / "nasbench_full.tfrecord")
    text = ",".join(f"validation_accuracy_{epochs}" for epochs in runs)
    result = run_search(SearchSettings("nasbench101", "random", 5, 1, fidelities=SuccessiveHalving.parse(text)), bench)
    row = {name: row for row, name in enumerate(bench.candidates().columns["hash"])}
    for query in result["trials"][0]["queries"]:
        epochs = int(query["fidelity"].rpartition("_")[2])
        values = bench.query_many(bench.candidates(), "validation_accuracy", epochs=epochs)
        assert query["value"] == values[row[query["hash"]]]
        assert query["cost"] == epochs
