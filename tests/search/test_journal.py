"""Searches that go on from their journal, also after kill -9."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cate_hf.search.journal import JOURNAL_FILE, Journal
from cate_hf.search.runner import run
from cate_hf.search.storage import from_line, to_line
from tests.search.searches import CANDIDATES, NAMES, VARIANTS, go_on, optimizer, synthetic, value


@pytest.mark.parametrize(("name", "chosen"), VARIANTS, ids=NAMES)
def test_a_search_goes_on_from_its_journal_to_the_bit(name, chosen, tmp_path):
    whole = go_on(optimizer(name, chosen), 30)
    for stop in (0, 5, 13, 21):
        part = optimizer(name, chosen)
        Journal(part, tmp_path)
        go_on(part, stop)
        asked = part.ask_rows(1)  # and ends here, before it is told
        del part
        part = optimizer(name, chosen)
        Journal(part, tmp_path)
        assert part.pending_rows() == asked
        assert part.rows == whole.rows[:stop]
        row = asked[0]
        part.tell_row(row, value(part, row) if row % 7 else np.nan)
        del part
    last = optimizer(name, chosen)
    Journal(last, tmp_path)
    assert go_on(last, 30).rows == whole.rows
    np.testing.assert_array_equal(last.values, whole.values)
    assert last.state_dict() == whole.state_dict()
    assert len(list(tmp_path.glob("*.safetensors"))) == bool(last.state_arrays())


def test_a_line_without_an_end_has_not_happened(tmp_path):
    search = optimizer("cate-dngo-ls")
    Journal(search, tmp_path)
    go_on(search, 12)
    search.journal.close()
    path = tmp_path / JOURNAL_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    for cut in range(0, len(lines), 5):  # killed within the line after these
        for share in (1, len(lines[cut]) // 2, len(lines[cut]) - 1):
            path.write_bytes(b"".join(lines[:cut]) + lines[cut][:share])
            again = optimizer("cate-dngo-ls")
            Journal(again, tmp_path)
            for row in again.pending_rows():
                again.tell_row(row, synthetic()[row] if row % 7 else np.nan)
            assert go_on(again, 12).rows == search.rows
            again.journal.close()
            assert [json.loads(line) for line in path.read_bytes().splitlines()] == [json.loads(x) for x in lines]


def test_a_damaged_journal_names_its_line(tmp_path):
    search = optimizer("bo-dngo")
    Journal(search, tmp_path)
    go_on(search, 9)
    search.journal.close()
    path = tmp_path / JOURNAL_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    ask, tell = from_line(lines[1], path), from_line(lines[2], path)
    for number, line, message in (
        (1, b"{}\n", "line 1: not a line"),
        (1, b"[1\n", "line 1: not a line"),
        (1, (to_line({"format": "another"}) + "\n").encode(), "expected the format"),
        (2, b"ask\n", "line 2: not a line"),
        (3, b"\n", "line 3: not a line"),
        (3, b"\xff\n", "line 3: not a line"),
        (3, lines[2].replace(b"0.8", b"0.9"), "line 3: damaged, its checksum does not fit"),
        (4, lines[1], "line 4: row .*cannot be asked for"),
        (4, lines[2], "line 4: .*told already"),
        (2, (to_line(ask | {"ask": [10**6]}) + "\n").encode(), "line 2: row 1000000"),
        (3, (to_line(tell | {"tell": -1}) + "\n").encode(), "line 3: tell: row -1"),
    ):
        path.write_bytes(b"".join([*lines[: number - 1], line, *lines[number:]]))
        before = path.read_bytes()
        with pytest.raises(ValueError, match=message) as error:
            Journal(optimizer("bo-dngo"), tmp_path)
        assert "\n" not in str(error.value)
        assert path.read_bytes() == before
    path.write_bytes(b"a file of somebody else")
    with pytest.raises(ValueError, match="not a journal"):
        Journal(optimizer("bo-dngo"), tmp_path)
    assert path.read_bytes() == b"a file of somebody else"


def test_a_journal_of_another_search_is_refused_naming_the_difference(tmp_path):
    Journal(optimizer("bo-dngo", {"initial": 6}, seed=1), tmp_path)
    before = (tmp_path / JOURNAL_FILE).read_bytes()
    for other, message in (
        (optimizer("bo-gp", seed=1), "algorithm is 'bo-dngo' there, 'bo-gp' here"),
        (optimizer("bo-dngo", {"initial": 6}), "seed is 1 there, 0 here"),
        (optimizer("bo-dngo", {"initial": 7}, seed=1), "initial is 6 there, 7 here"),
        (optimizer("bo-dngo", {"initial": 6}, seed=1, count=50), "candidates are '300, "),
    ):
        with pytest.raises(ValueError, match=message):
            Journal(other, tmp_path)
        assert (tmp_path / JOURNAL_FILE).read_bytes() == before
    with pytest.raises(ValueError, match="epochs is None there, 8 here"):
        Journal(optimizer("bo-dngo", {"initial": 6}, seed=1), tmp_path, about={"epochs": 8})
    used = go_on(optimizer("bo-dngo", {"initial": 6}, seed=1), 3)
    with pytest.raises(ValueError, match="only a search that nothing was asked or told"):
        Journal(used, tmp_path)


def test_a_journal_may_begin_in_the_middle_of_a_search(tmp_path):
    whole = go_on(optimizer("neural-predictor"), 30)
    part = go_on(optimizer("neural-predictor"), 15)
    Journal(part, tmp_path)
    del part
    part = optimizer("neural-predictor")
    Journal(part, tmp_path)
    assert len(part.rows) == 15
    assert go_on(part, 30).rows == whole.rows


def test_what_cannot_be_kept_is_told_in_a_line(tmp_path):
    (tmp_path / "s.py").touch()
    for folder in (tmp_path / "s.py", tmp_path / "s.py" / "inner"):
        with pytest.raises(ValueError, match=r"s.py.*: a file is in the way; expected a folder"):
            Journal(optimizer("random"), folder)
    for kept in (object(), float("nan")):
        with pytest.raises(ValueError, match="about: 'a' cannot be kept as JSON"):
            Journal(optimizer("random"), tmp_path / "journal", about={"a": kept})
    for _ in range(2):  # a tuple comes back as a list
        Journal(optimizer("random"), tmp_path / "journal", about={"sizes": (3, 32), 5: True}).close()


def test_one_search_at_a_time_has_a_journal(tmp_path):
    search = optimizer("random")
    Journal(search, tmp_path)
    Journal(search, tmp_path)  # its own, again
    search.ask_rows(2)
    with pytest.raises(ValueError, match="in use by another search of this process"):
        Journal(optimizer("random"), tmp_path)
    code = (
        "import sys; from cate_hf.search import Journal; from tests.search.searches import optimizer\n"
        "try: Journal(optimizer('random'), sys.argv[1])\nexcept ValueError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert "in use by another process" in told.stdout
    search.journal.close()
    other = optimizer("random")
    Journal(other, tmp_path)
    assert other.pending_rows() == search.pending_rows()


def test_what_cannot_be_written_is_neither_asked_nor_told(tmp_path, monkeypatch):
    search = optimizer("cate-dngo-ls")
    Journal(search, tmp_path)
    go_on(search, 8)
    (row,) = search.ask_rows()
    state, size = search.state_dict(), (tmp_path / JOURNAL_FILE).stat().st_size

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cate_hf.search.journal.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        search.ask_rows(3)
    assert search.state_dict() == state
    monkeypatch.undo()
    with pytest.raises(OSError, match="could not be written before"):
        search.tell_row(row, 0.5)  # what follows half a line would be lost
    assert search.state_dict() == state
    with open(tmp_path / JOURNAL_FILE, "r+b") as file:
        file.truncate(size + 7)
    again = optimizer("cate-dngo-ls")
    Journal(again, tmp_path)
    assert again.state_dict() == state


def test_run_spends_a_budget_and_begins_with_what_was_pending(tmp_path):
    whole = optimizer("local-search")
    evaluated = []

    def evaluate(cell):
        evaluated.append(cell)
        if len(evaluated) in (4, 9):
            raise KeyboardInterrupt
        if len(evaluated) == 6:
            raise RuntimeError("out of memory")
        return float(cell.num_edges)

    seen = []
    while True:
        search = optimizer("local-search")
        Journal(search, tmp_path)
        try:
            run(search, evaluate, 20, 3, (RuntimeError,), lambda cell, value: seen.append(cell))
        except KeyboardInterrupt:
            assert search.pending()[0] == evaluated[-1]
            search.journal.close()
            continue
        break
    assert len(search.rows) == len(seen) == len(set(seen)) == 20
    assert evaluated[3] == evaluated[4]  # what was interrupted goes first
    assert np.isnan(search.values).sum() == 1
    asked = iter(search.values)
    while len(whole.rows) < 20:
        for row in whole.ask_rows(min(3, 20 - len(whole.rows))):
            whole.tell_row(row, next(asked))
    assert whole.rows == search.rows
    run(search, evaluate, 20)  # spent already
    assert len(search.rows) == 20
    for budget in (0, 301):
        with pytest.raises(ValueError, match="budget must be 1 to 300, the number of candidates"):
            run(search, evaluate, budget)
    run(search, evaluate, 25, stop=lambda: len(search.rows) >= 22)
    assert len(search.rows) == 22


WORKER = """
import os, sys, time
from pathlib import Path
from cate_hf.search import Journal
from cate_hf.search.runner import run
from tests.search.searches import CANDIDATES, SPACE, optimizer

