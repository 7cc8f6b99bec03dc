"""What the tabs show, without a page: and that the Python and the command line beside them give the same."""

import base64
import csv
import io
import re
import shlex
from types import SimpleNamespace

import numpy as np
import pytest

from cate_hf import get_space, load_benchmark
from cate_hf.app import _look, _map, _neighbours, _predict, _race, _table
from cate_hf.app import _parts as parts
from cate_hf.app import _shared as shared
from cate_hf.app._reading import ANY, read_given
from cate_hf.cli import main
from cate_hf.search.evaluation import Evaluation
from cate_hf.search.run import run_trial
from tests.app.conftest import CELL
from tests.app.test_reading import CHAIN, GENOTYPE

SPACE_YAML = """
name: nasbench101
operations: {left: {parameters: 7}, right: {parameters: 5}}
nodes: [3, 6]
edges: [2, 9]
"""


def given(text: str = CELL):
    return read_given(text, ANY, shared.known_spaces())


def test_look_and_what_it_says_to_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    space = get_space("nasbench201")
    shown, python, shell = _look.look(given())
    cell = space.parse(CELL)
    for fact in (space.hash(cell), f"{space.parameters(cell):,}", f"{space.flops(cell):,}", CELL, "data:image/svg+xml"):
        assert fact in shown
    exec(python, {})
    assert space.hash(cell) in capsys.readouterr().out
    assert (tmp_path / "cell.svg").is_file()
    (tmp_path / "cell.svg").unlink()
    assert main(shlex.split(shell)[1:]) == 0
    assert space.hash(cell) in capsys.readouterr().out


def test_look_at_two_cells_and_at_one_of_no_space():
    shown, python, _ = _look.look(given(GENOTYPE))
    assert "normal cell" in shown
    assert "reduction cell" in shown
    exec(python.replace(".svg", ".svg").split("draw(")[0], {})
    strange = CHAIN.to_dict() | {"operations": ["input", "<script>alert(1)</script>", "output"]}
    shown, *_ = _look.look(given(str(strange).replace("'", '"')))
    assert "<script" not in shown


def test_neighbours_are_those_of_the_encoding():
    shown, _, shell = _neighbours.nearest(given(), "adjacency", 4)
    table, space = shared.bounded_pool("nasbench201"), get_space("nasbench201")
    vectors = shared.encoded("nasbench201", "adjacency")
    own = shared.encode("nasbench201", "adjacency", space.table([CELL]))[0]
    distances = np.linalg.norm(vectors - own, axis=1)
    found = re.findall(r'<code title="hash">(\w+)</code>', shown)
    others = distances[table.columns["hash"] != found[0]]
    rows = [table.columns["hash"].tolist().index(name) for name in found[1:]]
    assert found[0] == space.hash(space.parse(CELL))
    assert np.allclose(distances[rows], np.sort(others)[:4], atol=1e-5)
    assert "accuracy" in shown
    assert shell.startswith("#")
    with pytest.raises(ValueError, match="no encoding 'nothing'"):
        _neighbours.nearest(given(), "nothing", 4)


def test_the_map_has_a_dot_for_each_and_a_star():
    figure, note = _map.space_map("nasbench201", "adjacency", _map.ACCURACY, given())
    dots, star = figure["data"]
    assert len(dots["x"]) == len(dots["text"]) == len(dots["marker"]["color"]) == 400
    assert star["marker"]["symbol"] == "star"
    assert "400" in note
    row = dots["text"].index(max(dots["text"], key=lambda text: float(text.split("accuracy ")[1].split()[0])))
    assert dots["marker"]["color"][row] == max(dots["marker"]["color"])
    with pytest.raises(ValueError, match="no accuracies come with the package for darts"):
        _map.space_map("darts", "adjacency", _map.ACCURACY)


@pytest.fixture
def fits(monkeypatch):
    """In place of a second fit, which takes its time: the predictor that is there, and what was asked for."""
    asked = []

    def fit(*arguments, **options):
        asked.append((*arguments, options))
        return fits.predictor

    monkeypatch.setattr("cate_hf.fit_predictor", fit, raising=False)
    fits = SimpleNamespace(asked=asked, predictor=None)
    return fits


def test_predict_and_its_python(fits):
    shown, python, _ = _predict.predict(given())
    fits.predictor, _ = shared.predictor_of("nasbench201")
    exec(python, names := {})
    ((table, labels, options),) = fits.asked
    assert options == {"encoder": "nasbench201"} | shared.FIT
    assert (table.columns["hash"] == get_space("nasbench201").sample(30, seed=0).columns["hash"]).all()
    assert (labels == load_benchmark("nasbench201").query_many(table, "validation_accuracy")).all()
    mean = names["predictor"].predict(names["cell"])[0][0]
    assert f"{100 * mean:.2f} %" in shown
    measured = load_benchmark("nasbench201").query(CELL, "validation_accuracy")
    assert f"<td>measured</td><td>{100 * measured:.2f} %</td>" in shown
    best = names["steps"][0]
    assert parts.html.escape(best.what) in shown
    assert f"{100 * best.difference:+.2f} points" in shown
    with pytest.raises(ValueError, match="neither a predictor nor results of darts"):
        _predict.predict(given(GENOTYPE))


def test_the_bundled_predictor_of_nasbench101():
    shown, python, _ = _predict.predict(given(CHAIN.to_json()))
    assert "the bundled predictor" in shown
    assert 'load_predictor("nasbench101-accuracy")' in python


