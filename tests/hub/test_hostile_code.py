"""A folder whose code files write a marker: no way of loading it but by trust_remote_code=True runs them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cate_hf.hub._checks_code import foreign_code
from cate_hf.hub._layout import remote_code_files
from tests.tiny import CELLS, save_tiny

# Names that Python, pytest or transformers might import or run of their own accord.
POISONED = [
    *(file.name for file in remote_code_files()),
    *("__init__.py", "conftest.py", "setup.py", "sitecustomize.py", "usercustomize.py", "numpy.py", "torch.py"),
    *("cate_hf.py", "modeling.py", "tokenization.py", "custom_generate/generate.py"),
]
LOAD_EVERY_WAY = """
import sys
import cate_hf
from transformers import (
    AutoConfig, AutoModel, AutoModelForPreTraining, AutoModelForSequenceClassification, AutoTokenizer,
)

folder = sys.argv[1]
for auto in (AutoConfig, AutoTokenizer, AutoModel, AutoModelForPreTraining, AutoModelForSequenceClassification):
    for options in ({}, {"trust_remote_code": False}):
        assert type(auto.from_pretrained(folder, **options)).__module__.startswith("cate_hf."), auto
cate_hf.CateConfig.from_pretrained(folder), cate_hf.CateTokenizer.from_pretrained(folder)
cate_hf.CateModel.from_pretrained(folder)
from cate_hf.encodings.registry import get_encoding
encoder = cate_hf.load_encoder(folder)
print(encoder.dim, get_encoding(folder, "nasbench101").dim)
"""
WITHOUT_THE_PACKAGE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "cate_hf":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from transformers import AutoModel
try:
    AutoModel.from_pretrained(sys.argv[1], trust_remote_code=sys.argv[2] == "yes")
except Exception as error:
    print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    """The folder, and the marker that its code writes."""
    root = tmp_path_factory.mktemp("poison")
    folder, marker = save_tiny(root / "model"), root / "marker"
    for name in POISONED:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"open({str(marker)!r}, 'a').write({name!r})\nraise SystemExit(7)\n")
    with open(root / "cells.jsonl", "w") as file:
        file.writelines(json.dumps(cell.to_dict()) + "\n" for cell in CELLS)
    return folder, marker


def run(*command, home, cwd):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "PYTHON", "TRANSFORMERS"))}
    environment |= {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env=environment,
        cwd=cwd,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )


def test_no_way_of_the_package_runs_a_folders_code(poisoned, tmp_path):
    folder, marker = poisoned
    done = run(sys.executable, "-P", "-c", LOAD_EVERY_WAY, folder, home=tmp_path, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.split()) == 2
    assert not marker.exists()


@pytest.mark.long
def test_the_command_does_not_run_it(poisoned, tmp_path):
    folder, marker = poisoned
    cate = Path(sys.executable).with_name("cate")
    output, cells = tmp_path / "encodings.parquet", folder.parent / "cells.jsonl"
    done = run(cate, "encode", "--input", cells, "--model", ".", "--output", output, home=tmp_path, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert output.is_file()
    done = run(cate, "show", folder, home=tmp_path, cwd=folder)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not marker.exists()


def test_it_is_run_where_it_is_trusted_and_only_there(poisoned, tmp_path):
    """So the marker would have shown it."""
    folder, marker = poisoned
    done = run(sys.executable, "-P", "-c", WITHOUT_THE_PACKAGE, folder, "no", home=tmp_path, cwd=tmp_path)
    assert done.stdout.strip() == "ValueError", done.stderr[-3000:]
    assert not marker.exists()
    done = run(sys.executable, "-P", "-c", WITHOUT_THE_PACKAGE, folder, "yes", home=tmp_path, cwd=tmp_path)
    assert done.returncode == 7
    assert marker.read_text() in POISONED
    marker.unlink()
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_code_that_is_not_ours_is_told(tmp_path):
    folder = save_tiny(tmp_path / "model")
    assert foreign_code(folder) == []
    modeling = (folder / "modeling_cate.py").read_bytes()
    (folder / "modeling_cate.py").write_bytes(modeling + b"\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "configuration_cate.py").write_bytes((folder / "configuration_cate.py").read_bytes())
    (folder / "kernel.SO").write_bytes(b"")
    assert foreign_code(folder) == ["kernel.SO", "modeling_cate.py", "sub/configuration_cate.py"]
