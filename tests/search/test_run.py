"""Trials of searches on a benchmark, their results and figures."""

import json

import numpy as np
import pytest

from cate_hf import load_benchmark
from cate_hf.cli import main
from cate_hf.encodings import get_encoding
from cate_hf.search.run import SearchSettings, encode_candidates, run_search, search_to_file
from tests.search.searches import CANDIDATES, ENCODINGS, synthetic


@pytest.fixture(scope="module")
def candidates():
    return CANDIDATES


@pytest.fixture(scope="module")
def encodings():
    return ENCODINGS


def benchmark_file(candidates, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"hash": candidates.columns["hash"], "test_accuracy": synthetic(candidates)}
    pq.write_table(pa.table(columns), tmp_path / "cells.parquet")
    return load_benchmark("nasbench101", tmp_path / "cells.parquet")


def test_run_search_reports_regret_and_its_oracle(candidates, encodings, tmp_path):
    bench = benchmark_file(candidates, tmp_path)
    result = run_search(SearchSettings("nasbench101", "cate-dngo-ls", 30, 2, 5), bench, encodings, candidates)
    assert [t["seed"] for t in result["trials"]] == [5, 6]
    assert result["guided_by"] == result["reported"] == bench.oracle("test_accuracy")
    for trial in result["trials"]:
        assert len(trial["queries"]) == len(trial["regret"]) == 30
        running = np.maximum.accumulate([q["value"] for q in trial["queries"]])
        np.testing.assert_allclose(trial["best_so_far"], running)
        np.testing.assert_allclose(np.array(trial["regret"]) + running, result["best_possible"])
    assert set(result["summary"]["regret"]) == {"30"}
    for queries, trials, message in ((0, 1, "queries must be 1 to 300"), (301, 1, "not 301"), (5, 0, "trials must be")):
        with pytest.raises(ValueError, match=message):
            run_search(SearchSettings("nasbench101", "random", queries, trials), bench, None, candidates)


def test_finished_trials_survive_an_interrupt(candidates, tmp_path):
    def interrupt(trial):
        if trial["seed"] == 1:
            raise KeyboardInterrupt

    bench = benchmark_file(candidates, tmp_path)
    result = run_search(SearchSettings("nasbench101", "random", 5, 4), bench, None, candidates, interrupt)
    assert [t["seed"] for t in result["trials"]] == [0, 1]
    assert result["complete"] is False
    assert json.dumps(result)


def test_budgets_are_checked_before_any_work(tmp_path):
    for queries, trials, message in ((0, 1, "queries must be 1 to 423624"), (-1, 1, "not -1"), (5, 0, "trials must")):
        with pytest.raises(ValueError, match=message):
            search_to_file(
                SearchSettings("nasbench101", "random", queries, trials, benchmark="none"), tmp_path / "out.json"
            )


@pytest.mark.parametrize("option", ["--guide", "--guide-field", "--report", "--report-field"])
def test_fields_are_named_as_in_compare(tmp_path, capsys, option):
    command = ["search", "--space", "nasbench201", "--algorithm", "random", "--output", str(tmp_path / "search.json")]
    assert main([*command, option, "beauty"]) == 2
    assert "'beauty'" in capsys.readouterr().err


def test_encodings_by_name(candidates, tmp_path):
    part = candidates[:5]
    bundled = encode_candidates("cate", "nasbench101", part)
    assert bundled.shape == (5, get_encoding("cate", "nasbench101").dim)
    np.testing.assert_array_equal(encode_candidates("nasbench101", "nasbench101", part), bundled)
    assert encode_candidates("adjacency", "nasbench101", part).shape == (5, 36)
    with pytest.raises(ValueError, match="unknown encoding 'adjacent'; did you mean 'adjacency'"):
        encode_candidates("adjacent", "nasbench101", part)


def test_search_on_the_published_table(nasbench101_table, tmp_path):
    output = tmp_path / "search.json"
    settings = SearchSettings("nasbench101", queries=40, trials=1, benchmark=nasbench101_table, encoding="adjacency")
    arguments = (settings, output)
    result = search_to_file(*arguments)
    assert json.loads(output.read_text()) == result
    assert result["candidates"] == 423_624
    assert result["encoding"] == "adjacency"
    assert result["summary"]["regret"]["40"]["mean"] < 0.02
    with pytest.raises(FileExistsError):
        search_to_file(*arguments)


def test_regret_is_drawn_and_what_has_none_is_refused(candidates, tmp_path):
    from cate_hf.search.figure import draw_regret

    bench = benchmark_file(candidates, tmp_path)
    results = {
        name: run_search(SearchSettings("nasbench101", name, 12, 2), bench, None, candidates)
        for name in ("random", "regularized-evolution")
    }
    draw_regret(results, tmp_path / "regret.png")
    assert (tmp_path / "regret.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(FileExistsError):
        draw_regret(results, tmp_path / "regret.png")
    with pytest.raises(ValueError, match="at least one search"):
        draw_regret({}, tmp_path / "none.png")
    with pytest.raises(ValueError, match="best possible value is not known"):
        draw_regret({"x": results["random"] | {"best_possible": None}}, tmp_path / "none.png")


def test_results_that_are_computed_when_asked_for(candidates, tmp_path):
    bench = benchmark_file(candidates, tmp_path)
    table = run_search(SearchSettings("nasbench101", "random", 20, 1), bench, None, candidates)
    bench.tabular = False
    asked = run_search(SearchSettings("nasbench101", "random", 20, 1), bench, None, candidates)
    assert asked["best_possible"] is asked["trials"][0]["regret"] is None
    assert asked["trials"][0]["best_so_far"] == table["trials"][0]["best_so_far"]
    assert set(asked["summary"]) == {"best_so_far", "seconds_a_trial"}
