"""From a folder to the Hub and back, over sockets, with the clients of huggingface_hub, transformers and datasets."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import DatasetCard, ModelCard

from cate_hf import load_encoder
from cate_hf.data.pairs import write_pairs
from cate_hf.publishing.card_files import read_facts
from cate_hf.publishing.publish import publish_checkpoint
from tests.hub.conftest import Failed
from tests.hub_stub import Fault
from tests.tiny import CELLS, save_tiny

REPO, DATA = "someone/enc", "someone/pairs"
CELL_DICTS = [cell.to_dict() for cell in CELLS]
PUBLISH = """
from dataclasses import asdict
from cate_hf.publishing.publish import publish_checkpoint, publish_pairs
function = publish_pairs if repo.endswith("pairs") else publish_checkpoint
result = asdict(function(folder, repo, **options))
"""
REFUSED = {"X-Error-Message": "Invalid credentials in Authorization header"}
INVALID = b'{"errors": [{"message": "license must be one of those that there are"}], "warnings": []}'
FACTS = {"kendall_tau": {"this": {50: 0.4, 150: 0.5}}, "tau_protocol": "By hand.", "command": "make it", "steps": 3}
SPACE = """
name: my-space
operations: {conv3x3: {parameters: 36864}, conv1x1: {parameters: 4096}, "a<b>|{{ 7 * 7 }}`": {parameters: 0}}
nodes: [3, 4]
edges: [2, 12]
pool: 100
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("published") / "tiny", facts=FACTS)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "space.yaml").write_text(SPACE)
    write_pairs(folder / "space.yaml", folder / "pairs")
    return folder / "pairs"


def publish(client, folder: Path, repo: str = REPO, **options) -> dict:
    return client.run(PUBLISH, folder=str(folder), repo=repo, options=options)


@pytest.mark.long
def test_a_checkpoint_there_and_back(hub, client, checkpoint, tmp_path):
    first = publish(client, checkpoint)
    assert first["changed"]
    assert first["url"] == f"{hub.url}/{REPO}"
    assert hub.repository(REPO).branches["main"] == first["commit"]
    assert len(hub.repository(REPO).commits) == 2  # that of its making, and one

    served = hub.repository(REPO).files()
    local = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    assert set(served) == set(local)
    assert [name for name in local if served[name].content != local[name]] == ["README.md"]
    card = served["README.md"].content.decode()
    assert (
        card.replace(f'path = "{REPO}"', 'path = "PATH_OR_REPO"  # this folder or repository').encode()
        == (local["README.md"])
    )
    assert [r.metric_value for r in ModelCard(card).data.eval_results] == [0.4, 0.5]

    # The same again, with other code in the folder: that is neither run nor published, and so nothing is new.
    folder, marker = tmp_path / "poisoned", tmp_path / "marker"
    shutil.copytree(checkpoint, folder)
    for name in ("modeling_cate.py", "evil_cate.py", "setup.py"):
        (folder / name).write_text(f"open({str(marker)!r}, 'w').write('run')\n")
    (folder / "training").mkdir()
    second = publish(client, folder)
    assert not marker.exists()
    assert second["left_out"] == ["evil_cate.py", "modeling_cate.py", "setup.py", "training"]
    assert not second["changed"]
    assert second["commit"] == first["commit"]
    assert len(hub.repository(REPO).commits) == 2

    hub.requests.clear()
    client.forget()
    code = """
import torch
from huggingface_hub import list_models
assert [model.id for model in list_models(author="someone")] == [repo]
from cate_hf import load_encoder, checkpoint_path
from transformers import AutoModel, AutoModelForPreTraining, AutoTokenizer, pipeline
encoder = load_encoder(repo)
tokenizer, model = AutoTokenizer.from_pretrained(repo), AutoModel.from_pretrained(repo).eval()
AutoModelForPreTraining.from_pretrained(repo)
found = [encoder.encode(cells), model(**tokenizer(cells, return_tensors="pt")).pooler_output]
of_nodes = pipeline("feature-extraction", model=repo, device="cpu")(cells[1], return_tensors=True)
torch.testing.assert_close(of_nodes, model(**tokenizer([cells[1]], return_tensors="pt")).last_hidden_state)
result = [vectors.tolist() for vectors in found] + [str(checkpoint_path(repo)), type(model).__module__]
"""
    *found, folder, module = client.run(code, repo=REPO, cells=CELL_DICTS)
    expected = load_encoder(checkpoint).encode(CELLS)
    for vectors in found:
        np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert module == "cate_hf.modeling.modeling_cate"  # not the code of the repository
    assert Path(folder).name == first["commit"]
    for name, file in served.items():
        assert (Path(folder) / name).read_bytes() == file.content
    assert client.home in Path(folder).parents