folder, name, budget, batch = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
rows = {str(h): row for row, h in enumerate(CANDIDATES.columns["hash"])}

def evaluate(cell):
    row = rows[SPACE.hash(cell)]
    with open(folder / "begun.txt", "a") as file:
        print(row, file=file, flush=True)
    time.sleep(0.02)
    return cell.num_edges / 10 + row / 1e5 if row % 7 else float("nan")

search = optimizer(name)
Journal(search, folder)
print("ready", flush=True)
run(search, evaluate, budget, batch)
"""


def kill_and_go_on(folder: Path, name: str, kills: int, batch: int, seed: int) -> None:
    """Kill -9 a search at random moments, and compare with one that nobody disturbed."""
    budget, moments = 60, random.Random(seed)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CATE_HF_THREADS": "1", "PYTHONPATH": os.getcwd()}
    killed = 0
    told_before: list[tuple] = []
    while True:
        command = [sys.executable, "-c", WORKER, folder, name, str(budget), str(batch)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        with process:
            if killed < kills:
                # Most within the search, some while it starts and reads its journal; all before it can be finished.
                if moments.random() < 0.85:
                    assert process.stdout.readline() == "ready\n"
                time.sleep(moments.uniform(0, 0.9 * budget * 0.02 / kills))
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    killed += 1
            code = process.wait()
        events = [json.loads(line) for line in whole_lines(folder / JOURNAL_FILE)[1:]]
        told = [(event["tell"], event["value"]) for event in events if "tell" in event]
        assert told[: len(told_before)] == told_before  # nothing lost
        told_before = told
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert killed == kills
    asked = [row for event in events for row in event.get("ask", [])]
    assert len(asked) == len(set(asked)) == budget  # nothing asked twice
    assert [row for row, _ in told] == asked
    begun = [int(row) for row in (folder / "begun.txt").read_text().split()]
    assert set(begun) == set(asked)
    assert len(begun) - budget <= killed  # nothing evaluated again but what a kill interrupted
    undisturbed = optimizer(name)

    def value(row):
        return CANDIDATES[row].num_edges / 10 + row / 1e5 if row % 7 else float("nan")

    while len(undisturbed.rows) < budget:
        for row in undisturbed.ask_rows(min(batch, budget - len(undisturbed.rows))):
            undisturbed.tell_row(row, value(row))
    assert undisturbed.rows == asked
    np.testing.assert_array_equal(undisturbed.values, [np.nan if v is None else v for _, v in told])


def whole_lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else [b""]


def test_two_kills_lose_and_repeat_nothing(tmp_path):
    kill_and_go_on(tmp_path, "cate-dngo-ls", kills=2, batch=1, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "batch"), [("cate-dngo-ls", 1), ("neural-predictor", 4)])
def test_twenty_random_kills_lose_and_repeat_nothing(tmp_path, name, batch):
    kill_and_go_on(tmp_path, name, kills=20, batch=batch, seed=int(time.time()))
