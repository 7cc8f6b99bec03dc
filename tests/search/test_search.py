import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from cate_hf import get_space, load_benchmark
from cate_hf.encodings import get_encoding
from cate_hf.search import algorithm_names, get_algorithm
from cate_hf.search.cate_dngo_ls import INITIAL, CateDngoLs
from cate_hf.search.dngo import BayesianLinearRegression, Dngo, log_expected_improvement
from cate_hf.search.run import encode_candidates, run_search, search_to_file

SPACE = get_space("nasbench101")


@pytest.fixture(scope="module")
def candidates():
    return SPACE.sample(300, seed=0)


@pytest.fixture(scope="module")
def encodings(candidates):
    return get_encoding("adjacency", "nasbench101").transform(candidates)


def optimizer(name, candidates, encodings, seed=0):
    return get_algorithm(name)(SPACE, candidates, seed, encodings)


def synthetic(candidates):
    """Accuracies that depend on the cell: more 3×3 convolutions, higher."""
    code = SPACE.vocabulary.index("conv3x3-bn-relu")
    return 0.8 + 0.03 * (candidates.operation_codes == code).sum(1) + 0.001 * candidates.num_nodes


@pytest.mark.parametrize("name", algorithm_names())
@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_nothing_is_asked_twice_in_whatever_order_answers_come(name, candidates, encodings, data):
    search = optimizer(name, candidates, encodings, seed=data.draw(st.integers(0, 100)))
    values, pending, asked = synthetic(candidates), [], []
    for _ in range(12):
        new = search.ask_rows(data.draw(st.integers(1, 9)))
        asked += new
        pending += new
        for _ in range(data.draw(st.integers(0, len(pending)))):
            row = pending.pop(data.draw(st.integers(0, len(pending) - 1)))
            failed = data.draw(st.integers(0, 9)) == 0
            search.tell_row(row, np.nan if failed else values[row])
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("name", algorithm_names())
def test_all_candidates_are_asked_in_the_end_and_no_more(name, candidates, encodings):
    part = candidates[:60]
    search = optimizer(name, part, encodings[:60])
    asked = []
    while rows := search.ask_rows(4):
        asked += rows
        for row in rows:
            search.tell_row(row, 0.5 + row / 1000)
    assert sorted(asked) == list(range(60))


@pytest.mark.parametrize("name", algorithm_names())
def test_a_seed_decides_a_trial(name, candidates, encodings):
    values = synthetic(candidates)

    def trial(seed):
        search = optimizer(name, candidates, encodings, seed)
        while len(search.rows) < 40:
            for row in search.ask_rows(1):
                search.tell_row(row, values[row])
        return search.rows

    assert trial(3) == trial(3)
    assert trial(3) != trial(4)


def test_architectures_are_told_in_any_drawing(candidates, encodings):
    search = optimizer("random", candidates, encodings)
    (cell,) = search.ask()
    search.tell(cell, 0.9)
    other = next(c for c in candidates if c != cell)
    search.tell(other, 0.5)  # never asked: accepted
    assert search.values == [0.9, 0.5]
    with pytest.raises(ValueError, match="told already"):
        search.tell(cell, 0.9)
    with pytest.raises(ValueError, match="inf"):
        search.tell_row(5, float("inf"))
    with pytest.raises(ValueError, match="n must be at least 1"):
        search.ask(0)
    known = {h.decode() for h in candidates.columns["hash"]}
    stranger = next(c for c in SPACE.sample(50, seed=9) if SPACE.hash(c) not in known)
    with pytest.raises(ValueError, match="is not among the candidates"):
        search.tell(stranger, 0.5)