@pytest.mark.long
def test_where_the_package_is_not(hub, client, checkpoint, tmp_path):
    """By the code of the repository, in a process that cannot import this package; then without the Hub."""
    hub.repository(REPO).upload(checkpoint)
    code = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "cate_hf":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from transformers import AutoModel, AutoTokenizer

repo, cells = sys.argv[1], json.loads(sys.argv[2])
tokenizer = AutoTokenizer.from_pretrained(repo, trust_remote_code=True)
model = AutoModel.from_pretrained(repo, trust_remote_code=True).eval()
print(json.dumps(model(**tokenizer(cells, return_tensors="pt")).pooler_output.tolist()))
"""
    environment = {k: v for k, v in hub.environment(tmp_path / "home").items() if not k.startswith("PYTHON")}
    expected = load_encoder(checkpoint).encode(CELLS)
    for offline in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, REPO, json.dumps(CELL_DICTS)],
            env=environment | {"HF_HUB_OFFLINE": offline},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        np.testing.assert_allclose(json.loads(done.stdout.splitlines()[-1]), expected, atol=1e-6)
        hub.faults[:] = [Fault(status=500)]
        hub.requests.clear()
    assert not hub.requests
    code = f"from cate_hf.hub.download import download_checkpoint as d; d({REPO!r}); d('some/other')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert "model some/other on the Hub: HF_HUB_OFFLINE is set, and the cache does not have it" in done.stderr


def test_a_branch_and_a_private_repository(hub, client, pairs, checkpoint):
    published = publish(client, pairs, DATA, private=True, revision="trial")
    assert published["url"] == f"{hub.url}/datasets/{DATA}/tree/trial"
    repository = hub.repository(DATA, "datasets")
    assert repository.private
    assert not repository.files("main")
    assert "train.parquet" in repository.files("trial")

    hub.repository("someone/own", private=True)
    commit = hub.repository("someone/own").upload(checkpoint)
    hub.repository("someone/own").commit({}, "emptied")
    code = "from cate_hf import load_encoder; result = load_encoder(repo, revision=revision).dim"
    assert client.run(code, repo="someone/own", revision=commit)
    with pytest.raises(Failed, match="no config.json"):
        client.run(code, repo="someone/own", revision=None)


def test_what_is_refused_before_anything_is_sent(hub, client, checkpoint, tmp_path):
    def damaged(name: str, content: bytes) -> Path:
        folder = tmp_path / name.replace(".", "-")
        shutil.copytree(checkpoint, folder)
        (folder / name).write_bytes(content)
        return folder

    for folder, repo, message in (
        (damaged("pytorch_model.bin", b"x"), REPO, "a pickle is not published"),
        (damaged("model.safetensors", b"x"), REPO, "model.safetensors"),
        (damaged("README.md", b"no metadata"), REPO, "README.md: no metadata"),
        (damaged("card.json", b'{"space": "nasbench101", "stepps": 1}'), REPO, "unknown fact 'stepps'"),
        (tmp_path, REPO, "no config.json"),
        (checkpoint, "someone", "expected owner/name"),
        (checkpoint, "some one/x", "expected owner/name"),
        (checkpoint, "someone/pairs", "not a folder of pairs"),
    ):
        with pytest.raises(Failed) as caught:
            publish(client, folder, repo)
        assert message in caught.value.message, message
        assert "\n" not in caught.value.message
    assert not hub.requests


def test_errors_of_publishing_name_the_repository(hub, client, pairs):
    for repo, faults, message in (
        ("other/pairs", [], "dataset other/pairs on the Hub: forbidden (403)"),
        ("someone/pairs", [Fault("commit", status=500)], "dataset someone/pairs on the Hub: the Hub failed (500)"),
        ("someone/pairs", [Fault("commit", hang_up=True)], "dataset someone/pairs on the Hub: the connection failed"),
        ("someone/pairs", [Fault(status=401, headers=REFUSED)], "dataset someone/pairs on the Hub: no token that is"),
        (
            "someone/pairs",
            [Fault("validate", status=400, body=INVALID)],
            "on the Hub: refused (Bad request: license must be one",
        ),
        (
            "someone/pairs",
            [Fault("lfs/objects/batch", status=200, body=b"{}")],
            "dataset someone/pairs on the Hub: Malf",
        ),
    ):
        hub.faults[:] = faults
        with pytest.raises(Failed) as caught:
            publish(client, pairs, repo)
        assert message in caught.value.message
        assert "\n" not in caught.value.message
    without_token = "import os; token = os.environ.pop('HF_TOKEN')\ntry:\n    exec(asked, names)\nfinally:\n"
    without_token += "    os.environ['HF_TOKEN'] = token"
    hub.faults.clear()
    with pytest.raises(Failed, match=r"no token that is accepted \(401\); run `hf auth login`"):
        client.run(
            without_token, asked=PUBLISH, names={"folder": str(pairs), "repo": "someone/new-pairs", "options": {}}
        )
    hub.reset()
    hub.faults[:] = [Fault("lfs-upload", status=503, times=1), Fault("preupload", hang_up=True, times=1)]
    assert publish(client, pairs, "someone/pairs")["changed"]  # these two are overcome
    assert [fault.met for fault in hub.faults] == [1, 1]
    assert len(hub.repository("someone/pairs", "datasets").commits) == 2


def test_pairs_there_and_back(hub, client, pairs):
    dry = publish(client, pairs, DATA, dry_run=True)
    assert dry["url"] is None
    assert not hub.requests
    first = publish(client, pairs, DATA)
    assert first["changed"]
    assert first["files"] == dry["files"]
    assert not publish(client, pairs, DATA)["changed"]
    served = hub.repository(DATA, "datasets").files()
    for path in pairs.iterdir():
        if path.name != "README.md":
            assert served[path.name].content == path.read_bytes()
    card = served["README.md"].content.decode()
    assert f'load_dataset("{DATA}", "pairs")' in card
    assert DatasetCard(card).data.size_categories
    assert "49" not in card.split("| class label |")[1].split("## ")[0]  # the name is not a template
    assert "{{ 7 * 7 }}" in card
    code = """
