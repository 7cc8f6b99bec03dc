"""Ask and tell, of every algorithm."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import Architecture
from cate_hf.search import algorithm_names, get_algorithm
from tests.search.searches import (
    CANDIDATES,
    ENCODINGS,
    NAMES,
    QUICK,
    SPACE,
    VARIANTS,
    go_on,
    optimizer,
    synthetic,
    value,
)

every_algorithm = pytest.mark.parametrize(("name", "chosen"), VARIANTS, ids=NAMES)
with_fixed_candidates = pytest.mark.parametrize(
    ("name", "chosen"), [(name, chosen) for name, chosen in VARIANTS if chosen.get("perturb") != "open"]
)


def test_the_tests_know_every_algorithm():
    assert sorted(QUICK) == algorithm_names()
    for name in algorithm_names():
        assert get_algorithm(name).name == name
        assert "Settings:" in get_algorithm(name).__doc__ or not get_algorithm(name).defaults


@every_algorithm
@settings(deadline=None, max_examples=6)
@given(data=st.data())
def test_nothing_is_asked_twice_in_whatever_order_answers_come(name, chosen, data):
    search = optimizer(name, chosen, seed=data.draw(st.integers(0, 100)))
    values, pending, told = synthetic(), [], []
    for _ in range(8):
        new = search.ask_rows(data.draw(st.integers(1, 9)))
        assert not set(new) & {*told, *pending}
        assert len(set(new)) == len(new) > 0
        pending += new
        assert search.pending_rows() == pending
        for _ in range(data.draw(st.integers(0, len(pending)))):
            row = pending.pop(data.draw(st.integers(0, len(pending) - 1)))
            search.tell_row(row, np.nan if data.draw(st.integers(0, 9)) == 0 else value(search, row))
            told.append(row)
        unasked = data.draw(st.integers(0, 299))  # somebody else's result
        if unasked not in {*told, *pending}:
            search.tell_row(unasked, values[unasked])
            told.append(unasked)
    assert search.rows == told


@with_fixed_candidates
def test_all_candidates_are_asked_in_the_end_and_no_more(name, chosen):
    search = optimizer(name, chosen, count=40)
    asked = []
    while rows := search.ask_rows(4):
        asked += rows
        for row in rows:
            search.tell_row(row, 0.5 + row / 1000)
    assert sorted(asked) == list(range(40))
    assert search.pending() == search.ask() == []


@with_fixed_candidates
def test_parallel_asks_before_any_answer(name, chosen):
    search = optimizer(name, chosen, count=60)
    asked = [*search.ask_rows(5), *search.ask_rows(5), *search.ask_rows(30), *search.ask_rows(30)]
    assert sorted(asked) == list(range(60))
    for row in reversed(asked):
        search.tell_row(row, 0.5)
    assert search.rows == asked[::-1]


@every_algorithm
def test_a_seed_decides_a_trial(name, chosen):
    first, again, other = (go_on(optimizer(name, chosen, seed), 26).rows for seed in (3, 3, 4))
    assert first == again
    assert first != other


@every_algorithm
def test_search_goes_on_when_every_evaluation_fails(name, chosen):
    search = optimizer(name, chosen)
    for _ in range(4):
        for row in search.ask_rows(10):
            search.tell_row(row, np.nan)
    assert len(set(search.rows)) == 40
    assert np.isnan(search.values).all()


@with_fixed_candidates
def test_equal_values_and_equal_encodings_are_no_trouble(name, chosen):
    same = np.zeros((60, 3), np.float32)
    search = get_algorithm(name)(SPACE, CANDIDATES[:60], 0, same, **chosen)
    while rows := search.ask_rows(7):
        for row in rows:
            search.tell_row(row, 0.9)
    assert len(search.rows) == 60


@every_algorithm
@settings(deadline=None, max_examples=3)
@given(stop=st.integers(0, 30), waiting=st.integers(0, 3))
def test_a_state_that_went_through_json_goes_on_the_same(name, chosen, stop, waiting):
    first = go_on(optimizer(name, chosen), stop)
    rows = first.ask_rows(waiting) if waiting else []
    state = json.loads(json.dumps(first.state_dict()))
    second = optimizer(name, chosen)
    second.load_state_dict(state, first.state_arrays())
    assert state["pending"] == second.pending_rows() == rows
    assert go_on(second, 34).rows == go_on(first, 34).rows
    assert not set(rows) & set(first.rows)


def test_a_state_of_something_else_is_refused():
    state = optimizer("random").state_dict()
    with pytest.raises(ValueError, match="search state: expected"):
        optimizer("cate-dngo-ls").load_state_dict(state)
    for change, message in (
        ({"pending": [300]}, "row 300 is not among the 300 candidates"),
        ({"pending": [-1]}, "row -1 is not among"),
        ({"rows": [1]}, "a value for each row"),
        ({"pending": [2, 2]}, "each row once"),
        ({"pending": [2], "rows": [2], "values": [0.5]}, "each row once"),
    ):
        with pytest.raises(ValueError, match=message):
            optimizer("random").load_state_dict(state | change)


def test_architectures_are_told_in_any_drawing_asked_for_or_not():
    search = optimizer("random")
    (cell,) = search.ask()
    search.tell(cell, 0.9)
    other = next(c for c in CANDIDATES if c != cell and c.num_nodes == 7)
    search.tell(redrawn(other), 0.5)  # never asked: accepted
    failed = search.ask()[0]
    search.fail(redrawn(failed))
    assert search.values[:2] == [0.9, 0.5]
    assert np.isnan(search.values[2])
    assert search.pending() == []
    assert [CANDIDATES[row] for row in search.rows] == [cell, other, failed]


def redrawn(cell):
    """The cell with two interior nodes in another order, where nothing forbids it."""
    for i in range(1, cell.num_nodes - 2):
        if not cell.adjacency[i, i + 1]:
            order = [*range(i), i + 1, i, *range(i + 2, cell.num_nodes)]
            return Architecture([cell.operations[n] for n in order], cell.adjacency[np.ix_(order, order)])
    return cell


def test_what_cannot_be_told_changes_nothing():
    search = optimizer("random")
    (cell,) = search.ask()
    search.tell(cell, 0.9)
    known = {str(h) for h in CANDIDATES.columns["hash"]}
    stranger = next(c for c in SPACE.sample(50, seed=9) if SPACE.hash(c) not in known)
    before = search.state_dict()
    for call, message in (
        (lambda: search.tell(cell, 0.9), "told already"),
        (lambda: search.fail(cell), "told already"),
        (lambda: search.tell_row(5, float("inf")), "inf"),
        (lambda: search.tell_row(5, -np.inf), "-inf"),
        (lambda: search.tell_row(5, None), "expected a number"),
        (lambda: search.tell_row(5, "good"), "'good'; expected a number"),
        (lambda: search.tell_row(300, 0.5), "row 300 of 300"),
        (lambda: search.tell_row(-1, 0.5), "row -1 of 300"),
        (lambda: search.tell(stranger, 0.5), "is not among the candidates"),
        (lambda: search.ask(0), "n must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert search.state_dict() == before


def test_an_ask_that_is_interrupted_asks_nothing(monkeypatch):
    search = go_on(optimizer("cate-dngo-ls"), 12)
    other = go_on(optimizer("cate-dngo-ls"), 12)
    before, propose = search.state_dict(), search._propose
    calls = iter([propose, propose, None])

    def interrupted(n):
        step = next(calls)
        if step is None:
            raise KeyboardInterrupt
        return step(n)

    monkeypatch.setattr(search, "_propose", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search.ask_rows(40)
    monkeypatch.undo()
    assert search.state_dict() == before
    assert go_on(search, 30).rows == go_on(other, 30).rows


def test_candidates_need_no_hashes_but_there_must_be_one():
    search = get_algorithm("random")(SPACE, CANDIDATES.replace_columns({}), 0)
    search.tell(CANDIDATES[4], 0.9)
    assert search.rows == [4]
    with pytest.raises(ValueError, match="at least one candidate"):
        get_algorithm("random")(SPACE, CANDIDATES[:0], 0)


@pytest.mark.parametrize("name", [name for name in algorithm_names() if get_algorithm(name).needs_encodings])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda e: None, "needs encodings"),
        (lambda e: e[:-1], r"must be \(300, D\)"),
        (lambda e: e[:, 0], r"must be \(300, D\)"),
        (lambda e: np.where(np.arange(300)[:, None] == 7, np.nan, e), "row 7: not finite"),
        (lambda e: np.where(np.arange(300)[:, None] == 8, 1e30, e), "row 8: too large"),
    ],
)
def test_encodings_are_checked(name, wrong, message):
    with pytest.raises(ValueError, match=message):
        get_algorithm(name)(SPACE, CANDIDATES, 0, wrong(ENCODINGS))


def test_steps_in_the_encoding_need_one():
    for name in ("local-search", "regularized-evolution"):
        with pytest.raises(ValueError, match="needs encodings"):
            get_algorithm(name)(SPACE, CANDIDATES, 0, perturb="encoding")
        assert get_algorithm(name)(SPACE, CANDIDATES, 0, ENCODINGS).encodings is None  # and no others keep it


@pytest.mark.parametrize(
    ("name", "given_settings", "message"),
    [
        ("cate-dngo-ls", {"inital": 5}, "unknown setting of cate-dngo-ls 'inital'; did you mean 'initial'"),
        ("random", {"initial": 5}, "unknown setting of random 'initial'"),
        ("cate-dngo-ls", {"initial": 0}, "initial: expected a whole number of at least 1, not 0"),
        ("cate-dngo-ls", {"initial": 2.5}, "expected a whole number"),
        ("cate-dngo-ls", {"initial": True}, "expected a whole number"),
        ("cate-dngo-ls", {"target": -1.0}, "target: expected a number of at least 0"),
        ("bo-gp", {"target": float("nan")}, "target: expected a number or None"),
        ("bo-gp", {"target": "best"}, "target: expected a number or None"),
        ("bananas", {"acquisition": "ucb"}, "expected one of thompson, expected-improvement, not 'ucb'"),
        ("local-search", {"perturb": "both"}, "expected one of space, encoding"),
        ("local-search", {"whole_neighbourhood": 1}, "expected true or false"),
        ("mlp-predictor", {"learning_rate": np.inf}, "learning_rate: expected a number"),
    ],
)
def test_settings_are_checked(name, given_settings, message):
    with pytest.raises(ValueError, match=message):
        optimizer(name, given_settings)


def test_settings_are_plain():
    assert optimizer("bo-gp", {"initial": 5.0, "target": 1}).settings == {"initial": 5, "proposed": 5, "target": 1.0}


def test_unknown_algorithm():
    with pytest.raises(ValueError, match="did you mean 'cate-dngo-ls'"):
        get_algorithm("cate-dngo")
