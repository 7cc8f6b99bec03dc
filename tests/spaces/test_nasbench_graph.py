"""NAS-Bench-Graph: its cells, those that compute the same, and the benchmark's own results."""

import pickle

import numpy as np
import pytest

from cate_hf import Architecture, get_space, load_benchmark, load_encoder
from cate_hf.benchmarks import find_benchmark
from cate_hf.benchmarks.nasbench_graph.benchmark import DATASETS, _read
from cate_hf.encodings import get_encoding
from cate_hf.spaces.nasbench_graph._cells import OPERATIONS, SKIP, plain_form

SPACE = get_space("nasbench-graph")


def cell(before, names):
    return SPACE.parse(f"{','.join(map(str, before))} {','.join(names)}")


def computed(before, operations):
    """What feeds the output: for each end the operations on its path, without skips; the input alone is left out."""
    ends = []
    for node in range(4):
        if node + 1 in before:
            continue
        path, at = [], node + 1
        while at:
            path.append(operations[at - 1])
            at = before[at - 1]
        names = tuple(name for name in path[::-1] if name != "skip")
        ends += [names] if names else []
    return sorted(ends)


def test_all_cells():
    table = SPACE.enumerate()
    assert len(table) == len(set(table.columns["hash"].tolist())) == SPACE.size == 26_206
    assert SPACE.validate_many(table) is table
    assert not (table.operation_codes[:, 1:-1] == SKIP + 1).all(1).any()
    assert np.array_equal(SPACE.hash_many(table[:500]), table.columns["hash"][:500])


def test_cells_that_compute_the_same_are_one():
    rng = np.random.default_rng(0)
    known = set(SPACE.enumerate().columns["hash"].tolist())
    for _ in range(200):
        before = [0, *(int(rng.integers(i + 1)) for i in range(1, 4))]
        names = rng.choice(["skip", "gcn", "gat"], 4, p=[0.5, 0.3, 0.2]).tolist()
        if set(names) == {"skip"}:
            continue
        drawn = SPACE.from_cells([before], [[OPERATIONS.index(name) for name in names]])[0]
        valid = SPACE.validate(drawn)
        again = SPACE._cell(valid)
        assert plain_form(*again) == again
        assert computed(again[0], [OPERATIONS[number] for number in again[1]]) == computed(before, names)
        assert SPACE.hash(drawn) == SPACE.hash(valid)
        assert SPACE.hash(drawn) in known


def test_notation_and_what_is_no_cell():
    valid = cell((0, 1, 1, 2), ("gcn", "gat", "fc", "arma"))
    assert SPACE.native(valid) == "0,1,1,2 gcn,gat,fc,arma"
    assert SPACE.native(cell((0, 1, 2, 3), ("gcn", "skip", "gat", "skip"))) == "0,1,2,3 skip,skip,gcn,gat"
    for text, message in (
        ("0,1,1 gcn,gat,fc,arma", "expected 4 numbers of earlier nodes and 4 operations"),
        ("0,3,1,1 gcn,gat,fc,arma", "expected 4 numbers of earlier nodes"),
        ("0,1,1,1 gcn,gat,fc,armor", "unknown operation 'armor'"),
        ("0,0,0,0 skip,skip,skip,skip", "all operations are skip"),
    ):
        with pytest.raises(ValueError, match=message):
            SPACE.parse(text)
    edges = np.array(valid.adjacency)
    edges[0, 2] = 1
    with pytest.raises(ValueError, match="no cell of nasbench-graph: expected 4 nodes that each read one other"):
        SPACE.validate(Architecture(valid.operations, edges))


def test_neighbours_have_another_operation_or_read_another_node():
    start = cell((0, 0, 1, 2), ("gcn", "gat", "fc", "arma"))
    near = SPACE.neighbours(start)
    hashes = near.columns["hash"].tolist()
    assert len(hashes) == len(set(hashes)) > 32
    assert SPACE.hash(start) not in hashes
    assert SPACE.hash(cell((0, 0, 1, 1), ("gcn", "gat", "fc", "arma"))) in hashes
    assert SPACE.hash(cell((0, 0, 1, 1), ("gcn", "gat", "gin", "arma"))) not in hashes
    plain = [row for row, codes in enumerate(near.operation_codes) if SKIP + 1 not in codes]
    for row in plain[:5]:  # of others the form with the skips in front is what neighbours are of
        assert SPACE.hash(start) in SPACE.neighbours(near[row]).columns["hash"]


@pytest.fixture(scope="module")
def benchmark():
    pytest.importorskip("nas_bench_graph", reason="needs the extra nasbench-graph")
    return load_benchmark("nasbench-graph", dataset="arxiv")


def test_the_benchmark_has_the_numbers_of_its_package(benchmark):
    assert len(benchmark) == 26_206
    table = benchmark.candidates()
    assert np.array_equal(benchmark.query_many(table, "parameters"), table.columns["parameters"])
    assert np.array_equal(SPACE.parameters_many(table), table.columns["parameters"])
    result = benchmark.query("0,1,2,3 skip,skip,gcn,gcn")
    assert result["test_accuracy"] == pytest.approx(0.7147, abs=0.01)
    assert benchmark.default_field == "test_accuracy"
    assert benchmark.oracle("test_accuracy") == "test accuracy on ogbn-arxiv"
    assert 0.7 < benchmark.best()[1] < 0.75
    assert find_benchmark("nasbench-graph").dataset == "cora"
    with pytest.raises(ValueError, match="did you mean 'cora'"):
        load_benchmark("nasbench-graph", dataset="coraa")
    assert len(DATASETS) == 8


def test_an_encoding_of_it_needs_no_checkpoint(benchmark):
    with pytest.warns(UserWarning, match="no checkpoint is bundled for nasbench-graph: encoded by 'universal'"):
        assert get_encoding("cate", SPACE).name == "universal"
    assert load_encoder("universal").encode(SPACE.sample(50, seed=0)).shape == (50, 248)


class Evil:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({0: Evil()}), "builtins.print, which could run code"),
        (pickle.dumps({0: np.float32(1)}), "numbers of type 'f4'"),
        (pickle.dumps([1, 2]), "not results of NAS-Bench-Graph"),
        (pickle.dumps({0: {"perf": "x", "valid_perf": 0, "latency": 0, "para": 0}}), "expected numbers"),
        (pickle.dumps({0: {"perf": 2.0, "valid_perf": 0, "latency": 0, "para": 0}}), "perf: expected numbers from 0"),
        (pickle.dumps({0: {"perf": 0.5}}), "valid_perf"),
        (b"no pickle", "not results of NAS-Bench-Graph"),
        (b"", "not results of NAS-Bench-Graph"),
    ],
)
def test_files_that_are_damaged_or_hostile(tmp_path, capsys, content, message):
    file = tmp_path / "cora.bench"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        _read(file)
    assert "\n" not in str(caught.value)
    assert "run" not in capsys.readouterr().out


def test_a_file_of_other_cells(tmp_path):
    file = tmp_path / "cora.bench"
    file.write_bytes(pickle.dumps({99_999: {"perf": 0.5, "valid_perf": 0.5, "latency": 0.1, "para": 0.1}}))
    with pytest.raises(ValueError, match="the number of a cell is of none"):
        load_benchmark("nasbench-graph", path=file)
    file.write_bytes(pickle.dumps({0: {"perf": 0.5, "valid_perf": 0.5, "latency": 0.1, "para": 0.1}}))
    with pytest.raises(ValueError, match="its cells are not the 26,206 of the space"):
        load_benchmark("nasbench-graph", path=file)