@pytest.mark.parametrize("name", algorithm_names())
@settings(deadline=None, max_examples=5)
@given(stop=st.integers(0, 45), pending=st.integers(0, 3))
def test_a_state_that_went_through_json_goes_on_the_same(name, candidates, encodings, stop, pending):
    values = synthetic(candidates)

    def go_on(search, count):
        while len(search.rows) < count:
            for row in search.ask_rows(1):
                search.tell_row(row, values[row] if row % 7 else np.nan)
        return search

    first = go_on(optimizer(name, candidates, encodings), stop)
    waiting = first.ask_rows(pending) if pending else []
    state = json.loads(json.dumps(first.state_dict()))
    second = optimizer(name, candidates, encodings)
    second.load_state_dict(state)
    assert state["pending"] == sorted(waiting)
    assert go_on(second, 50).rows == go_on(first, 50).rows
    assert not set(waiting) & set(first.rows)


def test_a_state_of_something_else_is_refused(candidates, encodings):
    state = optimizer("random", candidates, encodings).state_dict()
    with pytest.raises(ValueError, match="search state: expected"):
        optimizer("cate-dngo-ls", candidates, encodings).load_state_dict(state)
    with pytest.raises(ValueError, match="row 300 is not among the 300 candidates"):
        optimizer("random", candidates, encodings).load_state_dict(state | {"pending": [300]})


def test_candidates_need_no_hashes_but_there_must_be_one(candidates):
    search = get_algorithm("random")(SPACE, candidates.replace_columns({}), 0)
    search.tell(candidates[4], 0.9)
    assert search.rows == [4]
    with pytest.raises(ValueError, match="at least one candidate"):
        get_algorithm("random")(SPACE, candidates[:0], 0)


def test_search_goes_on_when_every_evaluation_fails(candidates, encodings):
    search = optimizer("cate-dngo-ls", candidates, encodings)
    for _ in range(5):
        for row in search.ask_rows(10):
            search.tell_row(row, np.nan)
    assert len(set(search.rows)) == 50


def test_after_rounds_without_improvement_it_draws_at_random(candidates, encodings, monkeypatch):
    monkeypatch.setattr("cate_hf.search.cate_dngo_ls.PATIENCE", 4)
    search = optimizer("cate-dngo-ls", candidates, encodings)
    for row in search.ask_rows(INITIAL):
        search.tell_row(row, 0.9)
    sizes = []
    for _ in range(6):
        rows = search.ask_rows(1)
        rows += search.ask_rows(len(search._queue)) if search._queue else []
        sizes.append(len(rows))
        for row in rows:
            search.tell_row(row, 0.5)
    assert sizes == [10] * 4 + [INITIAL, 10]


def test_neighbours_are_exact_far_from_the_origin(candidates):
    """Where |a|² - 2ab loses all digits in float32."""
    encodings = (1000 + 0.01 * np.random.default_rng(0).normal(size=(300, 8))).astype(np.float32)
    search = optimizer("cate-dngo-ls", candidates, encodings)
    chosen = search._by_local_search(np.arange(5), np.linspace(0.9, 0.8, 5), [])
    taken = set()
    for row, neighbour in zip(range(5), chosen, strict=True):
        distances = ((encodings.astype(np.float64) - encodings[row]) ** 2).sum(1)
        distances[list(taken)] = np.inf
        assert neighbour == distances.argmin()
        taken.add(neighbour)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda e: None, "needs encodings"),
        (lambda e: e[:-1], r"must be \(300, D\)"),
        (lambda e: np.where(np.arange(300)[:, None] == 7, np.nan, e), "row 7: not finite"),
    ],
)
def test_encodings_are_checked(candidates, encodings, wrong, message):
    with pytest.raises(ValueError, match=message):
        optimizer("cate-dngo-ls", candidates, wrong(encodings))


def test_rounds_of_cate_dngo_ls(candidates, encodings):
    search = optimizer("cate-dngo-ls", candidates, encodings)
    values = synthetic(candidates)
    first = search.ask_rows(INITIAL)
    for row in first:
        search.tell_row(row, values[row])
    proposed = search.ask_rows(10)
    taken = set(first) | set(proposed[:5])
    best = sorted(first, key=lambda r: -values[r])[:5]
    for row, chosen in zip(best, proposed[5:], strict=True):  # the nearest that is free, by brute force
        distances = ((encodings - encodings[row]) ** 2).sum(1)
        free = [r for r in range(300) if r not in taken]
        assert distances[chosen] == pytest.approx(min(distances[r] for r in free))
        taken.add(chosen)


