"""Comparisons: settings, the grid of trials that can be interrupted, tables and figures."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import wilcoxon

from cate_hf import get_space
from cate_hf.benchmarks import find_benchmark
from cate_hf.cli import main
from cate_hf.experiments.grid import read_trials, run_grid, trial_file
from cate_hf.experiments.report import latex_table, markdown_quartiles, markdown_table, summarise, write_report
from cate_hf.experiments.settings import (
    NO_ENCODING,
    PRESETS,
    CompareSettings,
    check_folder,
    parse_options,
    preset,
    read_settings,
    select,
)
from cate_hf.graphs.conditions import parse_where
from cate_hf.search._oracles import find_oracle

SMALL = CompareSettings(
    space="nasbench201",
    encodings=("adjacency", "path"),
    algorithms=("random", "cate-dngo-ls"),
    queries=20,
    trials=3,
    pool=300,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison") / "small"
    return folder, run_grid(folder, SMALL)


def test_algorithms_that_look_at_vectors_run_with_every_encoding():
    assert SMALL.arms() == [("random", NO_ENCODING), ("cate-dngo-ls", "adjacency"), ("cate-dngo-ls", "path")]


@pytest.mark.long
def test_steps_in_the_encoding_are_an_arm_of_their_own(tmp_path):
    settings = CompareSettings(
        space="nasbench201",
        encodings=("path", "random"),
        algorithms=("regularized-evolution", "regularized-evolution/encoding"),
        queries=40,
        trials=1,
        pool=300,
    )
    evolution = "regularized-evolution/encoding"
    assert settings.arms() == [("regularized-evolution", NO_ENCODING), (evolution, "path"), (evolution, "random")]
    run_grid(tmp_path / "steps", settings)
    asked = [runs[0]["queries"] for runs in read_trials(tmp_path / "steps", settings).values()]
    assert asked[0] != asked[1] != asked[2]
    trees = CompareSettings(space="nasbench201", encodings=("path",), algorithms=("cate-predictor/trees",))
    assert trees.arms() == [("cate-predictor/trees", "path")]
    with pytest.raises(ValueError, match="bo-gp has no steps 'encoding'"):
        CompareSettings(space="nasbench201", algorithms=("bo-gp/encoding",))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"encodings": ("path", "path")}, "encodings: each once"),
        ({"encodings": ()}, "cate-dngo-ls needs at least one"),
        ({"algorithms": ()}, "algorithms: at least one"),
        ({"algorithms": ("rondom",)}, "did you mean 'random'"),
        ({"queries": 0}, "queries must be at least 1"),
        ({"trials": -1}, "trials must be at least 1"),
        ({"pool": 3}, "pool must be at least the 20 queries"),
        ({"where": "colour==3"}, "'colour==3' is not a condition"),
    ],
)
def test_wrong_settings_are_told(wrong, message):
    with pytest.raises(ValueError, match=message):
        CompareSettings(**({"space": "nasbench201", "queries": 20} | wrong))


def test_presets_are_sound():
    for name in PRESETS:
        settings = preset(name, trials=2, benchmark=None)
        assert settings.trials == 2
        assert settings.queries == PRESETS[name]["queries"]
    assert preset("outside-space").where == "nodes==6,edges>7"
    assert preset("outside-space", as_reference=True).where == "nodes==6,edges>=7"
    with pytest.raises(ValueError, match="no candidates of its own for paper-small"):
        preset("paper-small", as_reference=True)
    with pytest.raises(ValueError, match="did you mean 'paper-small'"):
        preset("paper-smal")


def test_conditions_choose_candidates():
    table = get_space("nasbench101").enumerate()
    settings = CompareSettings(space="nasbench101", where="nodes==6, edges>7", queries=1)
    rows = select(table, settings)
    assert (table.num_nodes[rows] == 6).all()
    assert len(rows) == ((table.num_nodes == 6) & (table.adjacency().sum((1, 2)) > 7)).sum() > 0
    assert parse_where("nodes<=6,edges<=7") == [("nodes", "<=", 6), ("edges", "<=", 7)]
    pool = CompareSettings(space="nasbench101", pool=500, queries=5, seed=3)
    assert len(np.unique(select(table, pool))) == 500
    assert np.array_equal(select(table, pool), select(table, pool))
    with pytest.raises(ValueError, match="queries must be 1 to 1, the number of candidates"):
        select(table, CompareSettings(space="nasbench101", where="nodes==2", queries=2))


def test_a_grid_has_a_file_a_trial_and_repeats_itself(folder, tmp_path):
    path, facts = folder
    assert facts["candidates"] == 300
    assert len(list((path / "trials").iterdir())) == 9
    trials = read_trials(path, SMALL)
    assert [len(runs) for runs in trials.values()] == [3, 3, 3]
    again = tmp_path / "again"
    run_grid(again, SMALL, jobs=2)
    for arm, runs in read_trials(again, SMALL).items():
        for one, other in zip(runs, trials[arm], strict=True):
            assert one["queries"] == other["queries"]


def test_what_is_finished_is_not_done_again(folder):
    path, _ = folder
    kept = trial_file(path, "random", NO_ENCODING, 1)
    before = {file: file.stat().st_mtime_ns for file in (path / "trials").iterdir()}
    trial_file(path, "cate-dngo-ls", "path", 2).unlink()
    run_grid(path, SMALL)
    after = {file: file.stat().st_mtime_ns for file in (path / "trials").iterdir()}
    assert [file.name for file in before if before[file] != after[file]] == ["cate-dngo-ls--path--2.json"]
    assert kept in after


def test_another_comparison_is_refused(folder, tmp_path):
    path, _ = folder
    with pytest.raises(ValueError, match="holds another comparison: queries is 21 here and 20 there"):
        check_folder(path, CompareSettings(**{**SMALL.__dict__, "queries": 21}))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="not empty and holds no comparison"):
        check_folder(tmp_path / "mine", SMALL)
    with pytest.raises(ValueError, match="cate-dngo-ls.patience is 3 here and 20 there"):
        check_folder(path, CompareSettings(**{**SMALL.__dict__, "options": (("cate-dngo-ls", "patience", 3),)}))
    same = CompareSettings(**{**SMALL.__dict__, "trials": 2, "options": (("cate-dngo-ls", "patience", 20.0),)})
    assert check_folder(path, same).trials == 3
    assert read_settings(path).trials == 3
    (tmp_path / "settings.json").write_text('{"space": "nasbench201", "colour": 3}')
    with pytest.raises(ValueError, match="'colour' is no setting of a comparison"):
        check_folder(tmp_path, SMALL)


@pytest.mark.long
def test_encodings_and_algorithms_are_added_to_a_folder(tmp_path):
    one = CompareSettings(
        space="nasbench201", encodings=("path",), algorithms=("random", "mlp-predictor"), queries=20, trials=2, pool=300
    )
    run_grid(tmp_path / "grows", one)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "grows" / "trials").iterdir()}
    more = replace(
        one,
        encodings=("random",),
        algorithms=("mlp-predictor", "neural-predictor"),
        options=(("neural-predictor", "initial", 10),),
    )
    facts = run_grid(tmp_path / "grows", more)
    new = {file.name for file in (tmp_path / "grows" / "trials").iterdir()} - {file.name for file in before}
    assert new == {f"{name}--random--{seed}.json" for name in ("mlp-predictor", "neural-predictor") for seed in (0, 1)}
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    whole = facts["settings"]
    assert (whole.encodings, len(whole.algorithms)) == (("path", "random"), 3)
    arms = {arm: len(runs) for arm, runs in read_trials(tmp_path / "grows", whole).items()}
    assert arms.pop(("neural-predictor", "path")) == 0  # asked for by neither
    assert set(arms.values()) == {2}
    assert write_report(tmp_path / "grows", facts, whole).count("| random |") == 6  # of two tables
    with pytest.raises(ValueError, match="neural-predictor.initial is 75 here and 10 there"):
        run_grid(tmp_path / "grows", replace(more, options=()))


def test_settings_of_algorithms():
    options = parse_options(["bo-dngo.epochs=7", "local-search.whole_neighbourhood=true", "bo-dngo.target=null"])
    assert options == (
        ("bo-dngo", "epochs", 7),
        ("local-search", "whole_neighbourhood", True),
        ("bo-dngo", "target", None),
    )
    settings = CompareSettings(space="nasbench201", algorithms=("bo-dngo", "local-search/encoding"), options=options)
    assert settings.settings_of("bo-dngo") == {"epochs": 7, "target": None}
    assert settings.settings_of("local-search/encoding") == {"whole_neighbourhood": True}
    both = (("random", "sample", "candidates"), ("random/encoding", "sample", "encoding"))
    assert CompareSettings(space="x", algorithms=("random/encoding",), options=both).settings_of("random/encoding") == {
        "sample": "encoding"
    }
    for text in ("bo-dngo", "epochs=3", "bo-dngo.epochs", "bo-dngo.epochs=[1]", "bo-dngo.epochs={", ".x=1"):
        with pytest.raises(ValueError, match="is not a setting such as"):
            parse_options([text])
    with pytest.raises(ValueError, match="given twice"):
        parse_options(["random.sample=encoding", "random.sample=candidates"])


def test_settings_reach_the_search(tmp_path):
    quick = CompareSettings(
        space="nasbench201", encodings=("path",), algorithms=("bo-dngo",), queries=30, trials=1, pool=300
    )
    run_grid(tmp_path / "by default", quick)
    run_grid(tmp_path / "one epoch", replace(quick, options=(("bo-dngo", "epochs", 1),)))
    run_grid(tmp_path / "the same", replace(quick, options=(("bo-dngo", "epochs", 30),)))
    (one,), (other,), (same,) = (
        read_trials(tmp_path / name, quick)["bo-dngo", "path"] for name in ("by default", "one epoch", "the same")
    )
    assert one["queries"][:16] == other["queries"][:16]
    assert one["queries"] != other["queries"]
    assert one["queries"] == same["queries"]


def test_oracles_by_name(tmp_path):
    settings = CompareSettings(
        space="nasbench201",
        algorithms=("random",),
        encodings=(),
        queries=20,
        trials=1,
        pool=300,
        guide_field="one-run-validation",
        report_field="mean-validation",
    )
    facts = run_grid(tmp_path / "oracles", settings)
    assert "run 0" in facts["guided_by"]
    assert "mean of up to 3 runs" in facts["reported"]
    queries = read_trials(tmp_path / "oracles", settings)["random", NO_ENCODING][0]["queries"]
    assert all(query["value"] != query["reported"] for query in queries)
    benchmark = find_benchmark("nasbench201")
    cell = benchmark.candidates()[:1]
    cell = cell.replace_columns({"hash": np.array([queries[0]["hash"]], dtype="U32")})
    assert queries[0]["value"] == benchmark.query_many(cell, "validation_accuracy", run=0)[0]
    report = write_report(tmp_path / "oracles", facts, settings)
    assert "run 0; of an architecture the mean of all cells with its graph. Judged by: validation" in report
    with pytest.raises(ValueError, match="nasbench201 has no mean-test: no test_accuracy among its fields"):
        run_grid(tmp_path / "none", replace(settings, report_field="mean-test"))


def test_oracles_of_a_table_are_what_it_says(nasbench101_table):
    benchmark = find_benchmark("nasbench101", nasbench101_table)
    assert (
        find_oracle(benchmark).words == find_oracle(benchmark, "mean-test").words == benchmark.oracle("test_accuracy")
    )
    assert find_oracle(benchmark, "one-run-validation").field == "validation_accuracy"
    with pytest.raises(ValueError, match="no mean-validation: its validation_accuracy is one run's"):
        find_oracle(benchmark, "mean-validation")


def test_the_report(folder):
    path, facts = folder
    markdown = write_report(path, facts, SMALL, "cate compare ...")
    assert (path / "table.md").read_text() == markdown
    assert "Guided and judged by: validation accuracy" in markdown
    assert "seeds 0 to 2" in markdown
    assert "`cate compare ...`" in markdown
    assert markdown.count("**") == 2
    rows = pq.read_table(path / "trials.parquet").to_pandas()
    assert len(rows) == 9 * 20
    best = facts["best_possible"]
    np.testing.assert_allclose(rows["regret"], best - rows["best_so_far"])
    for suffix in ("png", "svg"):
        for name in ("regret-cate-dngo-ls", "regret"):
            assert (path / f"{name}.{suffix}").stat().st_size > 1000
    assert "signed-rank test against cate-dngo-ls with path, paired" in write_report(
        path, facts, SMALL, None, "cate-dngo-ls,path"
    )
    assert r"\toprule" in (path / "table.tex").read_text()
    assert (
        (path / "summary.csv").read_text().startswith("rank,algorithm,encoding,trials,measure,p_value,seconds,mean_20")
    )


def made_up(regrets):
    return [
        {"seed": seed, "regret": values, "best_so_far": [1 - v for v in values], "seconds": 1.0}
        for seed, values in enumerate(regrets)
    ]


def test_the_summary_by_hand():
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((2, 8, 3))
    trials = {("bo", "cate"): made_up(ours.tolist()), ("bo", "path_x"): made_up(theirs.tolist()), ("random", "–"): []}
    rows = {row["encoding"]: row for row in summarise(trials, 1.0)}
    assert set(rows) == {"cate", "path_x"}
    mean, error = rows["cate"]["at"][3]
    assert mean == pytest.approx(ours[:, -1].mean())
    assert error == pytest.approx(ours[:, -1].std(ddof=1) / 8**0.5)
    assert rows["path_x"]["p_value"] == pytest.approx(wilcoxon(theirs[:, -1] - ours[:, -1]).pvalue)
    assert rows["cate"]["p_value"] is None
    assert rows["cate"]["quartiles"] == np.quantile(ours[:, -1], [0, 0.25, 0.5, 0.75, 1]).tolist()
    spread = markdown_quartiles([rows["cate"]], "test_accuracy").splitlines()
    assert spread[0].startswith("| algorithm | encoding | least regret, % |")
    assert f"| {100 * np.median(ours[:, -1]):.3f} |" in spread[2]
    order = sorted(rows, key=lambda name: rows[name]["rank"])
    assert order == sorted(rows, key=lambda name: rows[name]["at"][3][0])
    table = list(rows.values())
    assert "path_x" in markdown_table(table, "test_accuracy")
    assert r"path\_x" in latex_table(table, "test_accuracy", [])
    turned = {row["encoding"]: row for row in summarise(trials, 1.0, "path_x")}
    assert turned["cate"]["p_value"] == pytest.approx(rows["path_x"]["p_value"])
    assert turned["path_x"]["p_value"] is None
    chance = {("random", "–"): made_up(rng.random((8, 3)).tolist())}
    by_arm = {row["encoding"]: row["p_value"] for row in summarise(trials | chance, 1.0, "bo,cate")}
    assert by_arm["cate"] is None
    assert by_arm["path_x"] == rows["path_x"]["p_value"]
    differences = [run["regret"][-1] for run in chance["random", "–"]] - ours[:, -1]
    assert by_arm["–"] == pytest.approx(wilcoxon(differences).pvalue)
    assert {row["p_value"] for row in summarise(chance, 1.0)} == {None}
    best = {row["encoding"]: row for row in summarise(trials, None)}
    assert best["cate"]["measure"] == "best_so_far"


@pytest.mark.long
def test_a_killed_grid_goes_on(tmp_path):
    """kill -9 in the middle leaves whole files only; the same command then ends as if nothing had happened."""
    command = ["compare", "--space", "nasbench201", "--encodings", "adjacency", "--algorithms", "random,cate-dngo-ls"]
    command += ["--queries", "30", "--trials", "12", "--pool", "400", "--output"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(
        [sys.executable, "-m", "cate_hf.cli", *command, str(killed)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    for _ in range(1200):
        if process.poll() is not None or len(list(killed.glob("trials/*--*.json"))) >= 3:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for file in killed.glob("trials/[!.]*.json"):
        json.loads(file.read_text())
    assert main([*command, str(killed)]) == 0
    assert main([*command, str(whole)]) == 0
    settings = CompareSettings(**{**json.loads((whole / "settings.json").read_text())})
    one, other = read_trials(killed, settings), read_trials(whole, settings)
    for arm, runs in one.items():
        assert [run["queries"] for run in runs] == [run["queries"] for run in other[arm]]
        assert len(runs) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space", "nasbench21"], "did you mean 'nasbench201'"),
        ([], "give --space, or a --preset"),
        (["--preset", "paper-smal"], "did you mean 'paper-small'"),
        (["--space", "nasbench101"], "name a file of results"),
        (["--space", "nasbench201", "--encodings", "pth"], "unknown encoding 'pth'; did you mean 'path'"),
        (["--space", "nasbench201", "--encodings", "pth", "--algorithms", "random"], "did you mean 'path'"),
        (["--space", "nasbench201", "--algorithms", "random", "--queries", "9999"], "queries must be 1 to 8765"),
        (["--space", "nasbench201", "--algorithms", "random", "--backend", "dask"], "backend must be one of loky, ray"),
        (["--space", "nasbench201", "--algorithms", "random", "--guide-field", "beauty"], "beauty"),
        (["--space", "nasbench201", "--algorithms", "random", "--report", "mean-test"], "has no mean-test"),
        (["--space", "nasbench201", "--against", "cate-dngo,cate"], "did you mean 'cate-dngo-ls'"),
        (["--space", "nasbench201", "--against", "adjacencies"], "(--against) 'adjacencies'; did you mean 'adjacency'"),
        (["--space", "nasbench201", "--against", "random,cate"], "(--against) 'cate'; known: –"),
        (["--space", "nasbench201", "--encodings", ""], "--encodings: expected names separated by commas"),
        (["--space", "nasbench201", "--encodings", "path,none.parquet"], "none.parquet: no such file"),
        (["--space", "nasbench201", "--set", "epochs=3"], "'epochs=3' is not a setting such as"),
        (["--space", "nasbench201", "--set", "cate-dngo-ls.epoch=3"], "did you mean 'epochs'"),
        (["--space", "nasbench201", "--set", "cate-dngo-ls.epochs=few"], "expected a whole number"),
        (["--space", "nasbench201", "--set", "bo-gp.proposed=3"], "'bo-gp', which is not among the algorithms"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, arguments, message):
    assert main(["compare", *arguments, "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert message in error[0]
    assert not list(tmp_path.glob("out/trials/*"))


def test_names_are_known_before_an_encoding_is_made(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("cate_hf.experiments.grid.get_encoding", lambda *_: pytest.fail("an encoding was made"))
    command = ["compare", "--space", "nasbench201", "--encodings", "path,pth", "--output", str(tmp_path / "out")]
    assert main(command) == 2
    assert "unknown encoding 'pth'; did you mean 'path'" in capsys.readouterr().err
