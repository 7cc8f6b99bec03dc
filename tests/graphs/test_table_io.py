import json

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import Architecture, ArchitectureTable
from cate_hf.graphs import from_dataset, read_parquet, to_dataset
from cate_hf.graphs._table_arrow import from_arrow, to_arrow
from cate_hf.graphs.io import read_architectures
from cate_hf.graphs.io import write_parquet as write_table
from tests.strategies import VOCABULARY, architectures

relaxed = settings(deadline=None, max_examples=40)

OPERATIONS = ["input", "maxpool3x3", "output"]
ADJACENCY = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
GOOD = {"operations": OPERATIONS, "adjacency": ADJACENCY}


def write_parquet(path, rows=None, **columns):
    pq.write_table(pa.Table.from_pylist(rows) if rows is not None else pa.table(columns), path)
    return path


def write_lines(path, *lines):
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def same(left: ArchitectureTable, right: ArchitectureTable) -> bool:
    return list(left) == list(right) and set(left.columns) == set(right.columns)


class TestRoundTrips:
    @relaxed
    @given(st.lists(architectures(), max_size=6))
    def test_arrow(self, archs):
        table = ArchitectureTable.from_architectures(archs, VOCABULARY, {"i": np.arange(len(archs))})
        back = from_arrow(to_arrow(table), "arrow")
        assert back.vocabulary == VOCABULARY
        assert same(back, table)
        assert back.columns["i"].tolist() == list(range(len(archs)))

    @relaxed
    @given(st.lists(architectures(), max_size=6), st.booleans())
    def test_class_labels(self, archs, streamed):
        table = ArchitectureTable.from_architectures(archs, VOCABULARY, {"i": np.arange(len(archs))})
        arrow = to_arrow(table, class_labels=True)
        back = from_arrow(arrow, "arrow")
        assert back.vocabulary == VOCABULARY
        assert same(back, table)
        assert from_arrow(arrow, "arrow", VOCABULARY[::-1]).vocabulary == VOCABULARY[::-1]
        assert list(from_arrow(arrow, "arrow", VOCABULARY[::-1])) == list(table)
        dataset = datasets.Dataset(arrow)
        if streamed and archs:
            dataset = dataset.to_iterable_dataset()
        assert dataset.features["operations"] == datasets.List(datasets.ClassLabel(names=list(VOCABULARY)))
        assert dataset.features["adjacency"] == datasets.List(datasets.List(datasets.Value("uint8")))
        back = from_dataset(dataset)
        assert back.vocabulary == VOCABULARY
        assert same(back, table)

    def test_parts_are_put_together(self, tmp_path, monkeypatch):
        monkeypatch.setattr("cate_hf.graphs._table_arrow.PART_ROWS", 3)
        monkeypatch.setattr("cate_hf.graphs.io.PART_ROWS", 3)
        monkeypatch.setattr("cate_hf.graphs.io.GROUP_ROWS", 5)
        short = Architecture(["input", "output"], [[0, 1], [0, 0]])
        archs = [Architecture(OPERATIONS, ADJACENCY) if i in (4, 9) else short for i in range(11)]
        table = ArchitectureTable.from_architectures(
            archs, columns={"hash": np.array(["0" * 31 + c for c in "0123456789a"])}
        )
        for class_labels in (False, True):
            write_table(table, tmp_path / "t.parquet", overwrite=True, class_labels=class_labels)
            assert pq.read_metadata(tmp_path / "t.parquet").num_row_groups == 3
            back = read_parquet(tmp_path / "t.parquet")
            assert same(back, table)
            assert np.array_equal(back.columns["hash"], table.columns["hash"])
            assert same(from_arrow(to_arrow(table, class_labels), "arrow"), table)
        # Without the order of the vocabulary: by first appearance over all parts.
        rows = to_arrow(table).replace_schema_metadata(None)
        assert from_arrow(rows, "arrow").vocabulary == ("input", "output", "maxpool3x3")
        rows = [{"operations": list(a.operations), "adjacency": a.adjacency.tolist()} for a in archs]
        rows[7]["adjacency"] = [[0, 0], [1, 0]]
        write_parquet(tmp_path / "bad.parquet", rows)
        with pytest.raises(ValueError, match=r"bad.parquet, row 7: edge 1 -> 0 goes backward"):
            read_parquet(tmp_path / "bad.parquet")
        rows[7]["adjacency"] = [[0, 2], [0, 0]]
        write_parquet(tmp_path / "bad.parquet", rows)
        with pytest.raises(ValueError, match=r"bad.parquet, row 7, adjacency: entry 2, expected 0 or 1"):
            read_parquet(tmp_path / "bad.parquet")

    @pytest.mark.parametrize(
        ("labels", "names", "message"),
        [
            (
                [0, 5, 1],
                ["input", "output"],
                r"row 0, operations: node 1: unknown operation 5, known are input",
            ),
            ([0, -1, 1], ["input", "output"], r"row 0, operations: node 1: unknown operation -1"),
            ([0, None, 1], ["input", "output"], r"row 0, operations: node 1: unknown operation None"),
            ([0, 1, 1], "input", r"the metadata of the columns has 'input', expected names of operations"),
            ([0, 1, 1], [3, 4], r"the metadata of the columns has \[3, 4\], expected names of operations"),
            ([0, 1, 1], None, r"column 'operations' holds int64, expected names"),
        ],
    )
    def test_class_labels_that_are_wrong(self, labels, names, message):
        features = {"operations": {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "List"}}
        arrow = pa.table({"operations": [labels], "adjacency": [ADJACENCY]})
        arrow = arrow.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        with pytest.raises(ValueError, match=f"^x[:,] {message}"):
            from_arrow(arrow, "x")

    @pytest.mark.parametrize("metadata", ["{", "[]", '{"info": []}', '{"info": {"features": {"operations": 3}}}'])
    def test_metadata_that_cannot_be_read(self, metadata):
        arrow = pa.table({"operations": [OPERATIONS], "adjacency": [ADJACENCY]})
        with pytest.raises(ValueError, match="x: the metadata of the columns cannot be read"):
            from_arrow(arrow.replace_schema_metadata({"huggingface": metadata}), "x")

    @pytest.mark.parametrize("packed", [False, True])
    def test_parquet(self, tmp_path, packed):
        table = ArchitectureTable.from_arrays(
            VOCABULARY,
            np.array([[0, 3, 4], [0, 4, 255]]),
            np.array([ADJACENCY, [[0, 1, 0], [0, 0, 0], [0, 0, 0]]]),
            {
                "hash": np.array(["0" * 32, "f" * 32]),
                "parameters": np.array([5, 2**40]),
                "score": np.array([0.5, np.nan]),
            },
        )
        write_table(table, tmp_path / "t.parquet", packed=packed)
        back = read_parquet(tmp_path / "t.parquet")
        assert back.vocabulary == VOCABULARY
        assert same(back, table)
        for name, values in table.columns.items():
            assert back.columns[name].dtype == values.dtype
            np.testing.assert_array_equal(back.columns[name], values)
        with pytest.raises(FileExistsError, match="exists already"):
            write_table(table, tmp_path / "t.parquet")
        write_table(table[:1], tmp_path / "t.parquet", overwrite=True)
        assert len(read_parquet(tmp_path / "t.parquet")) == 1

    def test_the_public_form_is_plain_lists(self, tmp_path):
        table = from_arrow(pa.Table.from_pylist([GOOD | {"hash": "a" * 32}]), "rows")
        write_table(table, tmp_path / "t.parquet")
        assert pq.read_table(tmp_path / "t.parquet").to_pylist() == [GOOD | {"hash": "a" * 32}]

    def test_dataset(self):
        table = from_arrow(pa.Table.from_pylist([GOOD | {"x": i} for i in range(5)]), "rows")
        dataset = to_dataset(table)
        assert dataset[2] == GOOD | {"x": 2}
        back = from_dataset(dataset.select([4, 1]))
        assert same(back, table[[4, 1]])
        assert back.columns["x"].tolist() == [4, 1]

    def test_other_writers(self, tmp_path):
        """Wider integers, booleans and large lists, as other libraries write them."""
        names = pa.array([OPERATIONS], pa.large_list(pa.large_string()))
        for entry in (pa.int64(), pa.bool_()):
            column = pa.array(
                [np.array(ADJACENCY).astype(entry.to_pandas_dtype()).tolist()], pa.large_list(pa.list_(entry))
            )
            path = write_parquet(tmp_path / "t.parquet", operations=names, adjacency=column)
            assert read_architectures(path)[0].to_dict() == GOOD

    def test_json_lines(self, tmp_path):
        path = write_lines(
            tmp_path / "t.jsonl", GOOD | {"name": "a", "score": 1.5}, "", GOOD | {"name": "b", "score": 2}
        )
        table = read_architectures(path, VOCABULARY)
        assert table.vocabulary == VOCABULARY
        assert [arch.to_dict() for arch in table] == [GOOD, GOOD]
        assert table.columns["name"].tolist() == ["a", "b"]
        assert table.columns["score"].tolist() == [1.5, 2.0]


