"""Tables as people have them: what pandas, polars, NumPy and the public codes write, by every reader alike."""

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cate_hf import get_space, load_benchmark
from cate_hf.benchmarks.importing import import_results
from cate_hf.encodings.inputs import rows_for
from cate_hf.graphs.io import read_parquet

SPACE = get_space("nasbench101")
CELLS = SPACE.sample(12, seed=4)
HASHES = CELLS.columns["hash"].tolist()
SCORES = np.linspace(0.9, 0.95, 12).round(4)
ROWS = [{**cell.to_dict(), "accuracy": float(score)} for cell, score in zip(CELLS, SCORES, strict=True)]
FRAME = pd.DataFrame(ROWS)
MODULES = FRAME.rename(columns={"operations": "module_operations", "adjacency": "module_adjacency"})
ARRAYS = FRAME.assign(
    operations=[np.array(row["operations"]) for row in ROWS], adjacency=[np.array(row["adjacency"]) for row in ROWS]
)


def one_hot(padded: bool = True, order=SPACE.vocabulary) -> dict:
    """The public code's preprocessing: an object of index -> results, operations one-hot, padded to 7 nodes or not."""
    found = {}
    for i, cell in enumerate(CELLS):
        size = 7 if padded else cell.num_nodes
        operations, adjacency = np.zeros((size, 5), int), np.zeros((size, size), int)
        operations[np.arange(cell.num_nodes), [order.index(name) for name in cell.operations]] = 1
        adjacency[: cell.num_nodes, : cell.num_nodes] = cell.adjacency
        found[str(i)] = {
            "hash": HASHES[i],
            "module_adjacency": adjacency.tolist(),
            "module_operations": operations.tolist(),
            "parameters": int(CELLS.columns["parameters"][i]),
            "validation_accuracy": 0.9,
            "accuracy": float(SCORES[i]),
            "training_time": 1000.5,
        }
    return found


def with_hash(index: bool) -> str:
    rows = {str(i): {"hash": h, **row} for i, (h, row) in enumerate(zip(HASHES, ROWS, strict=True))}
    return json.dumps(rows if index else [*rows.values()])


def lists(kind) -> pd.DataFrame:
    return FRAME.assign(adjacency=[[[kind(x) for x in line] for line in row["adjacency"]] for row in ROWS])


OTHER = ("input", "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3", "output")
FORMS = {
    "csv of lists": ("t.csv", lambda p: FRAME.to_csv(p)),
    "csv of lists, no index": ("t.csv", lambda p: FRAME.to_csv(p, index=False)),
    "csv of arrays": ("t.csv", lambda p: ARRAYS.to_csv(p)),
    "csv of floats": ("t.csv", lambda p: lists(float).to_csv(p)),
    "csv of booleans": ("t.csv", lambda p: lists(bool).to_csv(p)),
    "csv with BOM": ("t.csv", lambda p: FRAME.to_csv(p, index=False, encoding="utf-8-sig")),
    "semicolons": ("t.csv", lambda p: FRAME.to_csv(p, sep=";")),
    "tabs in csv": ("t.csv", lambda p: FRAME.to_csv(p, sep="\t")),
    "tsv": ("t.tsv", lambda p: FRAME.to_csv(p, sep="\t", index=False)),
    "module names, csv": ("t.csv", lambda p: MODULES.to_csv(p)),
    "semicolons and decimal commas": ("t.csv", lambda p: FRAME.to_csv(p, sep=";", decimal=",")),
    "spaces in the header": (
        "t.csv",
        lambda p: p.write_text(FRAME.to_csv(index=False).replace(",adjacency,", ", adjacency , ", 1)),
    ),
    "records": ("t.json", lambda p: FRAME.to_json(p, orient="records")),
    "records, indented": ("t.json", lambda p: FRAME.to_json(p, orient="records", indent=2)),
    "records, lines": ("t.jsonl", lambda p: FRAME.to_json(p, orient="records", lines=True)),
    "index": ("t.json", lambda p: FRAME.to_json(p, orient="index")),
    "columns": ("t.json", lambda p: FRAME.to_json(p)),
    "split": ("t.json", lambda p: FRAME.to_json(p, orient="split")),
    "table": ("t.json", lambda p: FRAME.to_json(p, orient="table")),
    "dict of lists": ("t.json", lambda p: p.write_text(json.dumps(FRAME.to_dict("list")))),
    "objects, indented": ("t.json", lambda p: p.write_text("\n".join(json.dumps(row, indent=1) for row in ROWS))),
    "json with BOM": ("t.json", lambda p: p.write_text("\ufeff" + json.dumps(ROWS), encoding="utf-8")),
    "json of floats": ("t.json", lambda p: lists(float).to_json(p, orient="records")),
    "json of booleans": ("t.jsonl", lambda p: lists(bool).to_json(p, orient="records", lines=True)),
    "module names, json": ("t.json", lambda p: MODULES.to_json(p, orient="index")),
    "with hashes": ("t.json", lambda p: p.write_text(with_hash(True))),
    "one-hot, padded": ("t.json", lambda p: p.write_text(json.dumps(one_hot()))),
    "one-hot, another order": (
        "t.json",
        lambda p: p.write_text(json.dumps(one_hot(False, OTHER))),
    ),
    "parquet of pandas": ("t.parquet", lambda p: FRAME.to_parquet(p)),
    "parquet of pandas, an index": ("t.parquet", lambda p: FRAME.set_index(np.arange(12) * 3).to_parquet(p)),
    "parquet of floats": ("t.parquet", lambda p: lists(float).to_parquet(p)),
    "parquet of module names": ("t.parquet", lambda p: MODULES.to_parquet(p)),
    "parquet of large lists": ("t.parquet", lambda p: pq.write_table(_large(pa.Table.from_pylist(ROWS)), p)),
    "parquet of text": ("t.parquet", lambda p: FRAME.astype({"operations": str, "adjacency": str}).to_parquet(p)),
}  # fmt: skip


