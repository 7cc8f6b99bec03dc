import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from cate_hf.core._run_state import KEPT, latest_state, load_state, save_state, state_to_resume
from cate_hf.training._arguments import parse
from cate_hf.training._log import RunLog
from cate_hf.training.settings import PretrainSettings, RunOptions


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"preset": "best"}, "preset must be one of default, paper"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"epochs": 0.0}, "epochs must be above 0"),
        ({"max_steps": 0}, "max_steps must be at least 1"),
        ({"batch_size": 10, "processes": 2, "gradient_accumulation_steps": 2}, "batch_size 10 must be a multiple of 4"),
    ],
)
def test_settings_are_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        PretrainSettings(**fields)


def test_schedule_warms_up_and_decays_to_zero():
    settings = PretrainSettings()
    rates = [settings.learning_rate_at(step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-5)
    assert rates[99] == pytest.approx(1e-3) == max(rates)
    assert rates[550] == pytest.approx(0.5e-3)
    assert 0 < rates[-1] < 2e-6
    assert settings.total_steps(786) == 7860
    assert PretrainSettings(max_steps=50).total_steps(786) == 50
    with pytest.raises(ValueError, match="fewer training pairs than one batch"):
        settings.total_steps(0)


def test_arguments_become_settings(capsys):
    options, settings, run = parse(["--output-dir", "x", "--preset", "paper", "--epochs", "0.5", "--dropout", "0"])
    assert PretrainSettings(**settings) == PretrainSettings(preset="paper", epochs=0.5, dropout=0.0)
    assert run == RunOptions(Path("x"), command=run.command)
    assert run.command.endswith("-m cate_hf.training.pretrain --output-dir x --preset paper --epochs 0.5 --dropout 0")
    assert options.mixed_precision == "auto"
    more = ["--space", "nasbench101", "--space", "darts", "--statistics-cells", "7", "--statistics-cells", "5"]
    settings = PretrainSettings(**parse(["--output-dir", "x", *more])[1])
    assert (settings.space, settings.statistics_cells) == ("nasbench101+darts", [7, 5])
    assert PretrainSettings(**parse(["--output-dir", "x", *more[:-2]])[1]).statistics_cells == 7
    for wrong in (["--nothing"], ["--output-dir", "x", "--preset", "best"], ["--output-dir", "x", "--epochs", "many"]):
        with pytest.raises(SystemExit) as exit_info:
            parse(wrong)
        assert exit_info.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1


def model_and_optimizer(seed):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    return model, torch.optim.AdamW(model.parameters(), lr=1e-2)


def step(model, optimizer, seed):
    torch.manual_seed(seed)
    model(torch.randn(8, 4)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_state_comes_back_to_the_bit(tmp_path):
    model, optimizer = model_and_optimizer(0)
    for seed in range(3):
        step(model, optimizer, seed)
    save_state(tmp_path, 3, model, optimizer, asdict(PretrainSettings()))
    other, other_optimizer = model_and_optimizer(9)
    load_state(tmp_path / "step-00000003", other, other_optimizer)
    for seed in range(3, 6):
        step(model, optimizer, seed), step(other, other_optimizer, seed)
    for first, second in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(first, second)


def test_the_last_two_states_are_kept_and_a_damaged_one_is_passed_over(tmp_path):
    model, optimizer = model_and_optimizer(0)
    step(model, optimizer, 0)
    for number in (5, 10, 15):
        save_state(tmp_path, number, model, optimizer, {"seed": 0})
    (tmp_path / ".step-00000020.tmp").mkdir()  # a kill in the middle of writing leaves this
    assert len([p for p in tmp_path.iterdir() if p.name.startswith("step-")]) == KEPT
    assert latest_state(tmp_path)[1] == {"step": 15, "settings": {"seed": 0}}
    (tmp_path / "step-00000015" / "progress.json").write_text('{"step": ')
    assert latest_state(tmp_path)[0].name == "step-00000010"
    (tmp_path / "step-00000010" / "optimizer.safetensors").write_bytes(b"short")
    with pytest.raises(ValueError, match="cannot resume"):
        load_state(tmp_path / "step-00000010", model, optimizer)


def test_a_run_with_other_settings_is_named(tmp_path):
    with pytest.raises(ValueError, match="nothing to resume"):
        state_to_resume(tmp_path, asdict(PretrainSettings(seed=1)))
    saved = asdict(PretrainSettings(seed=1))
    # Of a run of an earlier version, which had settings that there are no longer.
    folder = save_state(tmp_path, 4, *model_and_optimizer(0), saved | {"sharding": None})
    assert state_to_resume(tmp_path, saved) == (folder, {"step": 4, "settings": saved | {"sharding": None}})
    for changed in ({"seed": 2}, {"batch_size": 512}, {"processes": 2}, {"input": "cells.parquet"}):
        name, value = next(iter(changed.items()))
        expected = f"another run: {name} is {value!r} here and {saved[name]!r} there; resume with the same settings"
        with pytest.raises(ValueError, match=re.escape(expected) + "$"):
            state_to_resume(tmp_path, asdict(PretrainSettings(**({"seed": 1} | changed))))


def test_a_full_disk_leaves_the_states_before(tmp_path, monkeypatch):
    model, optimizer = model_and_optimizer(0)
    step(model, optimizer, 0)
    save_state(tmp_path, 5, model, optimizer, {})

    def full(*arguments):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("cate_hf.core._run_state.save_file", full)
    with pytest.raises(OSError, match="step-00000010: cannot be written .*No space left"):
        save_state(tmp_path, 10, model, optimizer, {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]
    assert latest_state(tmp_path)[1]["step"] == 5


def test_the_log_is_rewound(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    for number in range(1, 6):
        log.append({"step": number, "loss": 0.5})
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"step": 6, "lo')  # a kill in the middle of a line
    again = RunLog(tmp_path / "log.jsonl")
    again.rewind(3)
    again.append({"step": 4, "loss": 0.25})
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert entries == again.entries
    assert [(entry["step"], entry["loss"]) for entry in entries] == [(1, 0.5), (2, 0.5), (3, 0.5), (4, 0.25)]
    again.append({"step": 4, "validation_loss": 0.5})
    for evaluated, lines in ((True, 5), (False, 4)):  # a run that has ended is evaluated again
        last = RunLog(tmp_path / "log.jsonl")
        last.rewind(4, evaluated)
        assert len(last.entries) == lines
    nowhere = RunLog(None)
    nowhere.rewind(3)
    nowhere.append({"step": 4})
    assert nowhere.entries == [{"step": 4}]


def test_bf16_on_a_processor_without_it_is_float32_and_says_so(monkeypatch, capsys):
    from cate_hf.training import pretrain

    monkeypatch.setattr(pretrain, "has_bfloat16", lambda device_type: False)
    assert [pretrain.resolve_mixed_precision(choice, cpu=True) for choice in ("auto", "no", "fp16")] == [
        "no",
        "no",
        "fp16",
    ]
    assert capsys.readouterr().err == ""
    assert pretrain.resolve_mixed_precision("bf16", cpu=True) == "no"
    assert capsys.readouterr().err == "bf16 is slower than float32 on this processor: float32 is used\n"
    monkeypatch.setattr(pretrain, "has_bfloat16", lambda device_type: True)
    assert [pretrain.resolve_mixed_precision(choice, cpu=True) for choice in ("auto", "bf16")] == ["bf16", "bf16"]
