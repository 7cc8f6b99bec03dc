"""The reader of the published NAS-Bench-101 files: its frames, messages and refusals."""

import base64
import json
import re
import struct

import numpy as np
import pytest

from cate_hf import Architecture, get_space
from cate_hf.benchmarks.nasbench101 import _run_results as nasbench101_runs
from cate_hf.benchmarks.nasbench101._records import FIELDS, model_metrics, parse_record, read_blocks
from cate_hf.benchmarks.nasbench101._run_results import read_runs
from tests import nasbench101_file as file

SPACE = get_space("nasbench101")


def check_equal(results, table, runs):
    order = np.argsort(np.array(table["hash"].to_pylist()))
    assert results.hashes.tolist() == sorted(table["hash"].to_pylist())
    assert np.array_equal(results.parameters, table["parameters"].to_numpy()[order])
    assert results.epochs == sorted(runs)
    for epochs, values in runs.items():
        assert np.array_equal(results.runs[epochs].transpose(2, 1, 0), values[order])


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("lines", [False, True])
def test_every_number_of_every_run_comes_back(table, runs, tmp_path, lines, compact):
    path = tmp_path / "results"
    number = file.write_file(path, table, runs, seed=4, lines=lines, compact=compact)
    assert number == 50 * 2 * 3
    check_equal(read_runs(path), table, runs)


def test_records_read_as_arrays_and_one_by_one_are_equal(table, runs, tmp_path, monkeypatch):
    path = tmp_path / "results.tfrecord"
    cells = SPACE.sample(800, seed=5)
    table = file.made_up_table(cells, seed=5)
    runs = {108: file.make_runs(table, 108, seed=5)}
    file.write_file(path, table, runs)
    parsed = []
    monkeypatch.setattr(nasbench101_runs, "parse_record", lambda data: parsed.append(1) or parse_record(data))
    check_equal(read_runs(path), table, runs)
    assert len(parsed) < 0.1 * 2400  # one for each layout

    def never(*arguments):
        raise ValueError

    monkeypatch.setattr(nasbench101_runs, "Layout", never)
    parsed.clear()
    check_equal(read_runs(path), table, runs)
    assert len(parsed) == 2400


def test_blocks_cut_anywhere_give_the_same_records(published):
    content = published.read_bytes()
    whole = [b.data[s:e] for b in read_blocks(published) for s, e in zip(b.starts, b.ends, strict=True)]
    assert whole == file.frames_of(content)
    for size in (1, 7, 500, 4096):
        blocks = list(read_blocks(published, size))
        assert [b.data[s:e] for b in blocks for s, e in zip(b.starts, b.ends, strict=True)] == whole
        assert [b.first for b in blocks] == np.cumsum([0, *(len(b.starts) for b in blocks)])[:-1].tolist()


def test_the_message_has_the_published_fields():
    values = [0.25 * n for n in range(1, 9)]
    message = model_metrics().FromString(file.metrics_message(108, values, 8_555_530))
    assert message.trainable_parameters == 8_555_530
    assert message.total_time == values[4] + 100
    start, half, end = message.evaluation_data
    assert (start.current_epoch, half.current_epoch, end.current_epoch) == (0, 54, 108)
    for evaluation, expected in ((half, values[:4]), (end, values[4:])):
        assert [
            evaluation.training_time,
            evaluation.train_accuracy,
            evaluation.validation_accuracy,
            evaluation.test_accuracy,
        ] == expected


