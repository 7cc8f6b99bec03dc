"""The example with real evaluations, from end to end."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cate_hf.search.journal import JOURNAL_FILE

EXAMPLE = Path(__file__).parents[2] / "examples" / "search_digits.py"
SMALL = ["--images", "250", "--epochs", "1", "--channels", "4", "--algorithm", "regularized-evolution"]


@pytest.mark.long
def test_networks_are_trained_and_none_twice(tmp_path, monkeypatch, capsys):
    folder = str(tmp_path / "search")
    command = [sys.executable, str(EXAMPLE), "--output", folder, *SMALL]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    first = subprocess.run([*command, "--queries", "2"], capture_output=True, text=True, env=environment)
    assert "2 networks; the best" in first.stdout, first.stderr

    specification = importlib.util.spec_from_file_location("search_digits", EXAMPLE)
    example = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(example)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(sys, "argv", [*command[1:], "--queries", "3"])
    assert example.main() == 0
    told = capsys.readouterr().out
    assert "going on: 2 networks were trained before" in told
    assert "3 networks; the best" in told
    events = [json.loads(line) for line in (Path(folder) / JOURNAL_FILE).read_text().splitlines()[1:]]
    rows = [event["tell"] for event in events if "tell" in event]
    assert len(set(rows)) == len(rows) == 3
    assert all(0 <= event["value"] <= 1 for event in events if "tell" in event)

    monkeypatch.setattr(sys, "argv", [*command[1:], "--queries", "3", "--epochs", "2"])
    assert example.main() == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "epochs is 1 there, 2 here" in error