def test_it_asks_better_candidates_than_random_search_where_the_encoding_tells(candidates, encodings):
    values = synthetic(candidates)

    def asked(name):
        means = []
        for seed in range(3):
            search = optimizer(name, candidates, encodings, seed)
            while len(search.rows) < 46:
                for row in search.ask_rows(10 if search.rows else INITIAL):
                    search.tell_row(row, values[row])
            means.append(np.mean(search.values[INITIAL:46]))
        return np.mean(means)

    assert asked("cate-dngo-ls") > asked("random") + 0.02


def test_evidence_is_that_of_the_marginal_gaussian():
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=(30, 4)), np.ones(30)])
    targets = features @ rng.normal(size=5) + 0.2 * rng.normal(size=30)
    fitted = BayesianLinearRegression.fit(features, targets)

    def log_evidence(alpha, beta):
        covariance = features @ features.T / alpha + np.eye(30) / beta
        return multivariate_normal(np.zeros(30), covariance).logpdf(targets)

    best = log_evidence(fitted.alpha, fitted.beta)
    for factor in (0.7, 0.9, 1.1, 1.4):
        assert log_evidence(fitted.alpha * factor, fitted.beta) < best
        assert log_evidence(fitted.alpha, fitted.beta * factor) < best
    precision = fitted.alpha * np.eye(5) + fitted.beta * features.T @ features
    np.testing.assert_allclose(fitted.root @ fitted.root.T, np.linalg.inv(precision), rtol=1e-8)
    np.testing.assert_allclose(fitted.mean, fitted.beta * np.linalg.inv(precision) @ features.T @ targets, rtol=1e-8)


def test_dngo_predicts_what_it_was_fitted_to_and_doubts_what_is_far():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(80, 8)).astype(np.float32)
    targets = 0.9 + 0.02 * np.tanh(inputs[:, 0] - inputs[:, 1])
    surrogate = Dngo(seed=0).fit(inputs, targets)
    mean, deviation = surrogate.predict(inputs)
    assert np.corrcoef(mean, targets)[0, 1] > 0.9
    far = surrogate.predict((inputs * 10).astype(np.float32))[1]
    assert np.median(far) > np.median(deviation)
    # Constant targets and 1,000 points are no trouble.
    constant = Dngo().fit(inputs, np.full(80, 0.9)).predict(inputs)
    assert np.isfinite(constant).all()
    many = rng.normal(size=(1000, 8)).astype(np.float32)
    assert np.isfinite(Dngo().fit(many, many[:, 0]).predict(many)).all()


def test_expected_improvement_is_the_integral():
    for mean, deviation in ((0.9, 0.05), (0.95, 0.02), (1.05, 0.03), (0.9, 0.01)):
        exact = quad(lambda f, m=mean, d=deviation: (f - 1.0) * norm.pdf(f, m, d), 1.0, mean + 12 * deviation)[0]
        value = log_expected_improvement(np.array([mean]), np.array([deviation]), 1.0)[0]
        assert value == pytest.approx(np.log(exact), rel=1e-4)
    tiny = log_expected_improvement(np.linspace(0.1, 0.9, 50), np.full(50, 1e-4), 1.0)
    assert np.isfinite(tiny).all()
    assert (np.diff(tiny) > 0).all()  # still ordered where the improvement itself underflows


def benchmark_file(candidates, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"hash": candidates.columns["hash"].astype(str), "test_accuracy": synthetic(candidates)}
    pq.write_table(pa.table(columns), tmp_path / "cells.parquet")
    return load_benchmark("nasbench101", tmp_path / "cells.parquet")


def test_run_search_reports_regret_and_its_oracle(candidates, encodings, tmp_path):
    bench = benchmark_file(candidates, tmp_path)
    result = run_search("nasbench101", bench, "cate-dngo-ls", 30, 2, 5, encodings, candidates)
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
            run_search("nasbench101", bench, "random", queries, trials, 0, None, candidates)


