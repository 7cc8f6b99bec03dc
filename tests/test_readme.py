"""The README's examples run as they are written, one after the other in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cate_hf.hub.layout import checkpoint_names
from tests.hub_stub import HubStub

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"<!-- tested(: bundled)? -->\n```(\w+)\n(.*?)```", README.read_text(encoding="utf-8"), re.S)


def test_five_examples_are_tested():
    assert len(BLOCKS) == 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("readme")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Where the Hub is one on the loopback interface."""
    with HubStub() as hub:
        found = os.environ | hub.environment(tmp_path_factory.mktemp("hub"))
        yield found | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{found['PATH']}"}


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_example(folder, environment, number):
    bundled, language, code = BLOCKS[number]
    if bundled and "nasbench101" not in checkpoint_names():
        pytest.skip("the bundled checkpoint is not made yet")
    command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