def one_record(**changes) -> bytes:
    """A record of a 3-node cell, with some parts changed."""
    cell = Architecture(["input", "maxpool3x3", "output"], [[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    values = [100.0, 0.5, 0.5, 0.5, 200.0, 0.9, 0.8, 0.7]
    parts = {
        "hash": SPACE.hash(cell),
        "epochs": 108,
        "adjacency": "010001000",
        "operations": "input,maxpool3x3,output",
        "metrics": base64.b64encode(file.metrics_message(108, values, 227_274)).decode(),
    }
    return json.dumps([*(parts | changes).values()]).encode()


def message(values=None, parameters: int = 5, **fields) -> str:
    values = values or [100.0, 0.5, 0.5, 0.5, 200.0, 0.9, 0.8, 0.7]
    return base64.b64encode(file.metrics_message(108, values, parameters)).decode()


def changed(field: str, value: float) -> str:
    values = [100.0, 0.5, 0.5, 0.5, 200.0, 0.9, 0.8, 0.7]
    values[FIELDS.index(field)] = value
    return message(values)


HALF = file.evaluation(54, 1.0, 0.5, 0.5, 0.5)
TWO = base64.b64encode(HALF + HALF + b"\x10\x05").decode()
NO_TIME = base64.b64encode(HALF + bytes([0x0A, 9, 0x09]) + bytes(8) + HALF + b"\x10\x05").decode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'["a", 1', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", r"expected \[hash, epochs, adjacency, operations, metrics\]"),
        (b"[1, 2, 3, 4]", r"expected \[hash"),
        (one_record(hash=5), "hash must be ASCII text, got 5"),
        (one_record(hash="é" * 32), "hash must be ASCII text"),
        (one_record(hash="abc"), "hash must have 32 characters, got 'abc'"),
        (one_record(hash="f" * 32), "no cell of NAS-Bench-101 has the hash 'ffff"),
        (one_record(hash="\0" * 32), "no cell of NAS-Bench-101 has the hash"),
        (one_record(epochs="108"), "epochs must be 4, 12, 36, 108, got '108'"),
        (one_record(epochs=True), "epochs must be"),
        (one_record(epochs=50), "epochs must be 4, 12, 36, 108, got 50"),
        (one_record(epochs=10**400), "epochs must be"),
        (one_record(epochs=float("nan")), "epochs must be"),
        (one_record(adjacency="01000100"), "digits 0 and 1 of a square matrix"),
        (one_record(adjacency="010002000"), "digits 0 and 1 of a square matrix"),
        (one_record(adjacency="0100"), "3 operations for an adjacency matrix of 2 rows"),
        (one_record(adjacency=""), "3 operations for an adjacency matrix of 0 rows"),
        (one_record(adjacency="011001000"), "its hash is .*, its cell has "),
        (one_record(adjacency="010000000"), "its cell is not of NAS-Bench-101: .*no path"),
        (one_record(operations="input,conv3x3-bn-relu,output"), "its hash is .*, its cell has "),
        (one_record(operations="input,conv9x9,output"), "unknown operation 'conv9x9', known are input, conv3x3"),
        (one_record(metrics="a"), "metrics must be base64, got 'a'"),
        (one_record(metrics="????"), r"metrics must be base64, got '\?"),
        (one_record(metrics=base64.b64encode(b"\x0a\xff").decode()), "not a ModelMetrics message"),
        (one_record(metrics=""), "metrics of 0 evaluations, expected 3"),
        (one_record(metrics=TWO), "metrics of 2 evaluations, expected 3"),
        (one_record(metrics=NO_TIME), "the half-way evaluation lacks training_time"),
        (one_record(metrics=message(parameters=0)), "trainable_parameters must be above 0, got 0"),
        (
            one_record(metrics=changed("test_accuracy", 93.5)),
            r"test_accuracy is 93.5, expected an accuracy in \[0",
        ),
        (one_record(metrics=changed("train_accuracy", float("nan"))), "train_accuracy is nan, expected an accuracy"),
        (
            one_record(metrics=changed("halfway_training_seconds", -1.0)),
            "halfway_training_seconds is -1.0, exp",
        ),
        (one_record(metrics=changed("training_seconds", float("inf"))), "training_seconds is inf, expected seconds"),
    ],
)
def test_what_is_wrong_with_a_record_is_said_with_its_number(tmp_path, table, data, reason):
    good = [file.frame(one_record())]
    before = good[0] + file.frame(one_record(metrics=message()))
    said = file.refused(tmp_path / "x.tfrecord", before + file.frame(data) + good[0])
    assert re.search(rf"record 2 \(counted from 0, at byte {len(before)}\): .*{reason}", said)


def test_the_first_wrong_record_is_named(published, tmp_path):
    parts = file.frames_of(published.read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(20):
        wrong = np.sort(rng.choice(len(parts), 4, replace=False)).tolist()
        new = list(parts)
        new[wrong[0]] = parts[wrong[0]].replace(b", 108,", b", 107,").replace(b", 4,", b", 5,")
        new[wrong[1]] = b"[]"
        new[wrong[2]] = new[wrong[2]][:-60]
        new[wrong[3]] = one_record(metrics=changed("test_accuracy", 2.0))
        assert f"record {wrong[0]} (" in file.refused(tmp_path / "x.tfrecord", b"".join(map(file.frame, new)))


def test_an_accuracy_out_of_range_among_records_read_as_arrays(table, runs, tmp_path):
    bad = {108: runs[108].copy()}
    bad[108][17, 1, FIELDS.index("validation_accuracy")] = np.float32(1.5)
    path = tmp_path / "x.tfrecord"
    file.write_file(path, table, bad)
    number = next(n for n, part in enumerate(file.frames_of(path.read_bytes())) if parse_record(part).values[6] == 1.5)
    assert f"record {number} (" in file.refused(path, path.read_bytes())


def test_other_drawings_of_a_cell_are_found_out(tmp_path):
    """Nodes in another order, and a node on no path, are the same cell."""
    table = file.made_up_table(SPACE.sample(40, seed=6), seed=6)
    values = file.make_runs(table, 108)
    records, expected, redrawn = [], [], 0
    for row, (adjacency, operations) in enumerate(file.drawings(table)):
        names = operations.split(",")
        matrix = np.array(list(adjacency), dtype=int).reshape(len(names), -1)
        order = list(range(len(names)))
        for v in range(1, len(names) - 2):
            if not matrix[v, v + 1]:
                order[v], order[v + 1] = v + 1, v
                break
        redrawn += order != sorted(order)
        matrix, names = matrix[np.ix_(order, order)], [names[v] for v in order]
        if row % 4 == 0:
            matrix = np.insert(np.insert(matrix, 1, 0, axis=0), 1, 0, axis=1)
            names.insert(1, "maxpool3x3")
        drawn = "".join(map(str, matrix.ravel())), ",".join(names)
        for run in range(3):
            parameters = int(table["parameters"][row].as_py())
            content = file.metrics_message(108, values[row, run].tolist(), parameters)
            records.append(file.frame(file.record(table["hash"][row].as_py(), 108, *drawn, content)))
        expected.append(values[row])
    assert redrawn > 20
    path = tmp_path / "redrawn.tfrecord"
    path.write_bytes(b"".join(records))
    check_equal(read_runs(path), table, {108: np.stack(expected)})


def test_runs_that_lack_and_a_fourth(table, runs, tmp_path):
    parts = [p for p in file.frames_of(written_bytes(tmp_path, table, runs)) if b", 108, " in p]
    first = json.loads(parts[0])[0]
    kept, seen = [], 0
    for part in parts:
        seen += json.loads(part)[0] == first
        if not (json.loads(part)[0] == first and seen == 3):
            kept.append(part)
    path = tmp_path / "x.tfrecord"
    path.write_bytes(b"".join(map(file.frame, kept)))
    results = read_runs(path)
    row = results.hashes.tolist().index(first)
    assert results.num_runs(108)[row] == 2
    assert (np.delete(results.num_runs(108), row) == 3).all()
    assert np.isnan(results.runs[108][:, 2, row]).all()
    said = file.refused(path, b"".join(map(file.frame, [*parts, parts[0]])))
    assert f"record {len(parts)} (" in said
    assert f"a fourth run of cell {first} with 108 epochs, there are 3" in said


def written_bytes(folder, table, runs) -> bytes:
    path = folder / "all.tfrecord"
    file.write_file(path, table, runs, seed=9)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"PNG", "record 0 .*ends inside it, after 3 bytes; it is truncated"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "the checksum of its length is wrong.*not a file of TFRecords"),
        (b"hash,test_accuracy\n" * 9, "not a file of TFRecords"),
        (bytes(40), "record 0 .*not a file of TFRecords"),
        (file.frame(b"\x0a\x07example"), "record 0 .*not a record of NAS-Bench-101"),
        (file.frame(b"x" * 30) * 2, "record 0 .*not a record of NAS-Bench-101"),
        (struct.pack("<Q", 1 << 40) + file.masked_crc(struct.pack("<Q", 1 << 40)), "a length of 1099511627776 bytes"),
    ],
)
def test_foreign_files_are_refused_in_one_line(tmp_path, content, said):
    assert re.search(said, file.refused(tmp_path / "foreign.tfrecord", content))


def test_a_cut_file_says_where_it_ends(published, tmp_path):
    content = published.read_bytes()
    beginnings = file.starts_of(content)
    for number in (0, 1, 100, len(beginnings) - 1):
        for left in (1, 11, 12, 13, 300):
            said = file.refused(tmp_path / "cut.tfrecord", content[: beginnings[number] + left])
            assert f"record {number} (counted from 0, at byte {beginnings[number]}): " in said
            assert f"ends inside it, after {left} bytes; it is truncated" in said
