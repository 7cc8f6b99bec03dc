import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cate_hf import Architecture, ArchitectureTable, get_space, load_benchmark

SPACE = get_space("nasbench101")


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    """A table of our own making in the shape that the benchmark is read from."""
    cells = SPACE.sample(200, seed=1)
    hashes = cells.columns["hash"]
    rng = np.random.default_rng(0)
    validation = np.where(np.arange(200) < 150, rng.random(200), np.nan)
    file = tmp_path_factory.mktemp("benchmark") / "cells.parquet"
    columns = {"hash": hashes, "test_accuracy": rng.random(200), "validation_accuracy_108": validation}
    pq.write_table(pa.table(columns), file)
    return cells, file, columns


def test_queries_by_any_drawing(small_file):
    cells, file, columns = small_file
    bench = load_benchmark("nasbench101", path=file)
    assert len(bench) == 200
    assert np.array_equal(bench.query_many(cells), columns["test_accuracy"])
    assert np.array_equal(bench.query_many(list(cells)[:20], "test_accuracy"), columns["test_accuracy"][:20])
    row = next(i for i in range(150) if cells[i].num_nodes > 4)
    cell = cells[row]
    extra = np.zeros((len(cell) + 1, len(cell) + 1), int)  # a node on no path, before the output
    keep = [*range(len(cell) - 1), len(cell)]
    extra[np.ix_(keep, keep)] = cell.adjacency
    drawn = Architecture([*cell.operations[:-1], "maxpool3x3", cell.operations[-1]], extra)
    assert bench.query(drawn)["test_accuracy"] == columns["test_accuracy"][row]
    assert bench.query(drawn, "validation_accuracy") == columns["validation_accuracy_108"][row]
    assert "one run" in bench.oracle("validation_accuracy")
    best_hash, value = bench.best()
    assert value == columns["test_accuracy"].max()
    assert best_hash == columns["hash"][columns["test_accuracy"].argmax()]


def test_a_table_without_hashes_is_looked_up_whole(small_file):
    cells, file, columns = small_file
    bench = load_benchmark("nasbench101", path=file)
    bare = cells.replace_columns({})
    assert np.array_equal(bench.query_many(bare), columns["test_accuracy"])
    assert bench.query_many([]).shape == (0,)
    loose = Architecture(  # node 1 leads nowhere
        ["input", "maxpool3x3", *cells[0].operations[1:]],
        np.insert(np.insert(cells[0].adjacency, 1, 0, axis=0), 1, 0, axis=1),
    )
    drawn = ArchitectureTable.from_architectures([cells[1], loose], SPACE.vocabulary)
    assert np.array_equal(bench.query_many(drawn), columns["test_accuracy"][[1, 0]])
    broken = ArchitectureTable.from_architectures(
        [cells[1], Architecture(["input", "output"], [[0, 0], [0, 0]])], SPACE.vocabulary
    )
    with pytest.raises(ValueError, match="architectures, row 1: .*no path"):
        bench.query_many(broken)


def test_what_is_lacking_is_named(small_file):
    cells, file, columns = small_file
    bench = load_benchmark("nasbench101", path=file)
    with pytest.raises(ValueError, match="no 'validation_accuracy' for this architecture"):
        bench.query(cells[180])["validation_accuracy"]
    with pytest.raises(ValueError, match="no 'validation_accuracy' for 50 of 200 architectures, first row 150"):
        bench.query_many(cells, "validation_accuracy")
    assert np.isnan(bench.query_many(cells, "validation_accuracy", missing="nan")).sum() == 50
    with pytest.raises(ValueError, match=r"has no field 'latency'; it has test_accuracy, validation_accuracy"):
        bench.query(cells[0], "latency")
    known = set(columns["hash"])
    stranger = next(c for c in SPACE.sample(50, seed=2) if SPACE.hash(c) not in known)
    with pytest.raises(ValueError, match=f"{SPACE.hash(stranger)}.* is not in"):
        bench.query(stranger)
    with pytest.raises(ValueError, match="architecture 0: node 1: unknown operation 'conv9x9'"):
        bench.query(Architecture(["input", "conv9x9", "output"], [[0, 1, 0], [0, 0, 1], [0, 0, 0]]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "cannot be read as Parquet"),
        (b"PAR1 and no more", "cannot be read as Parquet"),
        (pa.table({"a": [1]}), "no column 'hash'"),
        (pa.table({"hash": ["ab"], "test_accuracy": [0.5]}), "row 0: column 'hash' must hold 32"),
        (pa.table({"hash": [3], "test_accuracy": [0.5]}), "must hold strings"),
        (pa.table({"hash": ["a" * 32], "test_accuracy": [93.5]}), r"row 0: test_accuracy is 93.5; .* in \[0, 1\]"),
        (pa.table({"hash": ["a" * 32], "test_accuracy": ["high"]}), "'test_accuracy' must hold numbers, not string"),
        (pa.table({"hash": ["a" * 32] * 2, "test_accuracy": [0.5, 0.5]}), "is in two rows"),
        (pa.table({"hash": pa.array([], pa.string()), "test_accuracy": pa.array([], pa.float64())}), "holds no cells"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, content, message):
    file = tmp_path / "cells.parquet"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        pq.write_table(content, file)
    with pytest.raises(ValueError, match=message) as error:
        load_benchmark("nasbench101", path=file)
    assert "\n" not in str(error.value)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'nasbench101'"):
        load_benchmark("nasbench-101", path="x")


def test_the_published_table(nasbench101_table):
    bench = load_benchmark("nasbench101", path=nasbench101_table)
    assert len(bench) == 423_624
    best_hash, value = bench.best("test_accuracy")
    assert best_hash == "02e5a0247bbdcf2860b7e96f74961594"
    assert value == pytest.approx(0.943175752957662, abs=1e-7)
    table = SPACE.enumerate()
    assert bench.query(table[0])["parameters"] == table.columns["parameters"][0]
    assert isinstance(bench.query(table[0])["parameters"], int)
    assert np.array_equal(bench.query_many(table, "parameters"), table.columns["parameters"])
    assert (~np.isnan(bench.query_many(table, "validation_accuracy", missing="nan"))).sum() == 30_001
