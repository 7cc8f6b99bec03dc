import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cate_hf import Architecture, load_benchmark
from cate_hf.benchmarks import find_benchmark
from cate_hf.search.run import SearchSettings, run_search
from cate_hf.spaces.darts.genotypes import CellPair
from cate_hf.spaces.darts.pairs import CellPairTable
from tests import nasbench301_files as files
from tests.nasbench301_files import SPACE

NUMBER = 60


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """A table of our own making, its pairs and its columns."""
    rng = np.random.default_rng(0)
    pairs = files.sample_pairs(NUMBER, seed=3)
    seconds = np.where(np.arange(NUMBER) < 50, rng.uniform(3000, 7000, NUMBER), np.nan)
    columns = {"validation_accuracy": rng.uniform(0.9, 0.95, NUMBER), "runtime_seconds": pa.array(seconds, mask=None)}
    path = tmp_path_factory.mktemp("labels") / "labels.parquet"
    files.write_labels(path, pairs, **columns, flops=rng.random(NUMBER))
    return path, pairs, {name: np.asarray(values) for name, values in columns.items()}


@pytest.fixture
def labels_path(labels):
    return labels[0]


def another_drawing(cell: Architecture) -> Architecture:
    """The cell with the two entries of each intermediate node in the other order."""
    entries = SPACE.genotype(cell)
    return SPACE.from_genotype([entries[i ^ 1] for i in range(8)])


def test_queries_by_any_drawing_of_both_cells(labels):
    path, pairs, columns = labels
    bench = load_benchmark("nasbench301", path=path)
    assert len(bench) == NUMBER
    assert bench.fields == ["validation_accuracy", "runtime_seconds"]
    assert "labels of 60 genotypes (labels.parquet)" in repr(bench)
    assert np.array_equal(bench.query_many(pairs), columns["validation_accuracy"])
    drawn = CellPair(another_drawing(pairs[4].normal), another_drawing(pairs[4].reduction))
    assert drawn != pairs[4]
    assert bench.query(drawn) == {name: values[4] for name, values in columns.items()}
    assert bench.query(SPACE.native(pairs[7]), "runtime_seconds") == columns["runtime_seconds"][7]
    normal, reduction = (SPACE.table([getattr(pair, name) for pair in pairs]) for name in ("normal", "reduction"))
    assert np.array_equal(bench.query_many(normal, reduction=reduction), columns["validation_accuracy"])
    assert np.array_equal(bench.query_many(CellPairTable(normal, reduction)), columns["validation_accuracy"])
    best_hash, value = bench.best("validation_accuracy")
    row = columns["validation_accuracy"].argmax()
    assert (best_hash, value) == (SPACE.hash(pairs[row]), columns["validation_accuracy"][row])
    assert "not a training" in bench.oracle("validation_accuracy")
    assert find_benchmark("darts", f"nasbench301={path}").path == path


def test_candidates_are_the_pairs(labels):
    path, pairs, columns = labels
    bench = load_benchmark("nasbench301", path=path)
    candidates = bench.candidates()
    assert sorted(candidates.columns["hash"].tolist()) == sorted(SPACE.hash(pair) for pair in pairs)
    for row in (0, 13, -1):
        pair = candidates[row]
        assert SPACE.hash(pair) == candidates.columns["hash"][row]
        assert SPACE.flops(pair) == candidates.columns["flops"][row]
        assert SPACE.parameters(pair) == candidates.columns["parameters"][row]
    assert sorted(bench.query_many(candidates)) == sorted(columns["validation_accuracy"])
    few = candidates[candidates.columns["flops"] > np.median(candidates.columns["flops"])]
    assert len(few) == NUMBER // 2
    assert list(few)[3] == few[3]
    assert "30 pairs of cells; columns: hash, parameters, flops" in repr(few)
    result = run_search(SearchSettings("darts", "random", NUMBER, 1), bench)
    assert result["best_possible"] == columns["validation_accuracy"].max()
    assert result["trials"][0]["regret"][-1] == 0