from datasets import load_dataset
whole = load_dataset(repo)
streamed = load_dataset(repo, "architectures", split="train", streaming=True)
cells = load_dataset(repo, "architectures", split="train")
result = [
    {name: split.to_dict() for name, split in whole.items()},
    [row for row in streamed] == [row for row in cells],
    cells.features["operations"].feature.names,
    len(cells),
]
"""
    found, same, names, count = client.run(code, repo=DATA)
    from cate_hf.data.pairs import read_pairs

    table, splits, _ = read_pairs(pairs)
    assert set(found) == {split for split, rows in splits.items() if len(rows)}
    for split, columns in found.items():
        np.testing.assert_array_equal(np.column_stack([columns["first"], columns["second"]]), splits[split])
    assert same
    assert names == list(table.vocabulary)
    assert count == len(table)


def test_a_poisoned_repository_runs_nothing(hub, client, checkpoint, tmp_path):
    folder, marker = tmp_path / "poisoned", tmp_path / "marker"
    shutil.copytree(checkpoint, folder)
    for path in folder.glob("*.py"):
        path.write_text(f"open({str(marker)!r}, 'w').write('run')\n")
    hub.repository("other/poisoned").upload(folder)
    code = """
import cate_hf
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining, AutoTokenizer
for auto_class in (AutoConfig, AutoModel, AutoModelForPreTraining, AutoTokenizer):
    assert type(auto_class.from_pretrained(repo)).__module__.startswith("cate_hf.")