def _large(table: pa.Table) -> pa.Table:
    """As polars writes lists and texts."""
    kinds = {"operations": pa.large_list(pa.large_string()), "adjacency": pa.large_list(pa.large_list(pa.int64()))}
    return table.cast(pa.schema([(name, kinds.get(name, table[name].type)) for name in table.column_names]))


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_table(form, tmp_path):
    name, write = FORMS[form]
    write(tmp_path / name)
    benchmark = load_benchmark(tmp_path / name, space=SPACE)
    np.testing.assert_allclose(benchmark.query_many(CELLS, "accuracy"), SCORES)
    assert {*benchmark.fields} <= {"accuracy", "parameters", "validation_accuracy", "training_time"}
    import_results(tmp_path / name, tmp_path / "out.parquet", space=SPACE)
    table = read_parquet(tmp_path / "out.parquet")
    assert sorted(table.columns["hash"].tolist()) == sorted(HASHES)
    rows = rows_for(SPACE, "nasbench101", None, tmp_path / name)
    parts = [part.architectures for part in rows.parts(0, len(rows), 100)]
    assert [h for part in parts for h in part.columns["hash"].tolist()] == HASHES


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("csv of lists", "operations as lists that Python or NumPy printed"),
        ("semicolons", "columns separated by semicolons"),
        ("semicolons and decimal commas", "decimal commas in accuracy"),
        ("records", "an array of 12 objects"),
        ("index", "an object of 12 rows by index"),
        ("module names, json", "operations from module_operations; adjacency from module_adjacency"),
        (
            "one-hot, another order",
            "one-hot operations in the order input, conv3x3-bn-relu, conv1x1-bn-relu, maxpool3x3, output",
        ),
        ("records, lines", ""),
        ("parquet of pandas", ""),
    ],
)
def test_one_line_says_what_was_understood(form, said, tmp_path, capsys):
    from cate_hf.cli import main

    name, write = FORMS[form]
    write(tmp_path / name)
    line = load_benchmark(tmp_path / name, space=SPACE).understood
    assert said in line
    assert bool(line) == bool(said)
    assert "\n" not in line
    assert (
        main(["import", str(tmp_path / name), "--space", "nasbench101", "--output", str(tmp_path / "o.parquet")]) == 0
    )
    assert line in " ".join(capsys.readouterr().out.split("\n"))


def changed(**columns) -> str:
    return json.dumps([{**ROWS[0]}, {**ROWS[1], **columns}])


def entry(value) -> str:
    return changed(adjacency=[[0, value], [0, 0]], operations=["input", "output"])


def preprocessed(**columns) -> str:
    return json.dumps([{**row, **columns} for row in one_hot().values()])


def second(**columns) -> str:
    """One-hot rows of which the second is changed."""
    rows = [*one_hot().values()]
    return json.dumps([rows[0], {**rows[1], **columns}, *rows[2:]])