def test_what_is_lacking_is_named(labels):
    path, pairs, _ = labels
    bench = load_benchmark("nasbench301", path=path)
    stranger = files.sample_pairs(1, seed=99)[0]
    with pytest.raises(ValueError, match=f"architecture 1 .*{SPACE.hash(stranger)}.* is not in .*labels.parquet"):
        bench.query_many([pairs[0], stranger])
    swapped = CellPair(pairs[0].reduction, pairs[0].normal)
    with pytest.raises(ValueError, match="is not in"):
        bench.query(swapped)
    with pytest.raises(ValueError, match="no 'runtime_seconds' for 10 of 60 architectures, first row 50"):
        bench.query_many(pairs, "runtime_seconds")
    assert np.isnan(bench.query_many(pairs, "runtime_seconds", missing="nan")).sum() == 10
    assert list(bench.query(pairs[55])) == ["validation_accuracy"]
    with pytest.raises(ValueError, match="has no field 'flops'; it has validation_accuracy, runtime_seconds"):
        bench.query_many(pairs, "flops")
    with pytest.raises(ValueError, match="no 'runtime_seconds' for this architecture"):
        bench.query(pairs[55])["runtime_seconds"]
    with pytest.raises(ValueError, match="knows the end of training only"):
        bench.query(pairs[0], epoch=10)
    with pytest.raises(ValueError, match="missing must be"):
        bench.query_many(pairs, missing="zero")