def test_a_race_gives_the_trials_of_a_search():
    settings = _race.settings_of("nasbench201", ["adjacency"], ["random", "bo-dngo"], 25, 2, 0)
    *_, racers = _race.race(settings)
    evaluation = Evaluation(shared.results_of("nasbench201"), shared.bounded_pool("nasbench201"))
    for racer in racers:
        vectors = None if racer.algorithm == "random" else shared.encoded("nasbench201", "adjacency")
        trial = run_trial(evaluation, racer.algorithm, 25, racer.seed, vectors)
        assert racer.hashes == [query["hash"] for query in trial["queries"]]
        assert np.allclose(racer.regrets, trial["regret"])
    rows = list(csv.DictReader(io.StringIO(_race.as_csv(racers))))
    assert len(rows) == 2 * 2 * 25
    assert {row["encoding"] for row in rows} == {"", "adjacency"}
    assert len(_race.curves(racers, 25)["data"]) == 2
    assert "bo-dngo, adjacency" in _race.standings(racers)


def test_a_race_can_be_stopped():
    settings = _race.settings_of("nasbench201", [], ["random"], 50, 1, 0)
    rounds = []
    for racers in _race.race(settings, lambda: len(rounds) > 3):
        rounds.append(len(racers[0].regrets))
    assert rounds == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algorithms": []}, "at least one search algorithm"),
        ({"algorithms": ["nothing"]}, "'nothing' is not one of"),
        ({"encodings": []}, "needs at least one"),
        ({"queries": 1e9}, "queries must be 1 to 150"),
        ({"trials": 0}, "trials must be 1 to 5"),
        ({"space": "darts"}, "no results of darts"),
        ({"algorithms": ["bo-gp", "bo-dngo"], "encodings": list(shared.ENCODINGS)}, "at most 6 race"),
    ],
)
def test_races_that_are_refused(change, message):
    asked = {
        "space": "nasbench201",
        "encodings": ["cate"],
        "algorithms": ["bo-gp"],
        "queries": 20,
        "trials": 1,
        "seed": 0,
    }
    with pytest.raises(ValueError, match=message):
        _race.settings_of(**asked | change)


def test_a_table_of_ones_own(results, monkeypatch, fits):
    table, remarks = _table.read_table(results, get_space("nasbench201"))
    fitted = _table.fit_to_table(table, None, 10, remarks)
    assert (fitted.field, fitted.labels, len(fitted.next)) == ("accuracy", 40, 10)
    assert not np.isin(fitted.next.columns["hash"], table.candidates().columns["hash"]).any()
    shown = _table.summary(fitted)
    link = re.search(r'href="data:text/csv;base64,([^"]+)"', shown)[1]
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(link).decode())))
    assert [row["hash"] for row in rows] == fitted.next.columns["hash"].tolist()
    python = _table._python(fitted, 10)
    assert len(python.splitlines()) == 5
    monkeypatch.chdir(results.parent)
    fits.predictor = fitted.predictor
    exec(python.rsplit("\n", 1)[0], {})
    ((trained, labels, options),) = fits.asked
    assert trained.columns["hash"].tolist() == table.candidates().columns["hash"].tolist()
    assert (labels == table.query_many(trained, "accuracy")).all()
    assert options == {"encoder": "nasbench201"} | shared.FIT


def test_a_space_of_ones_own_stays_ones_own(tmp_path):
    before = get_space("nasbench101")
    space = _table.own_space(SPACE_YAML)
    path = tmp_path / "own.jsonl"
    lines = [
        parts.json.dumps(cell.to_dict() | {"score": float(cell.operations.count("left"))})
        for cell in space.sample(20, seed=1)
    ]
    path.write_text("\n".join(lines))
    table, remarks = _table.read_table(path, space)
    fitted = _table.fit_to_table(table, "score", 5, remarks)
    assert fitted.next.columns["predicted"][0] > np.mean(table.query_many(table.candidates(), "score"))
    assert 'space="my_space.yaml"' in _table._python(fitted, 5)
    assert get_space("nasbench101") is before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.pkl", b"\x80\x04N.", "expected a file ending in"),
        ("t.csv", b"architecture,accuracy\n|nor~0|,0.5\n", "t.csv, row 0: "),
        ("t.csv", b"a,b\n1,2\n", "no architectures"),
        ("t.csv", b"", "empty"),
        ("t.parquet", b"nothing", "not a readable Parquet"),
        ("t.csv", b" " * (_table.MOST_BYTES + 1), "at most 5 MB"),
    ],
)
def test_tables_that_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        _table.read_table(path, get_space("nasbench201"))
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "paste the YAML"),
        ("name: !!python/object/apply:os.system [true]", "not valid YAML"),
        ("a: " + "b" * _table.MOST_YAML, "at most 20,000"),
        ("name: big\noperations: [a, b]\nnodes: [3, 60]\nedges: [2, 100]", "at most 24"),
    ],
)
def test_spaces_that_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        _table.own_space(text)


def test_errors_are_shown_in_a_line_and_bugs_are_not_shown(caplog):
    def fails(error):
        raise error

    assert parts.guarded(fails, 2)(ValueError("a <b>"))[0] == parts.problem("a <b>")
    assert "<b>" not in parts.problem("a <b>")
    said, *rest = parts.guarded(fails, 2)(KeyError("secret"))
    assert "KeyError" in said
    assert "secret" not in said
    assert rest == [None, None]