def changed(row, column, value):
    matrix = [list(r) for r in ADJACENCY]
    matrix[row][column] = value
    return {"operations": OPERATIONS, "adjacency": matrix}


class TestBadJsonLines:
    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('{"operations": [', "line 2: not valid JSON"),
            ("[1, 2]", "line 2: expected an object"),
            ({"operations": OPERATIONS}, "line 2: .*adjacency"),
            ({"adjacency": ADJACENCY}, "line 2: .*operations"),
            ({"operations": "input", "adjacency": ADJACENCY}, "line 2: .*operations"),
            ({"operations": [1, 2, 3], "adjacency": ADJACENCY}, "line 2: .*operation"),
            ({"operations": OPERATIONS, "adjacency": [[0, 1], [0, 0, 1], [0, 0, 0]]}, "line 2: .*adjacency"),
            ({"operations": OPERATIONS, "adjacency": ADJACENCY[:2]}, "line 2: "),
            ({"operations": OPERATIONS[:2], "adjacency": ADJACENCY}, "line 2: "),
            ({"operations": ["input"], "adjacency": [[0]]}, "line 2: "),
            ({"operations": [], "adjacency": []}, "line 2: "),
            (changed(0, 1, 0.5), r"line 2: .*0\.5"),
            (changed(0, 1, float("nan")), "line 2: .*nan"),
            (changed(0, 1, None), "line 2: "),
            (changed(2, 1, 1), "line 2: .*cycle|line 2: .*2 -> 1"),
            (changed(2, 0, 1), "line 2: .*cycle|line 2: .*2 -> 0"),
            (changed(1, 1, 1), "line 2: .*1"),
            (
                {"operations": ["input", "conv9x9", "output"], "adjacency": ADJACENCY},
                "line 2: node 1: unknown operation 'conv9x9', known are input, conv1x1",
            ),
        ],
    )
    def test_file_and_line_are_named(self, tmp_path, line, message):
        path = write_lines(tmp_path / "t.jsonl", GOOD, line)
        with pytest.raises(ValueError, match=f"t.jsonl, {message}") as caught:
            read_architectures(path, VOCABULARY)
        assert "\n" not in str(caught.value)

    def test_truncated_in_the_middle_of_a_line(self, tmp_path):
        path = tmp_path / "t.jsonl"
        path.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD)[:-20])
        with pytest.raises(ValueError, match=r"t.jsonl, line 2: not valid JSON"):
            read_architectures(path)

    def test_no_architecture(self, tmp_path):
        (tmp_path / "empty.jsonl").touch()
        with pytest.raises(ValueError, match=r"empty.jsonl: the file is empty"):
            read_architectures(tmp_path / "empty.jsonl")
        with pytest.raises(ValueError, match=r"blank.jsonl: holds no architecture"):
            read_architectures(write_lines(tmp_path / "blank.jsonl", "", ""))

    def test_not_text(self, tmp_path):
        (tmp_path / "t.jsonl").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ValueError, match=r"t.jsonl.*UTF-8"):
            read_architectures(tmp_path / "t.jsonl")


