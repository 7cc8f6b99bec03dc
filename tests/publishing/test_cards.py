import re

import jinja2
import pytest
from huggingface_hub import DatasetCard, ModelCard
from huggingface_hub.utils import yaml_dump

from cate_hf import CateConfig
from cate_hf.hub._card_templates import template_environment
from cate_hf.hub.cards import render_dataset_card, render_model_card

CONFIG = CateConfig.for_space("nasbench101")
FULL = {
    "space": "nasbench101",
    "preset": "default",
    "command": "accelerate launch -m cate_hf.training.pretrain --space nasbench101 --output-dir out",
    "steps": 786,
    "epochs": 1.0,
    "batch_size": 1024,
    "train_pairs": 805_000,
    "learning_rate": 1e-3,
    "mixed_precision": "bf16",
    "processes": 1,
    "seed": 0,
    "pairs": {"cost": "parameters", "window": 2_000_000, "partners": 2, "seed": 0, "validation_pairs": 42_000},
    "losses": [{"step": 786, "loss": 0.9123}],
    "validation_loss": 0.91,
    "validation_loss_x": 0.90,
    "validation_loss_y": 0.92,
    "validation_accuracy": 0.75,
    "validation_accuracy_x": 0.76,
    "validation_accuracy_y": 0.74,
    "processor_seconds": 1600.4,
    "machine": "2-core CPU",
    "kendall_tau": {"CATE, frozen": {50: 0.44, 150: 0.51}, "one-hot adjacency": {50: 0.48, 424: 0.65}},
    "tau_protocol": "Mean of 5 seeds over 4,000 cells.",
    "datasets": ["someone/nasbench101-pairs"],
}
PAIRS = {
    "space": "nasbench101",
    "architectures": 423_624,
    "pairs": 847_000,
    "train_pairs": 805_000,
    "validation_pairs": 42_000,
    "cost": "parameters",
    "window": 2_000_000,
    "partners": 2,
    "seed": 0,
    "without_partner": 3,
}


def check_markdown(text: str) -> None:
    """Nothing unfilled, and every table's rows have as many cells as its head."""
    assert not re.search(
        r"\{\{|\}\}(?!,$)|\{%|None\b|Undefined", text.replace("{{CATE", "").replace("Transformers}}", "")
    )
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        rows = block.splitlines()
        assert re.fullmatch(r"(\|-+)+\|", rows[1].replace(" ", "")), block
        assert len({row.count("|") for row in rows}) == 1, block


@pytest.mark.parametrize(
    "facts", [{"space": "nasbench101"}, FULL, {"space": "darts", "converted_from": "model.pth.tar"}]
)
def test_model_cards_have_valid_metadata(facts):
    text = render_model_card(facts, CONFIG, 1_234_567)
    data = ModelCard(text).data
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "feature-extraction"
    assert data.license == "apache-2.0"
    assert facts["space"] in data.tags
    assert "accuracy" in data.metrics
    assert yaml_dump(data.to_dict())
    assert "1,234,567" in text
    check_markdown(text)


def test_model_card_states_every_fact_given():
    text = render_model_card(FULL, CONFIG, 10)
    for fact in (
        "786",
        "1,024",
        "805,000",
        "0.001",
        "bf16",
        "2,000,000",
        "42,000",
        "0.9123",
        "75.00 %",
        "74.00 %",
        "1600 s",
    ):
        assert fact in text, fact
    assert FULL["command"] in text
    assert "| one-hot adjacency | 0.480 | – | 0.650 |" in text
    results = ModelCard(text).data.eval_results
    assert [(r.metric_type, r.metric_value) for r in results] == [("kendall_tau", 0.44), ("kendall_tau", 0.51)]
    assert ModelCard(text).data.datasets == ["someone/nasbench101-pairs"]


def test_a_fact_that_is_not_known_is_not_in_the_card():
    text = render_model_card({"space": "nasbench101"}, CONFIG, 10)
    for word in ("updates", "machine", "Losses", "Kendall", "```bash"):
        assert word not in text
    assert ModelCard(text).data.eval_results is None


def test_unknown_facts_and_template_fields_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="unknown fact 'comand'; did you mean 'command'"):
        render_model_card({"space": "nasbench101", "comand": "x"}, CONFIG, 10)
    with pytest.raises(ValueError, match="unknown fact 'windows'"):
        render_dataset_card(PAIRS | {"windows": 1})
    with pytest.raises(jinja2.UndefinedError):
        template_environment().from_string("{{ nothing }}").render()


def test_dataset_card():
    full = PAIRS | {
        "cost_gap_quantiles": {"0.5": 12_345},
        "cost_quantiles": {"parameters": {"0": 227_274, "1": 49_979_274}, "latency": {"0": 0.25, "1": 1234567.5}},
        "cost_histogram": [{"from": 0, "to": 10.5, "count": 400_000}, {"from": 10.5, "to": 21.0, "count": 23_624}],
        "in_no_pair": 1,
        "validation_fraction": 0.05,
        "command": "cate pairs",
        "vocabulary": ["input", "a|b", "output"],
        "nodes": {"2": 1, "7": 423_623},
        "max_nodes": 7,
        "max_edges": 9,
        "sampled": False,
        "license": "apache-2.0",
    }
    for facts in (PAIRS, full):
        text = render_dataset_card(facts)
        data = DatasetCard(text).data
        assert data.license == facts.get("license")
        assert data.size_categories == ["100K<n<1M"]
        assert [config["config_name"] for config in data.configs] == ["pairs", "architectures"]
        assert [config.get("default") for config in data.configs] == [True, None]
        assert "847,000" in text
        assert "found no partner | 3 |" in text
        check_markdown(text.replace("\\|", "/"))
    assert "12,345" in text
    assert "| 1 | 49,979,274 | 1,234,568 |" in text
    assert "| 1 | `a\\|b` |" in text
    assert "| 7 | 423,623 |" in text
    assert "All 423,624 different architectures" in text
    assert "| 0 | 10.5 | 400,000 | " + 24 * "█" + " |" in text
    assert "| 10.5 | 21 | 23,624 | █ |" in text


def test_dataset_card_of_a_sample_and_of_many_sizes():
    nodes = {str(n): 10 for n in range(2, 101)}
    text = render_dataset_card(PAIRS | {"sampled": True, "distribution": "like this", "nodes": nodes})
    assert "423,624 different architectures of the space, drawn with seed 0: like this." in text
    ranges = [tuple(map(int, found)) for found in re.findall(r"^\| (\d+)–(\d+) \| (\d+) \|$", text, re.M)]
    assert len(ranges) <= 16
    assert sum(count for _, _, count in ranges) == 990
    assert all(count == 10 * (high - low + 1) for low, high, count in ranges)
    assert "No licence is stated" in text


def test_a_split_without_pairs_is_no_split_of_the_card():
    data = DatasetCard(render_dataset_card(PAIRS | {"validation_pairs": 0})).data
    assert [file["split"] for file in data.configs[0]["data_files"]] == ["train"]