def test_what_is_no_architecture_is_named(labels):
    path, pairs, _ = labels
    bench = load_benchmark("nasbench301", path=path)
    broken = Architecture(["c_{k-2}", "c_{k-1}", "output"], [[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    for call, message in (
        (lambda: bench.query_many([pairs[0], broken]), "architecture 1: 3 nodes, .* a darts cell has 15"),
        (lambda: bench.query_many([CellPair(pairs[0].normal, broken)]), "architecture 0: reduction cell: 3 nodes"),
        (lambda: bench.query_many([7]), "architecture 0: expected an Architecture, a CellPair or their text, got int"),
        (lambda: bench.query("Genotype(nonsense)"), "architecture 0: "),
        (lambda: bench.query_many(SPACE.table([broken])), "architectures, row 0: 3 nodes"),
        (lambda: bench.query_many([pairs[0].normal], reduction=[]), "1 normal and 0 reduction cells"),
        (lambda: bench.query_many([pairs[0]], reduction=[pairs[0].normal]), "normal cells, row 0: expected an Arch"),
        (lambda: bench.query_many(bench.candidates(), reduction=[]), "have their reduction cells already"),
        (lambda: CellPairTable(SPACE.sample(3, 0), SPACE.sample(2, 0)), "3 normal and 2 reduction cells"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert bench.query_many([]).shape == (0,)


ENTRIES = [{"operation": "skip_connect", "input": i % 2} for i in range(8)]
COLUMNS = {"normal": [ENTRIES], "reduce": [ENTRIES], "validation_accuracy": [0.9]}


def one_entry(**change):
    return [[*ENTRIES[:5], {**ENTRIES[5], **change}, *ENTRIES[6:]]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file or folder"),
        (b"PAR1 and no more", "cannot be read as Parquet"),
        ({}, "no column 'normal'"),
        ({"normal": [ENTRIES], "reduce": [ENTRIES]}, "no column 'validation_accuracy'"),
        ({**COLUMNS, "normal": ["text"]}, "column 'normal' must hold lists of .operation: string, input: integer"),
        ({**COLUMNS, "normal": [[1, 2]]}, "column 'normal' must hold lists of"),
        ({**COLUMNS, "reduce": [ENTRIES[:7]]}, "row 0: reduce must have 8 entries .operation, input., not 7 entries"),
        ({**COLUMNS, "reduce": [None]}, "column 'reduce' must hold lists of"),
        (
            {**COLUMNS, "normal": one_entry(operation="conv_9x9")},
            "row 0: normal, entry 5: unknown operation 'conv_9",
        ),
        ({**COLUMNS, "normal": one_entry(operation=None)}, "row 0: normal, entry 5: operation is null"),
        ({**COLUMNS, "normal": one_entry(input=None)}, "row 0: normal, entry 5: input is null"),
        ({**COLUMNS, "normal": one_entry(input=4)}, "normal: inputs, row 0, entry 5: expected 0 to 3, got 4"),
        ({**COLUMNS, "normal": one_entry(input=0)}, "normal, row 0: entries 4 and 5 both read input 0"),
        ({**COLUMNS, "validation_accuracy": [93.1]}, r"row 0: validation_accuracy is 93.1; .* in \[0, 1\]"),
        ({**COLUMNS, "validation_accuracy": ["high"]}, "column 'validation_accuracy' must hold numbers, not string"),
        ({**COLUMNS, "runtime_seconds": [-1.0]}, "row 0: runtime_seconds is -1.0"),
        ({name: values * 2 for name, values in COLUMNS.items()}, "is in two rows"),
        ({name: pa.array(v, pa.array(v).type)[:0] for name, v in COLUMNS.items()}, "holds no genotypes"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "labels.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        pq.write_table(pa.table(content or {"a": [1]}), path)
    with pytest.raises(ValueError, match=message) as error:
        load_benchmark("nasbench301", path=path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_other_files_and_options_are_refused(labels, tmp_path):
    path, _, _ = labels
    with pytest.raises(ValueError, match="accuracy_model and noise_seed are for a folder of ensembles"):
        load_benchmark("nasbench301", path=path, noise_seed=1)
    assert len(load_benchmark("nasbench301", path=path, trust_pickle=True)) == NUMBER
    renamed = tmp_path / "table"
    renamed.write_bytes(path.read_bytes())
    assert len(load_benchmark("nasbench301", path=renamed)) == NUMBER
    other = tmp_path / "notes.txt"
    other.write_text("nothing")
    with pytest.raises(ValueError, match="notes.txt: not a file of NAS-Bench-301: expected labels in Parquet"):
        load_benchmark("nasbench301", path=other)
    with pytest.raises(ValueError, match="the benchmark nasbench301 is read from a file of yours"):
        load_benchmark("nasbench301")
    with pytest.raises(ValueError, match="no option 'pickle'; it has accuracy_model, noise_seed, trust_pickle$"):
        load_benchmark("nasbench301", path=path, pickle=True)
    with pytest.raises(ValueError, match="the benchmark nasbench301 is of darts"):
        load_benchmark("nasbench301", path=path, space="nasbench101")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_give_one_line(labels_path, tmp_path, data):
    content = bytearray(labels_path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path = tmp_path / "damaged.parquet"
    path.write_bytes(content)
    bench, message = files.outcome(lambda: load_benchmark("nasbench301", path=path))
    if message is None:
        assert bench.query_many(bench.candidates(), missing="nan").shape == (len(bench),)
    else:
        assert "damaged.parquet" in message
        assert "\n" not in message


def test_the_published_labels(nasbench301_folder):
    bench = load_benchmark("nasbench301", path=nasbench301_folder / "labels.parquet")
    assert len(bench) == 10_000
    _, best = bench.best("validation_accuracy")
    assert 0.945 < best < 0.947
    unusual = ~bench.reliable_many(bench.candidates())
    assert 0 < unusual.sum() < 10  # fewer than 0.1 %


def test_the_best_is_of_the_field_that_a_search_maximises(labels):
    path, _, columns = labels
    bench = load_benchmark("nasbench301", path=path)
    assert bench.best() == bench.best("validation_accuracy")
    assert bench.best()[1] == pytest.approx(columns["validation_accuracy"].max())
    assert bench.best("runtime_seconds")[1] == pytest.approx(np.nanmax(columns["runtime_seconds"]))
