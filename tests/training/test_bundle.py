import json

import pytest
from huggingface_hub import ModelCard

from bench.bundle_checkpoint import bundle
from cate_hf.encodings.cate import load_encoder
from tests.tiny import CELLS, save_tiny


def report(path, **changes):
    tau = {"run": {"50": {"ridge": [0.5, 0.7], "trees": [0.4, 0.4]}}, "adjacency": {"50": {"ridge": [0.2, 0.2]}}}
    facts = {"split": "test", "seeds": 2, "space": "nasbench101", "test_size": 4000, "oracle": "mean of 3 runs"}
    path.write_text(json.dumps(facts | {"tau": tau} | changes))
    return path


@pytest.fixture
def run(tmp_path):
    folder = save_tiny(tmp_path / "run")
    (folder / "training").mkdir()
    (folder / "training" / "facts.json").write_text(json.dumps({"space": "nasbench101", "steps": 7}))
    return folder


def test_a_run_becomes_a_checkpoint_with_the_tau_of_several_files(run, tmp_path):
    more = report(tmp_path / "more.json", tau={"structure": {"50": {"trees": [0.3, 0.5]}}})
    output = bundle(run, tmp_path / "out", [report(tmp_path / "tau.json"), more])
    card = (output / "README.md").read_text()
    rows = [line for line in card.splitlines() if line.startswith(("| run", "| structure", "| adjacency"))]
    assert rows == ["| run | 0.600 |", "| adjacency | 0.200 |", "| structure | 0.400 |"]
    assert "mean of 2 seeds, 4,000 test cells" in card
    assert not (output / "training").exists()
    assert (load_encoder(output).encode(CELLS) == load_encoder(run).encode(CELLS)).all()


def test_of_a_mixed_run_the_tau_of_each_space(tmp_path):
    run = save_tiny(tmp_path / "run")
    (run / "training").mkdir()
    facts = {"space": "nasbench101+nasbench201", "steps": 7}
    (run / "training" / "facts.json").write_text(json.dumps(facts))
    tau = {"run": {"50": {"ridge": [0.6, 0.8]}}, "adjacency": {"50": {"ridge": [0.4, 0.4]}}}
    files = [
        report(tmp_path / "tau.json"),
        report(tmp_path / "201.json", space="nasbench201", test_size=300, oracle="other", tau=tau),
    ]
    card = (bundle(run, tmp_path / "out", files) / "README.md").read_text()
    rows = [line for line in card.splitlines() if line.startswith(("| run", "| adjacency"))]
    assert rows == [
        "| run on nasbench101 | 0.600 |",
        "| adjacency on nasbench101 | 0.200 |",
        "| run on nasbench201 | 0.700 |",
        "| adjacency on nasbench201 | 0.400 |",
    ]
    assert "On nasbench201: 2 seeds, 300 test cells, oracle: other" in card
    results = {result.dataset_type: result.metric_value for result in ModelCard(card).data.eval_results}
    assert results == {"nasbench101": 0.6, "nasbench201": 0.7}
    with pytest.raises(ValueError, match=r"more\.json: seeds is 3, and 2 in .*201\.json"):
        bundle(
            run,
            tmp_path / "other",
            [*files, report(tmp_path / "more.json", **(json.loads(files[1].read_text()) | {"seeds": 3}))],
        )


def test_what_does_not_belong_together_is_refused(run, tmp_path):
    other = report(tmp_path / "other.json", split="development")
    with pytest.raises(ValueError, match=r"other\.json: split is 'development', and 'test' in"):
        bundle(run, tmp_path / "out", [report(tmp_path / "tau.json"), other])
    with pytest.raises(ValueError, match=r"not a finished pre-training run: training/facts\.json is missing"):
        bundle(save_tiny(tmp_path / "plain"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