EDGE_OF_PADDING = np.eye(7, k=6, dtype=int).tolist()  # from the first node to the seventh
TWO_NODES = [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"
TWICE = json.dumps([{**row, "module_operations": row["operations"]} for row in ROWS])
UNKNOWN = json.dumps([{k: v for k, v in row.items() if k.startswith("module")} for row in one_hot().values()])
ELLIPSIS = """operations,adjacency\n"['input' ... 'output']","[[0 1]\n [0 0]]"\n"""
CODE = """operations,adjacency\n"[__import__('os')]","[[0 1]\n [0 0]]"\n"""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.json", TWICE, "both say what"),
        ("t.json", UNKNOWN, "in an order that cannot be known; give names, or a column hash or parameters"),
        ("t.json", preprocessed(hash="0" * 32), "no order of the one-hot operations of nasbench101 gives the column"),
        (
            "t.json",
            preprocessed(module_operations=np.eye(7)[:, :4].tolist()),
            "an operation needs a single 1 in its row",
        ),
        (
            "t.json",
            preprocessed(module_operations=np.eye(7).tolist()),
            "one-hot operations of 7 columns; .* has 5: input",
        ),
        (
            "t.json",
            second(module_operations=TWO_NODES),
            "row 1: expected one-hot rows of operations and a matrix of as",
        ),
        ("t.json", second(module_adjacency=[[0, 1], [0]]), "row 1: expected one-hot rows of operations and a matrix"),
        ("t.json", second(module_adjacency=[0, 1]), "row 1, adjacency: expected a JSON list of rows"),
        ("t.json", second(module_operations=None), "row 1, operations: expected a JSON list"),
        ("t.json", second(module_operations=[[2, 0, 0, 0, 0]] * 7), "row 1: expected one-hot rows"),
        ("t.json", second(module_operations=[[1, 0, 0, 1]] * 7), "one-hot operations of different widths"),
        (
            "t.json",
            second(
                module_operations=TWO_NODES + [[0] * 5] * 5,
                module_adjacency=EDGE_OF_PADDING,
            ),
            "row 1: .* padding no edge",
        ),
        ("t.csv", "operations;adjacency\tx\n1;2\t3\n", "the header has semicolons and tabs"),
        ("t.json", entry(0.5), "row 1, adjacency: entry 0.5, expected 0 or 1"),
        ("t.json", entry(float("nan")), "row 1, adjacency: entry nan, expected 0 or 1"),
        ("t.json", entry(2), "row 1, adjacency: entry 2"),
        ("t.json", entry("1"), "row 1, adjacency: expected a JSON list of rows"),
        ("t.json", changed(operations="input"), "row 1, operations: expected a JSON list"),
        ("t.csv", ELLIPSIS, "row 0, operations: expected"),
        ("t.csv", CODE, "row 0, operations: expected"),
        ("t.json", POINTER, "a pointer of Git LFS"),
        ("t.csv", POINTER, "a pointer of Git LFS"),
        ("t.parquet", POINTER, "a pointer of Git LFS"),
    ],
)
def test_what_is_wrong_or_ambiguous_is_refused(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        load_benchmark(tmp_path / name, space=SPACE)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


def test_encodings_of_a_csv_keep_its_columns(tmp_path):
    from cate_hf.encodings.files import encode_to_parquet

    FRAME.to_csv(tmp_path / "t.csv", index=False)
    encode_to_parquet("nasbench101", tmp_path / "out.parquet", input=tmp_path / "t.csv")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["hash"].to_pylist() == HASHES
    assert {"encoding", "operations", "adjacency", "accuracy"} <= {*table.column_names}


def test_a_pointer_in_the_place_of_published_results_and_weights(tmp_path):
    from cate_hf import checkpoint_path, load_encoder
    from cate_hf.graphs.io import read_architectures

    (tmp_path / "nasbench_only108.tfrecord").write_text(POINTER)
    with pytest.raises(ValueError, match="nasbench_only108.tfrecord: a pointer of Git LFS"):
        load_benchmark("nasbench101", path=tmp_path / "nasbench_only108.tfrecord")
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint_path("nasbench101"), folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_text(POINTER)
    with pytest.raises(ValueError, match="model.safetensors: a pointer of Git LFS"):
        load_encoder(folder)
    (tmp_path / "cells.jsonl").write_text(POINTER)
    with pytest.raises(ValueError, match="cells.jsonl: a pointer of Git LFS"):
        read_architectures(tmp_path / "cells.jsonl")


@pytest.mark.parametrize("form", ["csv of lists", "records", "tsv", "parquet of module names", "columns"])
def test_architectures_alone_are_read_from_the_same_forms(form, tmp_path):
    from cate_hf.graphs.io import read_architectures

    name, write = FORMS[form]
    write(tmp_path / name)
    table = read_architectures(tmp_path / name, SPACE.vocabulary)
    assert SPACE.hash_many(table).tolist() == HASHES
    assert "accuracy" in table.columns


def test_what_may_be_thousands_is_no_decimal(tmp_path):
    from cate_hf.graphs._columns import read_columns

    path = tmp_path / "t.csv"
    path.write_text("a;b;c;d\n1,234;0,234;1,5e-3;x\n12,345;1,5;2;1,5\n")
    table, understood = read_columns(path)
    assert table["a"].to_pylist() == ["1,234", "12,345"]
    assert table["b"].to_pylist() == ["0.234", "1.5"]
    assert table["c"].to_pylist() == ["1.5e-3", "2"]
    assert table["d"].to_pylist() == ["x", "1,5"]
    assert understood == "columns separated by semicolons; decimal commas in b; decimal commas in c"
    path.write_text("operations,adjacency\n", encoding="utf-16")
    with pytest.raises(ValueError, match="text in UTF-16; expected UTF-8"):
        read_columns(path)


def test_a_table_of_a_space_that_has_a_benchmark(tmp_path):
    from cate_hf.benchmarks import find_benchmark

    FRAME.to_csv(tmp_path / "t.csv")
    assert find_benchmark(SPACE, tmp_path / "t.csv").query(CELLS[3])["accuracy"] == SCORES[3]
    FRAME.drop(columns="accuracy").to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match="no column 'hash'; nor a table of one's own: .*no column of numbers"):
        find_benchmark(SPACE, tmp_path / "t.csv")
