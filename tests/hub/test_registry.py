"""Encoders with a name: pinned to a commit and to the digest of each file."""

import json
import shutil
from pathlib import Path

import pytest

from bench import register_checkpoints
from cate_hf.core._files import sha256_of
from cate_hf.hub import _registry as registry
from cate_hf.hub._layout import CARD, checkpoint_names
from cate_hf.hub.download import is_repo_id
from cate_hf.hub.load import checkpoint_path, resolve_checkpoint
from cate_hf.publishing.card_files import check_card, render_checkpoint_card
from cate_hf.publishing.models import known_encoders
from tests.hub.conftest import Failed
from tests.hub_stub import Fault

CHECKPOINT = Path(__file__).with_name("frozen") / "format_1"
# In the client: a registry of its own, then what is asked.
WITH_REGISTRY = """
import os
from pathlib import Path
from cate_hf.hub import _registry as registry
os.environ[registry.NAMESPACE_VARIABLE] = "someone"
registry.REGISTRY_FILE = Path(file)
registry.registered_encoders.cache_clear()
names = {}
try:
    exec(asked, names)
    result = names["result"]
finally:
    del os.environ[registry.NAMESPACE_VARIABLE]
    registry.REGISTRY_FILE = Path(registry.__file__).with_name("registry.json")
    registry.registered_encoders.cache_clear()
"""
LOAD = "from cate_hf import load_encoder; result = load_encoder('named').dim"
MODELS = """
from cate_hf.publishing.models import known_encoders
result = [[e.name, e.where, e.dim] for e in known_encoders()]
"""


@pytest.fixture
def entry():
    digests = {path.name: sha256_of(path) for path in CHECKPOINT.iterdir()}
    return {"repository": "cate-named", "revision": None, "sha256": digests}


def ask(client, tmp_path, entry: dict, asked: str):
    file = tmp_path / "registry.json"
    file.write_text(json.dumps({"named": entry}))
    return client.run(WITH_REGISTRY, file=str(file), asked=asked)


@pytest.mark.long
def test_a_name_is_downloaded_checked_and_listed(hub, client, tmp_path, entry):
    commit = hub.repository("someone/cate-named").upload(CHECKPOINT)
    hub.repository("someone/cate-named").commit({}, "something else")
    with pytest.raises(Failed, match="no config.json"):
        ask(client, tmp_path, entry, LOAD)
    pinned = entry | {"revision": commit}
    assert ["named", "someone/cate-named", None] in ask(client, tmp_path, pinned, MODELS)
    assert ask(client, tmp_path, pinned, LOAD) == 16
    listed = ask(client, tmp_path, pinned, MODELS)
    where = next(where for name, where, _ in listed if name == "named")
    assert Path(where).name == commit
    hub.faults[:] = [Fault(status=500)]
    hub.requests.clear()
    assert ask(client, tmp_path, pinned, LOAD) == 16
    assert not hub.requests


def test_what_differs_from_the_registry_is_refused(hub, client, tmp_path, entry):
    repository = hub.repository("someone/cate-named")
    entry["revision"] = repository.upload(CHECKPOINT)
    changed = entry | {"sha256": entry["sha256"] | {"model.safetensors": "0" * 64}}
    with pytest.raises(Failed, match="model.safetensors: not the content pinned here"):
        ask(client, tmp_path, changed, LOAD)
    longer = entry | {"sha256": entry["sha256"] | {"more_cate.py": "0" * 64}}
    with pytest.raises(Failed, match="more_cate.py, which is pinned here, is not there"):
        ask(client, tmp_path, longer, LOAD)
    assert ask(client, tmp_path, entry, LOAD) == 16
    with pytest.raises(Failed, match="not the content pinned here"):  # also when it is in the cache already
        ask(client, tmp_path, changed, LOAD)


def test_the_registry_is_that_of_the_bundled_checkpoints():
    entries = registry.registered_encoders()
    for name in checkpoint_names():
        digests = register_checkpoints.published_digests(name)
        assert {"config.json", "tokenizer_config.json", "model.safetensors", "vocab.json", "card.json"} == set(digests)
        assert entries[name].sha256 == digests, f"{name} has changed: run `python bench/register_checkpoints.py`"
        for unchanged in ("model.safetensors", "vocab.json", "card.json"):
            assert digests[unchanged] == sha256_of(checkpoint_path(name) / unchanged)


def test_cards_of_the_bundled_checkpoints_are_those_of_the_template():
    for name in checkpoint_names():
        folder = checkpoint_path(name)
        card = (folder / CARD).read_text(encoding="utf-8")
        check_card(card, "model")
        assert card == render_checkpoint_card(folder), f"{name}: run `cate card {folder} --write`"


def test_writing_the_registry(tmp_path, monkeypatch, capsys):
    name, commit = checkpoint_names()[0], "a" * 40
    output = tmp_path / "registry.json"
    assert register_checkpoints.main(["--output", str(output), "--revision", f"{name}={commit}"]) == 0
    written = json.loads(output.read_text())
    assert written[name]["revision"] == commit
    assert {*written} == {*checkpoint_names()}
    monkeypatch.setattr(registry, "REGISTRY_FILE", output)
    registry.registered_encoders.cache_clear()
    assert register_checkpoints.main(["--output", str(output)]) == 0
    assert json.loads(output.read_text()) == written  # the commit stays while the files do
    monkeypatch.undo()
    registry.registered_encoders.cache_clear()
    for wrong in (f"{name}=main", f"nasbench=={commit}"):
        assert register_checkpoints.main(["--output", str(output), "--revision", wrong]) == 2
    assert "expected the 40 hexadecimal digits of a commit, not 'main'" in capsys.readouterr().err


def test_the_namespace_is_a_setting(monkeypatch):
    entry = next(iter(registry.registered_encoders().values()))
    assert entry.repo_id.endswith(f"/{entry.repository}")
    monkeypatch.setenv(registry.NAMESPACE_VARIABLE, "a-team")
    assert entry.repo_id == f"a-team/{entry.repository}"


def test_names_that_are_nothing():
    for name in ("nasbench10l", "/no/such/folder", "../x", "a/b/c", "~/x", "a b/c", "-a/b"):
        assert not is_repo_id(name)
        with pytest.raises(ValueError, match="there is no such folder, nor is it a repository of the Hub"):
            resolve_checkpoint(name)
    assert is_repo_id("owner/name-1.x")


def test_bundled_encoders_are_listed(tmp_path, monkeypatch):
    found = {encoder.name: encoder for encoder in known_encoders()}
    for name in checkpoint_names():
        assert found[name].where == "bundled"
        assert found[name].dim
        assert found[name].megabytes < 20
    from cate_hf.publishing import models

    damaged = tmp_path / "damaged"
    shutil.copytree(CHECKPOINT, damaged)
    (damaged / "model.safetensors").write_bytes(b"")
    assert "damaged" in models._describe("x", damaged, "here").where