class TestBadParquet:
    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({"operations": OPERATIONS, "adjacency": ADJACENCY[:2]}, "row 1, adjacency: 2 rows for 3 operations"),
            (
                {"operations": OPERATIONS, "adjacency": [[0, 1, 0], [0, 0], [0, 0, 0]]},
                "row 1, adjacency: row 1 has 2 entries, expected 3",
            ),
            (changed(0, 1, 3), "row 1, adjacency: entry 3, expected 0 or 1"),
            (changed(0, 1, None), "row 1, adjacency: an entry is missing"),
            ({"operations": OPERATIONS, "adjacency": None}, "row 1: adjacency is missing"),
            ({"operations": None, "adjacency": ADJACENCY}, "row 1: operations is missing"),
            (changed(2, 1, 1), "row 1: edge 2 -> 1 goes backward"),
            (changed(1, 1, 1), "row 1: node 1 has an edge to itself"),
            ({"operations": ["input"], "adjacency": [[0]]}, "row 1: an architecture needs at least 2 nodes, got 1"),
            ({"operations": [], "adjacency": []}, "row 1: an architecture needs at least 2 nodes, got 0"),
            (
                {"operations": ["input", "conv9x9", "output"], "adjacency": ADJACENCY},
                "row 1, operations: node 1: unknown operation 'conv9x9', known are input, conv1x1",
            ),
        ],
    )
    def test_file_and_row_are_named(self, tmp_path, row, message):
        path = write_parquet(tmp_path / "t.parquet", [GOOD, row])
        with pytest.raises(ValueError, match=f"t.parquet,? {message}") as caught:
            read_architectures(path, VOCABULARY)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("value", [0.5, float("nan")])
    def test_fractions(self, tmp_path, value):
        matrix = [[0.0, value, 0.0], [0.0, 0.0, 1.0], [0.0] * 3]
        path = write_parquet(tmp_path / "t.parquet", [{"operations": OPERATIONS, "adjacency": matrix}])
        with pytest.raises(ValueError, match=r"t.parquet, row 0, adjacency: .*expected"):
            read_architectures(path)

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"operations": [OPERATIONS]}, "no column 'adjacency'; it has operations"),
            ({"adjacency": [ADJACENCY]}, "no column 'operations'; it has adjacency"),
            (
                {"operations": ["input"], "adjacency": [ADJACENCY]},
                "row 0, operations: expected a JSON list of names, .*got 'input'",
            ),
            ({"operations": [[1, 2, 3]], "adjacency": [ADJACENCY]}, "column 'operations' holds int64, expected names"),
            ({"operations": [OPERATIONS], "adjacency": [1]}, "column 'adjacency' holds int64, expected a list"),
            ({"operations": [OPERATIONS], "adjacency": [[0, 1, 0]]}, "column 'adjacency' holds int64, expected a list"),
        ],
    )
    def test_missing_columns_and_wrong_types(self, tmp_path, columns, message):
        with pytest.raises(ValueError, match=f"t.parquet[:,] {message}"):
            read_architectures(write_parquet(tmp_path / "t.parquet", **columns))

    @pytest.mark.parametrize("packed", [False, True])
    def test_truncated(self, tmp_path, packed):
        path = tmp_path / "t.parquet"
        write_table(from_arrow(pa.Table.from_pylist([GOOD] * 100), "rows"), path, packed=packed)
        whole = path.read_bytes()
        for length in (3, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError, match=r"t.parquet: not a readable Parquet file"):
                read_architectures(path)
        path.write_bytes(b"")
        with pytest.raises(ValueError, match=r"t.parquet: the file is empty"):
            read_architectures(path)


