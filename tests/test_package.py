"""The wheel: what is in it, and that it works where the source tree is not."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.tiny import save_tiny

ROOT = Path(__file__).parents[1]

# Runs with the unpacked wheel as the only cate_hf there is: the editable install's finder is taken away.
INSTALLED_SCRIPT = """
import sys
sys.meta_path = [f for f in sys.meta_path if "Editable" not in getattr(f, "__name__", type(f).__name__)]
folder, checkpoint, output = sys.argv[1:]
import cate_hf
from cate_hf.hub import cards, _layout as layout, load, save
from cate_hf.modeling import modeling_cate
from cate_hf.tokenization import tokenization_cate
for module in (cate_hf, cards, modeling_cate, tokenization_cate):
    assert module.__file__.startswith(folder), module.__file__
for name in [checkpoint, *layout.checkpoint_names()]:
    encoder = cate_hf.load_encoder(name)
    names = [encoder.tokenizer.operations[i] for i in (0, 1, -1)]
    cell = cate_hf.Architecture(names, [[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert encoder.encode([cell]).shape == (1, encoder.dim)
model = load.load_model(checkpoint, cate_hf.CateForPreTraining)
saved = save.save_checkpoint(output, model, encoder.tokenizer, {"space": "nasbench101", "steps": 1})
names = {path.name for path in saved.iterdir()}
assert {"README.md", "configuration_cate.py", "modeling_cate.py", "tokenization_cate.py"} <= names, names
facts = dict(space="nasbench101", architectures=2, pairs=1, train_pairs=1, validation_pairs=0, cost="parameters",
             window=1, partners=1, seed=0, without_partner=1)
assert "nasbench101" in cards.render_dataset_card(facts)
from cate_hf.cli import main
assert main(["encode", "--model", checkpoint, "--output", "x.parquet"]) == 2
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for name in ("cate_hf", "modeling", "tokenization", "hub_cards"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    output = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "--wheel-dir", str(output), str(source)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return next(output.glob("cate_hf-*.whl"))


def test_the_wheel_has_every_file_of_the_package(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / "cate_hf").rglob("*") if path.is_file()}
    for folder in ("modeling", "tokenization", "hub_cards"):
        expected |= {f"cate_hf/{folder}/{path.name}" for path in (ROOT / folder).iterdir() if path.is_file()}
    expected = {name for name in expected if "__pycache__" not in name}
    assert not expected - names
    assert {name.split("/")[0] for name in names} == {"cate_hf", wheel.name.split("-py3")[0] + ".dist-info"}


@pytest.mark.long
def test_the_wheel_works_elsewhere(wheel, tmp_path):
    folder = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*install, "--disable-pip-version-check", str(wheel)], check=True, capture_output=True)
    assert (folder / "bin" / "cate").is_file()
    checkpoint = save_tiny(tmp_path / "tiny")
    done = subprocess.run(
        [sys.executable, "-P", "-c", INSTALLED_SCRIPT, str(folder), str(checkpoint), str(tmp_path / "saved")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(folder), "PATH": "", "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
