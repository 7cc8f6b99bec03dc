"""A table of results of one's own: every form of file, duplicates, and what is refused."""

import csv
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import Architecture, ArchitectureTable, get_space, load_benchmark
from cate_hf.benchmarks import find_benchmark
from cate_hf.benchmarks.table.table_benchmark import TableBenchmark
from cate_hf.cli import main
from cate_hf.search.figure import draw_regret
from cate_hf.search.run import SearchSettings, run_search
from cate_hf.spaces.custom.custom_space import CustomSpace

SPACE = CustomSpace(name="table-space", operations={"a": {"weights": 3}, "b": {"weights": 5}}, nodes=[2, 5])
BIG = CustomSpace(name="big-space", operations=["a", "b", "c"], nodes=[3, 14], edges=[2, 26], pool=300)
FORMS = ("csv", "jsonl", "parquet")


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CATE_HF_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def rows_of(table, how="graph", space=SPACE, **metrics):
    hashes = space.hash_many(table)
    rows = []
    for i, a in enumerate(table):
        row = {"graph": a.to_dict(), "hash": {"hash": str(hashes[i])}, "json": {"architecture": a.to_json()}}[how]
        rows.append(row | {name: values[i] for name, values in metrics.items()})
    return rows


def write(path, rows):
    """Rows as a file of the form that the suffix says, by other code than reads it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".csv":
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            for row in rows:
                cells = [row.get(name) for name in names]
                writer.writerow([json.dumps(c) if isinstance(c, list) else c for c in cells])
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([{n: row.get(n) for n in names} for row in rows]), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def architectures():
    return SPACE.enumerate()[:60]


@pytest.mark.parametrize("how", ["graph", "hash", "json"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same(tmp_path, architectures, form, how):
    accuracy = [round(float(x), 6) for x in np.random.default_rng(0).random(60)]
    layers = list(range(100, 160))
    loss = [None if i % 7 == 0 else 0.5 * i for i in range(60)]
    file = write(tmp_path / f"mine.{form}", rows_of(architectures, how, accuracy=accuracy, layers=layers, loss=loss))
    bench = load_benchmark(file, space=SPACE)
    assert isinstance(bench, TableBenchmark)
    assert bench.fields == ["accuracy", "layers", "loss"]
    assert (len(bench), bench.duplicates, bench.name) == (60, 0, f"mine.{form}")
    assert np.array_equal(bench.query_many(architectures, "accuracy"), accuracy)
    assert np.array_equal(bench.query_many(list(architectures)[::-1], "layers"), layers[::-1])
    row = bench.query(architectures[1])
    assert row == {"accuracy": accuracy[1], "layers": 101, "loss": 0.5}
    assert isinstance(row["layers"], int)
    assert bench.query(architectures[1].to_json(), "loss") == 0.5
    with pytest.raises(ValueError, match="no 'loss' for this architecture"):
        bench.query(architectures[0])["loss"]
    with pytest.raises(ValueError, match="no 'loss' for 9 of 60 architectures, first row 0"):
        bench.query_many(architectures, "loss")
    with pytest.raises(ValueError, match=r"missing='nan' gives NaN there, and measured\('loss'\) those that have it"):
        bench.query_many(architectures, "loss")
    assert np.isnan(bench.query_many(architectures, "loss", missing="nan")).sum() == 9
    measured, values = bench.measured("loss", "layers")
    assert len(measured) == len(values["loss"]) == 51
    assert np.array_equal(bench.query_many(measured, "layers"), values["layers"])
    assert np.array_equal(bench.query_many(measured, "loss"), values["loss"])
    assert list(bench.measured()[1]) == ["accuracy"]
    assert np.array_equal(architectures.columns["hash"][bench.file_rows(measured)], measured.columns["hash"])
    best = int(np.argmax(accuracy))
    assert bench.best("accuracy") == (architectures.columns["hash"][best], accuracy[best])
    assert bench.oracle("loss") == f"column loss of mine.{form}"
    candidates = bench.candidates()
    assert np.array_equal(candidates.columns["hash"], bench.hashes)
    assert np.array_equal(SPACE.hash_many(candidates), bench.hashes)
    assert np.array_equal(candidates.columns["weights"], SPACE.costs(candidates.replace_columns({}), "weights"))


def redrawn():
    one = Architecture(["input", "a", "b", "output"], [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4])
    two = Architecture(["input", "b", "a", "output"], [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4])
    loose = Architecture(
        ["input", "b", "a", "a", "output"], [[0, 1, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0] * 5, [0] * 5]
    )
    return one, two, loose


@pytest.mark.parametrize("form", FORMS)
def test_drawings_of_one_architecture_are_merged(tmp_path, form):
    other = Architecture(["input", "output"], [[0, 1], [0, 0]])
    one, two, loose = redrawn()
    rows = [
        one.to_dict() | {"score": 1.0, "layers": 3, "steps": 2, "id": 2**60 + 1},
        other.to_dict() | {"score": 9.0, "layers": 7, "steps": 1, "id": 2**60 + 3},
        two.to_dict() | {"score": 2.0, "layers": 5, "steps": 3, "id": 2**60 + 1},
        loose.to_dict() | {"score": None, "layers": 7, "steps": 9, "id": 2**60 + 1},
    ]
    file = write(tmp_path / f"mine.{form}", rows)
    with pytest.warns(UserWarning, match=r"mine.\w+: 2 rows have the architecture of an earlier one"):
        bench = load_benchmark(file, space=SPACE)
    assert bench.duplicates == 2
    assert "2 rows merged" in repr(bench)
    expected = {"score": 1.5, "layers": 5, "steps": 14 / 3, "id": 2**60}
    assert bench.query(one) == bench.query(two) == bench.query(loose) == expected
    assert bench.query(other) == {"score": 9.0, "layers": 7, "steps": 1.0, "id": 2**60 + 3}
    assert isinstance(bench.query(one)["layers"], int)
    assert bench.oracle("score").endswith("mean over the rows of an architecture")


def test_default_field(tmp_path, architectures):
    table = architectures[:5]
    one = load_benchmark(write(tmp_path / "a.jsonl", rows_of(table, loss=[3.0, 1, 2, 5, 4])), space=SPACE)
    assert one.default_field == "loss"
    assert one.best()[1] == 5
    assert one.query_many(table).tolist() == [3, 1, 2, 5, 4]
    beside = load_benchmark(write(tmp_path / "b.csv", rows_of(table, weights=[1] * 5, loss=range(5))), space=SPACE)
    assert beside.default_field == "loss"
    two = load_benchmark(write(tmp_path / "c.csv", rows_of(table, loss=range(5), f1=range(5))), space=SPACE)
    with pytest.raises(ValueError, match="c.csv has several fields, name one of loss, f1"):
        two.best()
    accuracy = write(tmp_path / "d.csv", rows_of(table, loss=range(5), top1_accuracy=range(5)))
    assert load_benchmark(accuracy, space=SPACE).default_field == "top1_accuracy"


def test_an_accuracy_that_is_no_number_is_not_passed_over(tmp_path, architectures):
    rows = rows_of(architectures[:3], accuracy=["0.9", "0,93", "0.8"], seconds=[60] * 3)
    bench = load_benchmark(write(tmp_path / "a.csv", rows), space=SPACE)
    with pytest.raises(ValueError, match="a.csv: column 'accuracy' has no numbers: row 1 holds '0,93'"):
        bench.best()
    assert bench.best("seconds")[1] == 60
    rows = rows_of(architectures[:3], accuracy=["x"] * 3, top1_accuracy=[0.9, 0.8, 0.7])
    assert load_benchmark(write(tmp_path / "b.csv", rows), space=SPACE).default_field == "top1_accuracy"


def test_columns_that_are_no_numbers_are_told_when_asked_for(tmp_path, architectures):
    rows = rows_of(architectures[:3], score=[1, 2, 3], note=["x", "2", None], empty=[None] * 3)
    bench = load_benchmark(write(tmp_path / "a.csv", rows), space=SPACE)
    assert bench.fields == ["score"]
    with pytest.raises(ValueError, match="a.csv: column 'note' has no numbers: row 0 holds 'x', which is no number"):
        bench.query_many(architectures[:3], "note")
    with pytest.raises(ValueError, match="column 'empty' has no numbers: all its values are missing"):
        bench.best("empty")
    with pytest.raises(ValueError, match="a.csv has no field 'scroe'; it has score"):
        bench.best("scroe")


def test_csv_as_data_frames_write_it(tmp_path, architectures):
    rows = rows_of(architectures[:4], score=["0.5", " 1e-1", "NaN", ""], runs=["1", "2", "3", "4"])
    rows = [{"": i} | row for i, row in enumerate(rows)]
    path = write(tmp_path / "a.csv", rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    bench = load_benchmark(path, space=SPACE)
    assert bench.fields == ["score", "runs"]
    assert np.array_equal(bench.query_many(architectures[:4], "score", "nan"), [0.5, 0.1, np.nan, np.nan], True)


def test_a_table_by_hash_of_a_space_that_is_not_listed(tmp_path):
    pool = BIG.pool()
    outside = next(a for a in BIG.sample(400, seed=9) if BIG.hash(a) not in pool.columns["hash"])
    table = ArchitectureTable.concatenate([pool[:5].replace_columns({}), BIG.table([outside])])
    bench = TableBenchmark(write(tmp_path / "a.csv", rows_of(table, "hash", BIG, score=range(6))), BIG)
    assert bench.query(outside, "score") == 5
    assert np.array_equal(bench.candidates().columns["hash"], pool.columns["hash"][:5])
    bench = TableBenchmark(write(tmp_path / "b.csv", rows_of(BIG.table([outside]), "hash", BIG, score=[1])), BIG)
    with pytest.raises(ValueError, match="b.csv: none of its hashes is among the big-space architectures"):
        bench.candidates()


def test_nasbench201_by_its_strings(tmp_path):
    space = get_space("nasbench201")
    pool = space.pool()[:40]
    rows = [{"architecture": space.native(a), "score": i} for i, a in enumerate(pool)]
    bench = load_benchmark(write(tmp_path / "a.csv", rows), space="nasbench201")
    assert np.array_equal(bench.query_many(pool.replace_columns({}), "score"), range(40))


def test_a_search_on_it(tmp_path, architectures):
    score = np.random.default_rng(0).random(60)
    file = write(tmp_path / "a.csv", rows_of(architectures, score=score.tolist()))
    bench = find_benchmark(SPACE, file)
    result = run_search(SearchSettings(SPACE, "random", 60, 1), bench)
    assert result["trials"][0]["regret"][-1] == 0
    assert result["best_possible"] == pytest.approx(score.max())
    assert result["guided_by"] == "column score of a.csv"


PLAIN = {"operations": ["input", "output"], "adjacency": [[0, 1], [0, 0]]}
CHAIN = {"operations": ["input", "a", "output"], "adjacency": [[0, 1, 0], [0, 0, 1], [0, 0, 0]]}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([PLAIN, CHAIN | {"operations": ["input", "c", "output"]}], "row 1, operations: node 1: unknown operation 'c'"),
        ([PLAIN, CHAIN | {"adjacency": [[0, 1], [0, 0]]}], "row 1, adjacency: 2 rows for 3 operations"),
        ([PLAIN, CHAIN | {"adjacency": [[0, 1, 0], [0, 0, 0], [0, 0, 0]]}], "row 1: .*no path"),
        ([PLAIN, CHAIN | {"adjacency": [[0, 2, 0], [0, 0, 1], [0, 0, 0]]}], "row 1, adjacency: entry 2"),
        ([PLAIN, CHAIN | {"adjacency": [[0, 1, 0], [1, 0, 1], [0, 0, 0]]}], "row 1: edge 1 -> 0 goes backward"),
        ([{"operations": ["input", "output"], "score": 1}], "column 'operations' without 'adjacency'"),
        ([{"score": 1}], "no architectures; expected columns operations and adjacency, or architecture, or hash"),
        ([{"hash": "ab", "score": 1}], "row 0: hash 'ab' is not of 32 hexadecimal characters"),
        ([{"hash": "0" * 32, "score": 1}], "row 0: no architecture of table-space has the hash 0000"),
        ([{"architecture": "a|b", "score": 1}], "row 0: 'a|b' is neither a table-space architecture"),
        ([{"architecture": CHAIN["operations"][0] * 99}], "row 0: 'inputinput"),
        ([PLAIN | {"hash": "0" * 32, "score": 1}], "row 0: hash is '0000.*, its architecture has"),
        ([PLAIN], "no column of numbers beside the architectures"),
        ([PLAIN | {"score": "x"}], "no column of numbers beside the architectures; of column 'score', "),
        ([{"hash": None, "score": 1}, {"hash": "1" * 32, "score": 2}], "row 0: hash is missing"),
    ],
    ids=range(15),
)
def test_wrong_rows_are_named(tmp_path, form, rows, message):
    file = write(tmp_path / f"mine.{form}", rows)
    with pytest.raises(ValueError, match=message) as error:
        load_benchmark(file, space=SPACE)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(file))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv: the file is empty"),
        ("a.csv", b"operations,adjacency,score\n", "a.csv: holds no rows"),
        ("a.csv", b"hash,score\n1,2\n3\n", "not a readable CSV file .*Row #3: Expected 2 columns, got 1"),
        ("a.csv", b"score,score\n1,2\n", "the column 'score' is there twice"),
        ("a.csv", b"hash,score\n\xff,2\n", "not a readable CSV file .*UTF8"),
        ("a.csv", b"\n\n", "not a readable CSV file"),
        ("a.csv", b'operations,adjacency,score\n[],"[[0,1]', "a.csv"),
        ("a.csv", b'operations,adjacency,s\n"[""input""]",7,1\n', "row 0, adjacency: expected a JSON list .*'7'"),
        ("a.csv", b'operations,adjacency,s\n"[1,2]","[[0,1],[0,0]]",1\n', "row 0, operations: .*got .1, 2"),
        ("a.csv", b"hash,s\n" + b"0" * 32 + b",inf\n", "row 0: s is infinite"),
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "a.jsonl, line 2: not valid JSON"),
        ("a.jsonl", b"[1]\n", "line 1: expected an object"),
        ("a.jsonl", b"\xff\n", "not UTF-8 text"),
        ("a.jsonl", b"\n\n", "holds no rows"),
        ("a.jsonl", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "line 1: not valid JSON"),
        ("a.jsonl", b'{"hash": "' + b"0" * 32 + b'", "s": 1e999}\n', "row 0: s is infinite"),
        ("a.parquet", b"PAR1 and no more", "not a readable Parquet file"),
        ("a.txt", b"x", "unknown benchmark"),
    ],
    ids=range(18),
)
def test_wrong_files_are_named(tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        load_benchmark(file, space=BIG)
    assert "\n" not in str(error.value)


def test_what_a_table_needs(tmp_path):
    with pytest.raises(ValueError, match="a.csv: a table needs its search space"):
        load_benchmark("a.csv")
    with pytest.raises(FileNotFoundError, match="none.csv: no such file"):
        load_benchmark(tmp_path / "none.csv", space=SPACE)
    file = write(tmp_path / "a.csv", [PLAIN | {"score": 1}])
    with pytest.raises(ValueError, match="a table takes no option 'dataset'"):
        load_benchmark(file, space=SPACE, dataset="cifar10")


def test_json_lines_that_arrow_does_not_read(tmp_path):
    """Kinds that change from row to row are read one by one."""
    lines = [json.dumps(PLAIN | {"score": 1, "x": "a"}), "", json.dumps(CHAIN | {"score": float("nan"), "x": 3}), ""]
    file = tmp_path / "a.jsonl"
    file.write_text("\r\n".join(lines), encoding="utf-8")
    bench = load_benchmark(file, space=SPACE)
    assert bench.query(Architecture(**PLAIN)) == {"score": 1.0}
    assert bench.query(Architecture(**CHAIN)) == {}


GOOD = [PLAIN | {"score": 0.5, "note": "x"}, CHAIN | {"score": 1.5, "note": None}]


@pytest.mark.filterwarnings("ignore:.*architecture of an earlier one")
@settings(deadline=None, max_examples=150)
@given(st.data())
def test_mutated_files(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    form = data.draw(st.sampled_from(FORMS))
    content = bytearray(write(folder / f"good.{form}", GOOD).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        if data.draw(st.booleans()):
            content[at : at + 1] = data.draw(st.binary(max_size=3))
        else:
            end = at + data.draw(st.integers(1, 40))
            content[at:end] = content[at:end] * data.draw(st.sampled_from((0, 2)))
    file = folder / f"mutated.{form}"
    file.write_bytes(bytes(content))
    message = ""
    try:
        bench = load_benchmark(file, space=SPACE)
        assert 1 <= len(bench) <= 4
    except ValueError as error:
        message = str(error)
        assert message.startswith(str(file))
    assert "\n" not in message


CELLS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.lists(st.integers(0, 1))
VALUES = CELLS | st.lists(st.lists(st.integers(-1, 2), max_size=3), max_size=3) | st.lists(st.text(max_size=3))
KNOWN = GOOD[1] | {"hash": "0" * 32, "architecture": "x"}
ROW = st.fixed_dictionaries({}, optional={name: VALUES | st.just(value) for name, value in KNOWN.items()})


@pytest.mark.filterwarnings("ignore:.*architecture of an earlier one")
@settings(deadline=None, max_examples=150)
@given(st.lists(ROW, min_size=1, max_size=3), st.sampled_from(("csv", "jsonl")))
def test_any_rows(tmp_path_factory, rows, form):
    file = tmp_path_factory.getbasetemp() / f"any.{form}"
    try:
        write(file, rows)
    except UnicodeEncodeError:
        return
    message = ""
    try:
        load_benchmark(file, space=SPACE)
    except ValueError as error:
        message = str(error)
    assert "\n" not in message


def test_accuracies_of_two_units_are_refused(tmp_path, architectures):
    values = np.linspace(0.5, 0.9, 60)
    values[1::2] *= 100
    path = write(tmp_path / "mixed.csv", rows_of(architectures, test_accuracy=values))
    with pytest.raises(ValueError, match=r"column test_accuracy: row 0 \(0.5\) is a fraction and row 1 \(50"):
        load_benchmark(path, space=SPACE)


def test_per_cent_with_runs_that_diverged(tmp_path, architectures):
    values = np.linspace(50, 90, 60)
    values[:3] = 0, 1, np.nan
    path = write(tmp_path / "diverged.csv", rows_of(architectures, test_accuracy=values))
    assert load_benchmark(path, space=SPACE).best("test_accuracy")[1] == 90


def test_regret_is_in_percentage_points_whatever_the_unit(tmp_path, architectures, capsys):
    space_file = tmp_path / "space.yaml"
    space_file.write_text("name: table-space\noperations: {a: {weights: 3}, b: {weights: 5}}\nnodes: [2, 5]\n")
    rng = np.random.default_rng(0)
    values = rng.uniform(0.5, 0.9, 60)
    told = []
    for name, numbers in (("fraction", values), ("percent", 100 * values), ("loss", values)):
        field = "loss" if name == "loss" else "test_accuracy"
        table = write(tmp_path / f"{name}.csv", rows_of(architectures, **{field: numbers}))
        command = ["search", "--space", str(space_file), "--benchmark", f"table={table}", "--algorithm", "random"]
        command += ["--queries", "10", "--trials", "2", "--output", str(tmp_path / f"{name}.json")]
        assert main(command) == 0
        told.append(capsys.readouterr().out.splitlines()[0])
        draw_regret({"random": json.loads((tmp_path / f"{name}.json").read_text())}, tmp_path / f"{name}.svg")
    assert told[0] == told[1]
    assert re.fullmatch(r"after 10 queries, mean regret [\d.]+ ± [\d.]+ %", told[0])
    assert 1 < float(told[0].split()[5]) < 20
    assert re.fullmatch(r"after 10 queries, mean regret 0\.[\d]+ ± [\d.]+, in the unit of loss", told[2])


@pytest.mark.parametrize("name", ["results", "results.csv"])
def test_a_folder_is_no_table(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=rf"{name}: a folder, expected .*file ending in .*\.csv"):
        find_benchmark(SPACE, f"table={tmp_path / name}")
