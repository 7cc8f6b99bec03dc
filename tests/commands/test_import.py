"""`cate import`: every format to Parquet and back, and what is refused."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cate_hf import get_space, load_benchmark
from cate_hf.benchmarks.importing import FORMATS, format_of, import_results
from cate_hf.benchmarks.nasbench101 import _cache as nasbench101_cache
from cate_hf.cli import main
from cate_hf.graphs.io import read_architectures
from cate_hf.spaces.custom.custom_space import CustomSpace
from cate_hf.spaces.registry import CATALOG
from tests import nasbench101_file, nasbench301_files

SPACE_FILE = "{name: import-space, operations: {a: {weights: 3}, b: {weights: 5}}, nodes: [2, 5], pool: 50}"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(nasbench101_cache, "cache_folder", lambda: tmp_path / "cache")
    yield
    CATALOG.registered.pop("import-space", None)


@pytest.fixture
def space_file(tmp_path):
    path = tmp_path / "my_space.yaml"
    path.write_text(SPACE_FILE, encoding="utf-8")
    return path


@pytest.fixture
def small(space_file):
    return CustomSpace.from_file(space_file).enumerate(use_cache=False)[:20]


def run(capsys, *arguments) -> str:
    assert main(["import", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_a_published_file_of_nasbench101(tmp_path, capsys):
    cells = get_space("nasbench101").sample(30, seed=1)
    table = nasbench101_file.made_up_table(cells)
    source, output = tmp_path / "results.tfrecord", tmp_path / "out.parquet"
    nasbench101_file.write_file(source, table, {108: nasbench101_file.make_runs(table, 108)})
    out = run(capsys, source, "--output", output)
    assert f"wrote {output}: 30 architectures of nasbench101, columns hash, parameters, flops, test_accuracy" in out
    bench, again = load_benchmark("nasbench101", path=source), load_benchmark(output, space="nasbench101")
    assert set(again.fields) == {*bench.fields, "flops"}
    for field in bench.fields:
        assert np.array_equal(again.query_many(cells, field), bench.query_many(cells, field))
    read = read_architectures(output)
    assert np.array_equal(np.sort(read.columns["hash"]), np.sort(cells.columns["hash"]))
    assert read.columns["parameters"].dtype == np.int64
    assert load_benchmark("nasbench101", path=output).best("test_accuracy") == bench.best("test_accuracy")


def test_nasbench201_needs_no_file(tmp_path, capsys):
    output = tmp_path / "out.parquet"
    assert "architectures of nasbench201" in run(capsys, "--format", "nasbench201", "--output", output)
    bench, again = load_benchmark("nasbench201"), load_benchmark(output, space="nasbench201")
    table = bench.candidates()[::50]
    for field in bench.fields:
        expected = bench.query_many(table, field, missing="nan")
        assert np.array_equal(again.query_many(table, field, missing="nan"), expected, equal_nan=True)


def test_labels_of_nasbench301_keep_both_cells(tmp_path, capsys):
    pairs = nasbench301_files.sample_pairs(12, seed=0)
    source, output = tmp_path / "labels.parquet", tmp_path / "out.parquet"
    seconds = np.where(np.arange(12) < 9, np.arange(12) + 1.5, np.nan)
    nasbench301_files.write_labels(source, pairs, validation_accuracy=np.arange(12) / 20, runtime_seconds=seconds)
    assert "12 architectures of darts" in run(capsys, source, "--format", "nasbench301", "--output", output)
    again = load_benchmark("nasbench301", path=output)
    assert np.array_equal(again.query_many(pairs, "validation_accuracy"), np.arange(12) / 20)
    assert np.array_equal(again.query_many(pairs, "runtime_seconds", missing="nan"), seconds, equal_nan=True)
    table = pq.read_table(output)
    darts = get_space("darts")
    expected = {darts.hash(pair): (darts.parameters(pair), darts.flops(pair)) for pair in pairs}
    columns = [table[name].to_pylist() for name in ("hash", "parameters", "flops")]
    assert {h: (p, f) for h, p, f in zip(*columns, strict=True)} == expected
    surrogate = nasbench301_files.write_onnx(tmp_path)
    with pytest.raises(ValueError, match="computes its results"):
        import_results(surrogate, tmp_path / "x.parquet", "nasbench301")


def test_a_log_with_genotypes(tmp_path, capsys):
    darts = get_space("darts")
    one, other = map(darts.native, darts.sample(2, seed=1))
    source, output = tmp_path / "log.txt", tmp_path / "out.parquet"
    log = f"epoch 0\ngenotype = {one}\nepoch 1 97.1\ngenotype = {other}\n"
    printed = other.replace("), (", "),\n      (")
    for text, said in ((log, "took the last of 2 genotypes"), (printed, "a text with one genotype")):
        source.write_text(text, encoding="utf-8")
        assert said in run(capsys, source, "--output", output, "--overwrite")
        assert read_architectures(output).columns["hash"].tolist() == [darts.hash(darts.parse(other))]


def test_genotypes(tmp_path, capsys):
    darts = get_space("darts")
    cells = darts.sample(6, seed=0)
    source, output = tmp_path / "genotypes.txt", tmp_path / "out.parquet"
    lines = ["# found by hand", "", *map(darts.native, cells), "BEST = " + darts.native(cells[2])]
    source.write_text("\n".join(lines), encoding="utf-8")
    out = run(capsys, source, "--output", output)
    assert "left out 1 genotypes of the same cells" in out
    table = read_architectures(output, darts.vocabulary)
    assert np.array_equal(table.columns["hash"], cells.columns["hash"])
    assert np.array_equal(table.columns["flops"], cells.columns["flops"])
    assert list(table) == list(cells)
    pairs = nasbench301_files.sample_pairs(3, seed=0)
    source.write_text("\n".join(map(darts.native, pairs)), encoding="utf-8")
    assert "normal and reduction cells differ" in run(capsys, source, "--output", output, "--overwrite")
    assert pq.read_table(output)["hash"].to_pylist() == [darts.hash(pair) for pair in pairs]
    source.write_text(darts.native(cells[0]) + "\nGenotype(normal=[('conv', 0)])\n", encoding="utf-8")
    with pytest.raises(ValueError, match="genotypes.txt, line 2: "):
        import_results(source, tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_tables_of_ones_own(tmp_path, capsys, space_file, small, form):
    source, output = tmp_path / f"mine.{form}", tmp_path / "out.parquet"
    rows = [a.to_dict() | {"score": i / 8, "note": "x"} for i, a in enumerate([*small, small[0]])]
    if form == "csv":
        with open(source, "w", newline="", encoding="utf-8") as file:
            cells = [[json.dumps(v) if isinstance(v, list) else v for v in row.values()] for row in rows]
            csv.writer(file).writerows([list(rows[0]), *cells])
    elif form == "jsonl":
        source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), source)
    out = run(capsys, source, "--space", space_file, "--output", output)
    assert "merged 1 rows into earlier ones of the same architecture (row 20 into row 0)" in out
    assert "left out column 'note'" in out
    assert "20 architectures of import-space, columns hash, weights, score" in out
    table = read_architectures(output)
    assert np.array_equal(np.sort(table.columns["hash"]), np.sort(small.columns["hash"]))
    again = load_benchmark(output, space=space_file)
    assert again.default_field == "score"
    assert np.array_equal(again.query_many(small), [20 / 16, *(i / 8 for i in range(1, 20))])


def test_a_table_of_hashes_becomes_one_of_architectures(tmp_path, capsys, small, space_file):
    source, output = tmp_path / "mine.csv", tmp_path / "out.parquet"
    hashes = [str(h) for h in small.columns["hash"]]
    source.write_text("hash,score\n" + "".join(f"{h},{i}\n" for i, h in enumerate(hashes)), encoding="utf-8")
    run(capsys, source, "--space", space_file, "--output", output)
    table = read_architectures(output)
    assert list(table) == list(small)
    big = CustomSpace(name="import-big", operations=["a", "b"], nodes=14, pool=50)
    with pytest.raises(ValueError, match=f"none of the import-big architectures .* has the hash {hashes[0]}"):
        import_results(source, tmp_path / "x.parquet", space=big)


def test_formats_by_suffix_and_name():
    assert format_of("a/nasbench_only108.tfrecord", None) is FORMATS["nasbench101-tfrecord"]
    assert format_of("a.PQ", None) is FORMATS["parquet"]
    assert format_of("a.csv", "jsonl") is FORMATS["jsonl"]
    with pytest.raises(ValueError, match="unknown format 'cvs'; did you mean 'csv'"):
        format_of("a.csv", "cvs")
    with pytest.raises(ValueError, match="a.onnx: say what it is with --format: nasbench101-tfrecord, "):
        format_of("a.onnx", None)
    with pytest.raises(ValueError, match="the format csv needs a file"):
        format_of(None, "csv")


def test_what_is_refused_leaves_nothing(tmp_path, capsys, small, space_file):
    source, output = tmp_path / "mine.jsonl", tmp_path / "out.parquet"
    source.write_text(json.dumps(small[0].to_dict() | {"score": 1}), encoding="utf-8")
    with pytest.raises(ValueError, match="mine.jsonl: a table needs its search space"):
        import_results(source, output)
    for name in ("none.csv", "table=none.csv"):
        with pytest.raises(FileNotFoundError, match="^none.csv: no such file"):
            import_results(name, output, space=space_file)
    with pytest.raises(ValueError, match="out.csv: Parquet is written, expected a file ending in .parquet or .pq"):
        import_results(source, output.with_suffix(".csv"), space=space_file)
    with pytest.raises(ValueError, match="the benchmark nasbench201 is of nasbench201, not of darts"):
        import_results(None, output, "nasbench201", "darts")
    with pytest.raises(ValueError, match="genotypes are of darts, not of import-space"):
        import_results(source, output, "darts", space_file)
    for content, message in ((b"", "holds no genotypes"), (b"\xff", "not UTF-8"), (b"x", "line 1: ")):
        (tmp_path / "bad.txt").write_bytes(content)
        with pytest.raises(ValueError, match=f"bad.txt.*{message}"):
            import_results(tmp_path / "bad.txt", output)
    assert not output.exists()
    assert main(["import", str(source), "--output", str(output)]) == 2
    assert capsys.readouterr().err == f"cate: {source}: a table needs its search space (--space)\n"
    output.write_text("mine")
    with pytest.raises(FileExistsError):
        import_results(source, output, space=space_file)
    assert output.read_text() == "mine"
