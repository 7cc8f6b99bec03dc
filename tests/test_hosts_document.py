"""docs/hosts.md: its examples run as they are written, one after the other in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[1] / "docs" / "hosts.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"## ([^\n]*)\n(?:(?!\n## ).)*?<!-- tested -->\n```python\n(.*?)```", TEXT, re.S)


def test_every_example_is_tested():
    assert len(BLOCKS) == TEXT.count("```python") == 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hosts")


@pytest.mark.parametrize("number", range(len(BLOCKS)), ids=[title for title, _ in BLOCKS])
def test_example(folder, number):
    title, code = BLOCKS[number]
    needed = {"ONNX": "onnxscript", "LoRA by PEFT": "peft"}
    if title in needed:
        pytest.importorskip(needed[title])
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
