"""The example with real evaluations, from end to end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cate_hf.search.journal import JOURNAL_FILE

EXAMPLE = Path(__file__).parents[2] / "examples" / "search_digits.py"


@pytest.fixture
def command(tmp_path):
    small = ["--images", "250", "--epochs", "1", "--channels", "4", "--algorithm", "regularized-evolution"]

    def run(*arguments):
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        words = [sys.executable, EXAMPLE, "--output", tmp_path / "search", *small, *arguments]
        return subprocess.run(words, capture_output=True, text=True, env=environment)

    return run


def test_networks_are_trained_and_none_twice(command, tmp_path):
    assert "2 networks; the best" in (first := command("--queries", "2")).stdout, first.stderr
    again = command("--queries", "3")
    assert "going on: 2 networks were trained before" in again.stdout
    assert "3 networks; the best" in again.stdout
    events = [json.loads(line) for line in (tmp_path / "search" / JOURNAL_FILE).read_text().splitlines()[1:]]
    told = [event["tell"] for event in events if "tell" in event]
    assert len(set(told)) == len(told) == 3
    assert all(0 <= event["value"] <= 1 for event in events if "tell" in event)
    other = command("--queries", "3", "--epochs", "2")
    assert other.returncode == 2
    assert other.stderr.count("\n") == 1
    assert "epochs is 1 there, 2 here" in other.stderr
