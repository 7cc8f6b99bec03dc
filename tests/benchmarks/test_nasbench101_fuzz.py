"""Damaged NAS-Bench-101 files: whatever the bytes are, one line that names the record, or the right numbers."""

import base64
import json
import re

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cate_hf import get_space
from cate_hf.benchmarks.nasbench101 import _layout as nasbench101_layout
from cate_hf.benchmarks.nasbench101._cells import benchmark_cells
from cate_hf.benchmarks.nasbench101._records import parse_record
from cate_hf.benchmarks.nasbench101._run_results import read_runs
from tests import nasbench101_file as file

SPACE = get_space("nasbench101")


def outcome(path):
    """Results and None, or None and what the error says."""
    try:
        return read_runs(path), None
    except ValueError as error:
        return None, str(error)


FUZZ = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.data())
def test_every_changed_byte_is_noticed(published, tmp_path, data):
    content = bytearray(published.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    number = int(np.searchsorted(file.starts_of(published.read_bytes()), at, side="right")) - 1
    assert f"record {number} (" in file.refused(tmp_path / "x.tfrecord", bytes(content))


@FUZZ
@given(st.data())
def test_bytes_cut_out_or_put_in_are_noticed(published, tmp_path, data):
    content = published.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    new = content[:at] + data.draw(st.binary(max_size=20)) + content[at + data.draw(st.integers(0, 900)) :]
    path = tmp_path / "x.tfrecord"
    path.write_bytes(new)
    results, said = outcome(path)
    if said is not None:
        assert re.fullmatch(re.escape(str(path)) + r": record \d+ \(counted from 0, at byte \d+\): [^\n]*", said)
    else:  # a whole record was cut out, or nothing
        rest = file.frames_of(new)
        assert set(rest) <= set(file.frames_of(content))
        assert sum(results.num_runs(epochs).sum() for epochs in results.epochs) == len(rest)


@FUZZ
@given(st.data())
def test_damage_under_a_right_checksum_raises_nothing_else(published, tmp_path, data):
    """What a wrong writer would produce: any bytes, parts of another kind, any message."""
    parts = file.frames_of(published.read_bytes())
    number = data.draw(st.integers(0, len(parts) - 1))
    way = data.draw(st.sampled_from(["bytes", "field", "message"]))
    if way == "bytes":
        part = bytearray(parts[number])
        for _ in range(data.draw(st.integers(1, 4))):
            part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))
        new = bytes(part)
    else:
        fields = json.loads(parts[number])
        if way == "field":
            anything = st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.lists(st.integers(), max_size=3))
            fields[data.draw(st.integers(0, 4))] = data.draw(anything)
        else:
            raw = bytearray(base64.b64decode(fields[4]))
            for _ in range(data.draw(st.integers(1, 4))):
                raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
            fields[4] = base64.b64encode(raw[: data.draw(st.integers(0, len(raw)))]).decode()
        new = json.dumps(fields).encode()
    path = tmp_path / "x.tfrecord"
    path.write_bytes(b"".join(file.frame(new if n == number else part) for n, part in enumerate(parts)))
    results, said = outcome(path)
    if said is not None:  # a fourth run is found at the last of them
        which = r"\d+" if "a fourth run" in said else str(number)
        assert re.fullmatch(re.escape(str(path)) + rf": record {which} \(counted from 0, at byte \d+\): [^\n]*", said)
    else:  # still a record that makes sense: its numbers are those that the parser of single records finds
        record = parse_record(new)
        row = results.hashes.tolist().index(record.hash)
        found = results.runs[record.epochs][:, :, row].T
        assert any(np.array_equal(values, np.array(record.values)) for values in found)


@FUZZ
@given(st.data())
def test_layouts_learnt_from_odd_records_read_what_the_parser_reads(published, table, tmp_path, data):
    """Messages with fields left out, in another order or unknown, and texts spaced otherwise."""
    part = data.draw(st.sampled_from(file.frames_of(published.read_bytes())))
    hash_, epochs, adjacency, operations, text = json.loads(part)
    raw = base64.b64decode(text)
    start, rest = raw[:47], raw[47:]
    epoch = start[2:11]
    start = data.draw(st.sampled_from([start, b"\x0a\x00", b"\x0a\x09" + epoch, b"\x0a\x0b" + epoch + b"2\x00"]))
    tail = data.draw(st.sampled_from([b"", b"\x20\x01", rest[-9:]]))
    rest = data.draw(st.sampled_from([rest, rest[:-9], rest[-9:] + rest[:-9]]))
    new = base64.b64encode(start + rest + tail).decode()
    separator = data.draw(st.sampled_from([", ", ",", " , "]))
    escape = data.draw(st.booleans())
    line = json.dumps([hash_, epochs, adjacency, operations, new], separators=(separator, ": ")).encode()
    if escape:
        line = line.replace(b"/", b"\\/")
    record = parse_record(line)
    cells = benchmark_cells()
    try:
        layout = nasbench101_layout.Layout(line, record, cells)
    except (ValueError, LookupError):
        return
    fits, rows, values, parameters = layout.read(np.frombuffer(line, dtype=np.uint8)[None])
    assert fits[0]
    assert cells.hashes[rows[0]] == record.hash
    assert values[0].tolist() == record.values
    assert parameters[0] == record.parameters
