"""What each algorithm does, as its source states it."""

import numpy as np
import pytest

from cate_hf import get_space
from cate_hf.encodings import get_encoding
from cate_hf.search import get_algorithm
from cate_hf.search._rounds import best_of
from cate_hf.surrogates.acquisition import log_expected_improvement
from cate_hf.surrogates.dngo import Dngo
from cate_hf.surrogates.network import Network, Training
from tests.search.searches import ENCODINGS, SPACE, optimizer, synthetic

VALUES = synthetic()


@pytest.fixture(scope="module")
def small_cells():
    """All cells of up to 5 vertices: most neighbours of one are among them."""
    cells = SPACE.enumerate()
    return cells[cells.num_nodes <= 5]


def tell_all(search, rows, values=VALUES):
    for row in rows:
        search.tell_row(row, values[row])


def nearest(row, free):
    """By brute force, nearest first."""
    distances = ((ENCODINGS.astype(np.float64) - ENCODINGS[row]) ** 2).sum(1)
    return [r for r in np.argsort(distances, kind="stable").tolist() if free[r]]


def test_rounds_of_cate_dngo_ls():
    search = optimizer("cate-dngo-ls", {})
    first = search.ask_rows(16)
    tell_all(search, first)
    rng = np.random.default_rng()
    rng.bit_generator.state = search.rng.bit_generator.state
    proposed = search.ask_rows(10)
    # Five by expected improvement against a perfect accuracy, all predicted in float64.
    surrogate = Dngo(seed=int(rng.integers(2**31))).fit(ENCODINGS[first], VALUES[first])
    score = log_expected_improvement(*surrogate.predict(ENCODINGS), 1.0)
    score[first] = -np.inf
    assert proposed[:5] == np.argsort(-score, kind="stable")[:5].tolist()
    # Five by local search: for each of the best, the nearest that is free.
    free = np.ones(300, bool)
    free[[*first, *proposed[:5]]] = False
    best = sorted(first, key=lambda row: -VALUES[row])[:5]
    for row, chosen in zip(best, proposed[5:], strict=True):
        assert chosen == nearest(row, free)[0]
        free[chosen] = False


def test_after_rounds_without_improvement_it_draws_at_random():
    search = optimizer("cate-dngo-ls", {"patience": 4})
    tell_all(search, search.ask_rows(16), np.full(300, 0.9))
    sizes = []
    for _ in range(6):
        rows = search.ask_rows(1)
        rows += search.ask_rows(len(search._queue)) if search._queue else []
        sizes.append(len(rows))
        tell_all(search, rows, np.full(300, 0.5))
    assert sizes == [10] * 4 + [16, 10]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("bananas", {"scored": "all"}),
        ("bo-dngo", {}),
        ("bo-gp", {}),
        ("cate-dngo-ls", {}),
        ("mlp-predictor", {}),
        ("neural-predictor", {"initial": 30}),
        ("local-search", {"perturb": "encoding"}),
        ("regularized-evolution", {"perturb": "encoding", "population": 16, "tournament": 6}),
        ("bananas", {"perturb": "encoding"}),
    ],
)
def test_it_asks_better_candidates_than_random_search_where_the_encoding_tells(name, settings):
    def asked(name, settings):
        means = []
        for seed in range(4):
            search = optimizer(name, settings, seed)
            while len(search.rows) < 60:
                tell_all(search, search.ask_rows(1))
            means.append(np.mean(search.values[30:60]))
        return np.mean(means)

    assert asked(name, settings) > asked("random", {}) + 0.012


@pytest.mark.parametrize("name", ["bo-dngo", "bo-gp"])
def test_bayesian_optimisation_proposes_the_most_expected_improvement(name):
    search = optimizer(name, {"initial": 10, "proposed": 4})
    first = search.ask_rows(10)
    tell_all(search, first)
    rng = np.random.default_rng()
    rng.bit_generator.state = search.rng.bit_generator.state
    proposed = search.ask_rows(4)
    if name == "bo-gp":
        from cate_hf.surrogates.gp import GaussianProcess

        surrogate = GaussianProcess.fit(ENCODINGS[first], VALUES[first])
    else:
        surrogate = Dngo(seed=int(rng.integers(2**31))).fit(ENCODINGS[first], VALUES[first])
    score = log_expected_improvement(*surrogate.predict(ENCODINGS), VALUES[first].max())
    score[first] = -np.inf
    assert proposed == np.argsort(-score, kind="stable")[:4].tolist()


