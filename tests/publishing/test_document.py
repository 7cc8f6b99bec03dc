"""docs/hub.md: its commands and its Python run as they are written, in one folder, against the stub."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.conftest import Failed

DOCUMENT = Path(__file__).parents[2] / "docs" / "hub.md"
BLOCKS = re.findall(r"<!-- tested -->\n```(\w+)\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)
# Verbs run in the client's process, which has imported what they need, as `cate` runs them in its own.
CATE = """
import contextlib, io, os, shlex
from cate_hf.cli import main

os.chdir(folder)
printed, told = io.StringIO(), io.StringIO()
with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
    code = main(shlex.split(line)[1:])
result = [code, printed.getvalue(), told.getvalue()]
"""
PYTHON = """
import contextlib, io
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    exec(source, {"__name__": "__main__"})
result = printed.getvalue()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("document")


def cate(client, folder: Path, line: str) -> str:
    """What a command prints; it must succeed."""
    code, printed, told = client.run(CATE, folder=str(folder), line=line)
    assert code == 0, f"{line}: {told}"
    return printed


def test_every_command_runs_in_turn(hub, client, folder):
    environment = hub.environment(client.home)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    printed = {}
    for language, block in BLOCKS:
        if language == "python":
            printed[block] = client.run(PYTHON, source=block)
        elif "accelerate launch" in block:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block], cwd=folder, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr[-3000:]
        else:
            for line in block.strip().splitlines():
                printed[line] = cate(client, folder, line)

    assert "cate_hf.training.pretrain" in printed["cate card my_encoder"]
    assert not any("my-encoder" in line for line in printed["cate card my_encoder"].splitlines())
    dry = printed["cate publish my_encoder someone/my-encoder --dry-run"]
    assert "model.safetensors" in dry
    assert "nothing was sent" in dry
    assert "not published of my_encoder: training" in dry
    assert f"{hub.url}/someone/my-encoder" in printed["cate publish my_encoder someone/my-encoder"]
    model, data = hub.repository("someone/my-encoder"), hub.repository("someone/my-pairs", "datasets")
    assert [len(repository.commits) for repository in (model, data)] == [2, 2]
    assert 'path = "someone/my-encoder"' in model.files()["README.md"].content.decode()
    listed = printed["cate models"]
    assert "nasbench101" in listed
    assert "someone/my-encoder" in listed
    assert (folder / "encodings.parquet").is_file()
    shapes = [re.search(r"\(?\[?1, (\d+)", text)[1] for text in printed.values() if "1, " in text and len(text) < 60]
    assert len(shapes) == 2
    assert len(set(shapes)) == 1

    code = """
from cate_hf.encodings import get_encoding
from cate_hf.spaces import get_space
space = get_space(file)
result = list(get_encoding("someone/my-encoder", space).transform(space.sample(3, 0)).shape)
"""
    assert client.run(code, file=str(folder / "my_space.yaml")) == [3, int(shapes[0])]

    # And what the text says beside the commands.
    assert "nothing new" in cate(client, folder, "cate publish-dataset my_pairs someone/my-pairs")
    cate(client, folder, "cate download someone/my-encoder --output copy")
    assert sorted(path.name for path in (folder / "copy").iterdir()) == sorted(model.files())
    code, _, told = client.run(CATE, folder=str(folder), line="cate download someone/my-encoder --output copy")
    assert code == 2
    assert "exists already" in told
    for line, message in {
        "cate download someone/absent": "model someone/absent on the Hub: not found",
        "cate download nasbench10l": "unknown encoder 'nasbench10l'; did you mean 'nasbench101'?",
        "cate encode --input sample.parquet --model no/such --output o.parquet": "nor is there a folder no/such",
        "cate publish-dataset my_pairs other/my-pairs": "dataset other/my-pairs on the Hub: forbidden (403)",
        "cate publish my_pairs someone/x": "my_pairs: no config.json, so this is not a checkpoint folder",
        "cate card my_space.yaml": "expected a checkpoint folder, found a file",
    }.items():
        code, _, told = client.run(CATE, folder=str(folder), line=line)
        assert code == 2, line
        assert message in told, line
        assert len(told.strip().splitlines()) == 1, told
    assert not (folder / "o.parquet").exists()


def test_a_model_that_is_pushed_by_transformers(hub, client, folder):
    code = """
from transformers import AutoModelForPreTraining, AutoTokenizer
from cate_hf import load_encoder
AutoModelForPreTraining.from_pretrained(path).push_to_hub(repo)
AutoTokenizer.from_pretrained(path).push_to_hub(repo)
result = [load_encoder(name).encode(cells).tolist() for name in (path, repo)]
"""
    cells = [{"operations": ["input", "output"], "adjacency": [[0, 1], [0, 0]]}]
    path = folder / "my_encoder"
    if not path.is_dir():
        pytest.skip("made by the test before")
    local, pushed = client.run(code, path=str(path), repo="someone/pushed", cells=cells)
    assert local == pushed
    served = hub.repository("someone/pushed").files()
    for name in ("modeling_cate.py", "configuration_cate.py", "tokenization_cate.py", "vocab.json"):
        assert served[name].content == (path / name).read_bytes(), name
    assert "AutoModel" in served["config.json"].content.decode()
    with pytest.raises(Failed, match="forbidden|Forbidden|403"):
        client.run(code, path=str(path), repo="other/pushed", cells=cells)
