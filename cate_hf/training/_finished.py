"""The checkpoint that a run ends with."""

import json
import os
import shutil
from typing import TYPE_CHECKING

import torch

from cate_hf.core._files import atomic_output
from cate_hf.hub.save import save_checkpoint
from cate_hf.training._setup import finish_encoding

if TYPE_CHECKING:
    from cate_hf.training.run import Pretraining


def write_checkpoint(run: "Pretraining", results: dict[str, float]) -> None:
    """Write model, tokenizer, remote code and card beside the folder `training`. A run that is killed here does it
    again when it is resumed.

    Args:
        results: the last evaluation.
    """
    if not run.accelerator.is_main_process:
        return
    finish_encoding(run.model, run.tokens)
    settings = run.settings
    facts = {
        "space": run.space.name,
        "example": run.space.example().to_json(),
        "preset": settings.preset,
        "command": run.options.command,
        "steps": run.step,
        "batch_size": settings.batch_size,
        "train_pairs": run.pair_facts["train_pairs"],
        "epochs": run.step * settings.batch_size / max(run.pair_facts["train_pairs"], 1),
        "learning_rate": settings.learning_rate,
        "seed": settings.seed,
        "machine": _machine(run.accelerator.device),
        "mixed_precision": settings.mixed_precision,
        "processes": settings.processes,
        "processor_seconds": run.log.last("processor_seconds"),
        "pairs": run.pair_facts,
        "masked_weight": settings.masked_weight,
        "statistics_weight": settings.statistics_weight,
        **({} if run.targets is None else run.targets.facts(settings)),
        "losses": [entry for entry in run.log.entries if "loss" in entry][-1:],
        **results,
    }
    with atomic_output(run.options.work / "facts.json", overwrite=True) as file:
        file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")  # what a card is made of
    staged = run.options.work / ".checkpoint"
    shutil.rmtree(staged, ignore_errors=True)
    save_checkpoint(staged, run.model, run.tokenizer, facts, space_definition=run.space.definition())
    # config.json last: a folder without it is not taken for a checkpoint.
    for file in sorted(staged.iterdir(), key=lambda file: file.name == "config.json"):
        os.replace(file, run.options.output_dir / file.name)
    staged.rmdir()


def _machine(device: torch.device) -> str:
    if device.type == "cpu":
        return f"{os.cpu_count()}-core CPU"
    return torch.cuda.get_device_name() if device.type == "cuda" else device.type