def test_predictors_propose_what_they_predict_to_be_best():
    for name, settings, count in (("mlp-predictor", {}, 5), ("neural-predictor", {"initial": 16}, 90)):
        search = optimizer(name, settings)
        first = search.ask_rows(16)
        tell_all(search, first)
        rng = np.random.default_rng()
        rng.bit_generator.state = search.rng.bit_generator.state
        network = Network.fit(
            ENCODINGS[first], VALUES[first], Training.of(search.settings, "relu"), int(rng.integers(2**31))
        )
        free = np.ones(300, bool)
        free[first] = False
        asked = []
        for _ in range(count):  # the neural predictor goes on down one ranking, whatever it is told
            (row,) = search.ask_rows(1)
            search.tell_row(row, 0.1)
            asked.append(row)
        assert asked == best_of(network.predict(ENCODINGS), free, count)


def test_the_best_of_scores():
    scores = np.array([0.5, 0.9, 0.9, 0.1, 0.9, 0.7])
    free = np.array([True, True, False, True, True, True])
    assert best_of(scores, free, 3) == [1, 4, 5]
    assert best_of(scores, free, 1) == [1]  # ties by row
    assert best_of(scores, free, 9) == [1, 4, 5, 0, 3]
    assert best_of(scores, ~free & False, 2) == []


def test_bananas_scores_steps_from_the_best():
    search = optimizer("bananas", {"initial": 12, "parents": 3, "perturb": "encoding", "nearest": 5, "proposed": 6})
    first = search.ask_rows(12)
    tell_all(search, first)
    free = np.ones(300, bool)
    free[first] = False
    best = sorted(first, key=lambda row: -VALUES[row])[:3]
    around = {other for row in best for other in nearest(row, free)[:5]}
    assert set(search.ask_rows(6)) <= around


def test_regularized_evolution_mutates_the_best_of_the_last(small_cells):
    rows_by_hash = {h: row for row, h in enumerate(small_cells.columns["hash"])}
    values = synthetic(small_cells)
    search = get_algorithm("regularized-evolution")(SPACE, small_cells, 0)
    first = search.ask_rows(30)
    assert len(set(first)) == 30
    tell_all(search, first, values)
    for _ in range(40):
        population = search.rows[-30:]
        (child,) = search.ask_rows(1)
        around = {rows_by_hash.get(h) for row in population for h in SPACE.neighbours(small_cells[row]).columns["hash"]}
        assert child in around
        search.tell_row(child, values[child])
    assert np.mean(search.values[-20:]) > np.mean(search.values[:30])


def test_a_mutation_in_the_encoding_is_one_of_the_nearest_unvisited():
    search = optimizer(
        "regularized-evolution", {"population": 5, "tournament": 60, "perturb": "encoding", "nearest": 3}
    )
    tell_all(search, search.ask_rows(5))
    for _ in range(25):
        parent = max(search.rows[-5:], key=lambda row: VALUES[row])
        free = np.ones(300, bool)
        free[search.rows] = False
        (child,) = search.ask_rows(1)
        tied = [row for row in search.rows[-5:] if VALUES[row] == VALUES[parent]]
        assert child in {other for row in tied for other in nearest(row, free)[:3]}
        search.tell_row(child, VALUES[child])


def test_steps_of_an_encodings_own_are_taken():
    encoding = get_encoding("adjacency", SPACE)
    cells = SPACE.enumerate()
    cells = cells[cells.num_nodes <= 5]
    for name in ("regularized-evolution", "local-search", "bananas"):
        settings = {"perturb": "encoding"} | ({"population": 5} if name == "regularized-evolution" else {"initial": 5})
        vectors = encoding.transform(cells) if name == "bananas" else None
        search = get_algorithm(name)(SPACE, cells, 0, vectors, encoding, **settings)
        assert (search.encoding is None) == encoding.by_table
        values = synthetic(cells)
        for _ in range(30):
            tell_all(search, search.ask_rows(1), values)
        assert len(set(search.rows)) == 30