result = cate_hf.load_encoder(repo).encode(cells).tolist()
"""
    found = client.run(code, repo="other/poisoned", cells=CELL_DICTS)
    np.testing.assert_allclose(found, load_encoder(checkpoint).encode(CELLS), atol=1e-6)
    assert not marker.exists()


@pytest.mark.long
def test_a_predictor_there_and_back(hub, client, checkpoint, tmp_path):
    from cate_hf import fit_predictor, get_space

    cells = get_space("nasbench101").enumerate()[np.arange(0, 4000, 100)]
    fitted = fit_predictor(cells, np.linspace(0.8, 0.9, 40), encoder=str(checkpoint), epochs=1, members=1, gp=False)
    fitted.save(tmp_path / "predictor")
    published = publish(client, tmp_path / "predictor")
    assert published["left_out"] == ["labels.parquet"]  # whoever measured them decides
    served = hub.repository(REPO).files()
    assert {"predictor.safetensors", "residuals.png", "card.json"} <= set(served)
    assert f'load_predictor("{REPO}")' in served["README.md"].content.decode()
    code = """
from cate_hf import Architecture, load_predictor
result = [values.tolist() for values in load_predictor(repo).predict([Architecture.from_dict(c) for c in cells])]
from transformers import AutoModelForSequenceClassification, AutoTokenizer
tokenizer, model = AutoTokenizer.from_pretrained(repo), AutoModelForSequenceClassification.from_pretrained(repo)
result.append(model.eval()(**tokenizer(cells, return_tensors="pt")).logits[:, 0].tolist())
result.append(type(model).__module__)
"""
    client.forget()
    *found, by_members, module = client.run(code, repo=REPO, cells=CELL_DICTS)
    np.testing.assert_allclose(found, fitted.predict(CELLS), atol=1e-6)
    np.testing.assert_allclose(by_members, fitted.by_members(CELLS)[:, 0], rtol=0, atol=1e-6)
    assert np.ptp(by_members) > 1e-4  # else any other model would do
    assert module == "cate_hf.modeling.modeling_cate"


def test_a_users_own_text_stays_and_a_card_is_made_where_there_is_none(checkpoint, tmp_path):
    folder = tmp_path / "own"
    shutil.copytree(checkpoint, folder)
    text = (folder / "README.md").read_text().replace("## Limits", "## Thanks\n\nTo all.\n\n## Limits")
    (folder / "README.md").write_text(text)
    from cate_hf.publishing.card_files import render_checkpoint_card
    from cate_hf.publishing.publish import _card

    rendered = render_checkpoint_card(folder)
    assert _card(folder, rendered, lambda: "other") == text
    (folder / "README.md").unlink()
    assert _card(folder, rendered, lambda: "other") == "other"
    (folder / "card.json").unlink()
    assert read_facts(folder) == {"space": "nasbench101"}
    assert "Kendall" not in render_checkpoint_card(folder)


def test_remote_code_that_does_not_load_is_not_published(checkpoint, tmp_path, monkeypatch):
    from cate_hf.publishing import publish as module

    monkeypatch.setattr(module, "_PROBE", "raise RuntimeError('no such thing with hf_tokentokentoken')")
    with pytest.raises(ValueError, match="its own remote code .RuntimeError: no such thing with .token"):
        publish_checkpoint(checkpoint, REPO, dry_run=True)
    monkeypatch.setattr(module, "_PROBE", "print('{\"AutoModel\": [[0.0], [0.0], [9.0]]}')")
    with pytest.raises(ValueError, match="its remote code encodes differently"):
        publish_checkpoint(checkpoint, REPO, dry_run=True)


def test_an_encoder_pushes_itself(hub, client, tmp_path):
    folder = save_tiny(tmp_path / "tiny")
    code = "from cate_hf import load_encoder\nresult = load_encoder(folder).push_to_hub('someone/pushed')"
    assert client.run(code, folder=str(folder)).endswith("someone/pushed")
    client.forget()
    code = "from cate_hf import load_encoder\nresult = load_encoder('someone/pushed').encode(cells).tolist()"
    found = client.run(code, cells=CELL_DICTS)
    np.testing.assert_allclose(found, load_encoder(folder).encode(CELLS), atol=1e-6)