def test_no_such_file_and_other_suffixes(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing.parquet: no such file"):
        read_architectures(tmp_path / "nothing.parquet")
    with pytest.raises(FileNotFoundError, match=r"nothing.parquet: no such file"):
        read_parquet(tmp_path / "nothing.parquet")
    (tmp_path / "t.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match=r"t.csv: holds no rows"):
        read_architectures(tmp_path / "t.csv")
    (tmp_path / "t.txt").write_text("a,b\n")
    with pytest.raises(ValueError, match=r"t.txt: expected a file ending in .*\.csv"):
        read_architectures(tmp_path / "t.txt")


class TestColumnsOfManyKinds:
    @pytest.mark.parametrize(
        ("early", "late", "expected"),
        [(None, "late", "late"), (1, 1.5, 1.5), (None, [1, 2], [1, 2]), (None, True, True)],
    )
    def test_what_comes_late_in_a_long_table_is_kept(self, tmp_path, early, late, expected):
        rows = 70_000  # more than are converted, or written, at a time
        cell = json.dumps(GOOD)[:-1]
        first, last = (f'{cell}, "column": {json.dumps(value)}}}' for value in (early, late))
        path = tmp_path / "long.jsonl"
        path.write_text("\n".join([f'{cell}, "column": null}}', *[first] * (rows - 2), last]))
        table = read_architectures(path)
        arrow = to_arrow(table)
        assert len(arrow) == rows
        assert arrow["column"][-1].as_py() == expected
        assert arrow["column"][1].as_py() == early
        write_table(table, tmp_path / "long.parquet")
        written = pq.read_table(tmp_path / "long.parquet", columns=["column"])["column"]
        assert written.type == arrow["column"].type
        assert (written[0].as_py(), written[1].as_py(), written[-1].as_py()) == (None, early, expected)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([None, 1, 2, "x"], "column 'column': expected values of one type, got int in row 1 and str in row 3"),
            ([True, 1], "column 'column': expected values of one type, got bool in row 0 and int in row 1"),
            ([{"a": 1}, [1]], "got dict in row 0 and list in row 1"),
            ([10**30, 1], "column 'column': expected values of one type, got int in row 0"),
            (["\ud800"], "column 'column': .*surrogates"),
        ],
    )
    def test_values_without_a_common_type_are_told(self, tmp_path, values, message):
        path = write_lines(tmp_path / "a.jsonl", *({**GOOD, "column": value} for value in values))
        table = read_architectures(path)
        for write in (to_arrow, lambda table: write_table(table, tmp_path / "out.parquet")):
            with pytest.raises(ValueError, match=message) as error:
                write(table)
            assert "\n" not in str(error.value)
        assert not (tmp_path / "out.parquet").exists()

    def test_a_byte_order_mark_is_no_text(self, tmp_path):
        path = tmp_path / "a.jsonl"
        path.write_text(json.dumps(GOOD), encoding="utf-8-sig")
        assert list(read_architectures(path)) == [Architecture.from_dict(GOOD)]

    def test_a_folder_is_not_a_missing_file(self, tmp_path):
        with pytest.raises(ValueError, match="a folder, expected a file ending in .parquet"):
            read_architectures(tmp_path)