class Recorded:
    """An encoding with steps of its own: to the candidate of the next row, or nowhere from the last."""

    name, by_table = "recorded", False

    def __init__(self, cells):
        self.cells = list(cells)

    def perturb(self, cell, rng):
        row = self.cells.index(cell) + int(rng.integers(1, 3))
        return self.cells[row] if row < len(self.cells) else None


def test_own_steps_lead_where_the_encoding_says(small_cells):
    cells = small_cells[:40]
    search = get_algorithm("regularized-evolution")(
        SPACE, cells, 0, None, Recorded(cells), perturb="encoding", population=4, tournament=2
    )
    tell_all(search, search.ask_rows(4), np.linspace(0, 1, 40))
    near = 0
    while rows := search.ask_rows(1):
        near += any(rows[0] - row in (1, 2) for row in search.rows[-4:])
        tell_all(search, rows, np.linspace(0, 1, 40))
    assert sorted(search.rows) == list(range(40))
    assert near > 15


def test_local_search_climbs_and_starts_again(small_cells):
    rows_by_hash = {h: row for row, h in enumerate(small_cells.columns["hash"])}
    values = synthetic(small_cells) + 1e-4 * np.random.default_rng(0).random(len(small_cells))

    def around(row):
        hashes = SPACE.neighbours(small_cells[row]).columns["hash"]
        return {rows_by_hash[h] for h in hashes if h in rows_by_hash}

    for whole in (False, True):
        search = get_algorithm("local-search")(SPACE, small_cells, 0, initial=5, whole_neighbourhood=whole)
        tops = 0
        current, drawn = None, []
        for _ in range(400):
            (row,) = search.ask_rows(1)
            known = {r: values[r] for r in search.rows}
            if search._current is None:  # a random one
                if current is not None:
                    # The last climb ended where no neighbour is better, all of them known.
                    while better := [r for r in around(current) if known.get(r, 0) > values[current]]:
                        current = max(better, key=known.__getitem__)
                    assert around(current) <= set(known)
                    tops, current, drawn = tops + 1, None, []
                drawn.append(row)
            else:
                assert row in around(search._current)
                if current is None:
                    assert len(drawn) % 5 == 0
                elif search._current != current:
                    assert values[search._current] > values[current]
                    if whole:
                        assert around(current) <= set(known)
                current = search._current
            search.tell_row(row, values[row])
        assert tops >= 3


def test_local_search_in_the_encoding_goes_to_the_nearest_first():
    search = optimizer("local-search", {"initial": 3, "perturb": "encoding", "nearest": 4})
    tell_all(search, search.ask_rows(3), np.full(300, 0.9))
    foot = search.rows[0]
    free = np.ones(300, bool)
    free[search.rows] = False
    wanted = nearest(foot, free)[:4]
    for row in wanted:
        assert search.ask_rows(1) == [row]
        search.tell_row(row, 0.5)
    search.ask_rows(1)
    assert search._current is None  # a hill of its own: another start


def test_open_steps_lead_out_of_the_candidates():
    space = get_space("darts")
    start = space.sample(30, seed=0)
    values = {}

    def value(search, row):
        cell = search.candidates[row]
        convolutions = sum("conv" in name for name in cell.operations)
        values[search.candidates.columns["hash"][row]] = convolutions
        return float(convolutions)

    for name, settings in (("regularized-evolution", {"population": 20, "tournament": 5}), ("local-search", {})):
        search = get_algorithm(name)(space, start, 0, perturb="open", **settings)
        inside = get_algorithm(name)(space, start, 0, perturb="space", **settings)
        seen = set()
        for _ in range(60):
            (row,) = search.ask_rows(1)
            if row >= 30 and name == "regularized-evolution":  # a child: one step from one of the last 20
                around = set(space.neighbours(search.candidates[row]).columns["hash"])
                assert around & set(search.candidates.columns["hash"][search.rows[-20:]])
            search.tell_row(row, value(search, row))
            seen.add(search.candidates.columns["hash"][row])
        assert len(seen) == 60  # nothing twice, whether it was a candidate from the first or not
        assert len(np.unique(search.candidates.columns["hash"])) == len(search.candidates) > 150
        assert max(search.values) > max(value(search, row) for row in range(30))
        assert search.given == 30
        while rows := inside.ask_rows(1):
            inside.tell_row(rows[0], value(inside, rows[0]))
        assert sorted(inside.rows) == list(range(30))