def test_finished_trials_survive_an_interrupt(candidates, tmp_path):
    def interrupt(trial):
        if trial["seed"] == 1:
            raise KeyboardInterrupt

    bench = benchmark_file(candidates, tmp_path)
    result = run_search("nasbench101", bench, "random", 5, 4, 0, None, candidates, on_trial=interrupt)
    assert [t["seed"] for t in result["trials"]] == [0, 1]
    assert result["complete"] is False
    assert json.dumps(result)


def test_budgets_are_checked_before_any_work(tmp_path):
    for queries, trials, message in ((0, 1, "queries must be 1 to 423624"), (-1, 1, "not -1"), (5, 0, "trials must")):
        with pytest.raises(ValueError, match=message):
            search_to_file("nasbench101", "none", "adjacency", "random", queries, trials, 0, tmp_path / "out.json")


def test_encodings_by_name(candidates, tmp_path):
    part = candidates[:5]
    bundled = encode_candidates("cate", "nasbench101", part)
    assert bundled.shape == (5, 64)
    np.testing.assert_array_equal(encode_candidates("nasbench101", "nasbench101", part), bundled)
    assert encode_candidates("adjacency", "nasbench101", part).shape == (5, 36)
    with pytest.raises(ValueError, match="no bundled checkpoint 'adjacent'"):
        encode_candidates("adjacent", "nasbench101", part)


def test_search_on_the_published_table(nasbench101_table, tmp_path):
    output = tmp_path / "search.json"
    arguments = ("nasbench101", nasbench101_table, "adjacency", "cate-dngo-ls", 40, 1, 0, output)
    result = search_to_file(*arguments)
    assert json.loads(output.read_text()) == result
    assert result["candidates"] == 423_624
    assert result["encoding"] == "adjacency"
    assert result["summary"]["regret"]["40"]["mean"] < 0.02
    with pytest.raises(FileExistsError):
        search_to_file(*arguments)


def test_unknown_algorithm():
    with pytest.raises(ValueError, match="did you mean 'cate-dngo-ls'"):
        get_algorithm("dngo")
    assert issubclass(get_algorithm("cate-dngo-ls"), CateDngoLs)


def test_regularized_evolution_mutates_the_best_of_the_last():
    from cate_hf.search.regularized_evolution import POPULATION

    candidates = SPACE.enumerate()
    candidates = candidates[candidates.num_nodes <= 5]  # all of them: most neighbours are candidates too
    hashes = {h: row for row, h in enumerate(candidates.columns["hash"])}
    values = synthetic(candidates)
    search = optimizer("regularized-evolution", candidates, None)
    first = search.ask_rows(POPULATION)
    assert len(set(first)) == POPULATION
    for row in first:
        search.tell_row(row, values[row])
    mutated = 0
    for _ in range(40):
        population = search.rows[-POPULATION:]
        (child,) = search.ask_rows(1)
        around = {hashes.get(h) for row in population for h in SPACE.neighbours(candidates[row]).columns["hash"]}
        mutated += child in around
        search.tell_row(child, values[child])
    assert mutated == 40
    assert np.mean(search.values[-20:]) > np.mean(search.values[:POPULATION])
    assert len(set(search.rows)) == len(search.rows) == POPULATION + 40


def test_regret_is_drawn_and_what_has_none_is_refused(candidates, tmp_path):
    from cate_hf.search.figure import draw_regret

    bench = benchmark_file(candidates, tmp_path)
    results = {
        name: run_search("nasbench101", bench, name, 12, 2, 0, None, candidates)
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
    table = run_search("nasbench101", bench, "random", 20, 1, 0, None, candidates)
    bench.tabular = False
    asked = run_search("nasbench101", bench, "random", 20, 1, 0, None, candidates)
    assert asked["best_possible"] is asked["trials"][0]["regret"] is None
    assert asked["trials"][0]["best_so_far"] == table["trials"][0]["best_so_far"]
    assert set(asked["summary"]) == {"best_so_far", "seconds_a_trial"}
