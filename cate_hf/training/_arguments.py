"""The command line of pre-training."""

import argparse
import shlex
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args

from cate_hf.core._launching import LineParser
from cate_hf.spaces.mixed import SEPARATOR
from cate_hf.training.settings import PRESETS, PretrainSettings, RunOptions

_DECIDED_BY_LAUNCH = ("mixed_precision", "processes")
_GIVEN_AGAIN = ("space", "statistics_cells")  # for each space of a mixed run

_HELP = {
    "space": "search space to pre-train on: a name, or a YAML file; given more than once, a mixed run over all of them",
    "input": "Parquet or JSON Lines file of architectures to pre-train on, instead of the space's own",
    "cost": "cost that pairs are made by: one of the space's, or a column of --input (default: the space's own)",
    "preset": "default: our design; paper: the paper's model exactly",
    "pairs": "folder of pairs made by `cate pairs`; without it the space's own pairs are made",
    "epochs": "passes over the training pairs",
    "max_steps": "end after this many optimiser steps; the schedule decays to this end",
    "length_multiple": "0: batches of one shape, as TPUs want; 8: pairs of about one length together, padded to a "
    "multiple of it; without it 8 where architectures have more than 32 nodes",
    "batch_size": "pairs in an optimiser step, over all processes and accumulated micro-batches",
    "gradient_accumulation_steps": "micro-batches in an optimiser step",
    "learning_rate": "peak learning rate of AdamW",
    "weight_decay": "weight decay of matrices; biases and LayerNorm weights have none",
    "adam_epsilon": "epsilon of AdamW",
    "warmup_steps": "steps of linear warm-up, at most half of all",
    "max_grad_norm": "clip gradients to this norm; 0: do not clip",
    "dropout": "dropout, instead of the preset's (default design 0, paper 0.1)",
    "masked_weight": "weight of masked operations in the loss (default: 1); 0 leaves them out",
    "statistics_weight": "weight of predicted statistics in the loss (default design 1, paper 0); 0 leaves them out",
    "statistics_batch_size": "architectures of an optimiser step whose statistics are predicted",
    "statistics_cells": "architectures whose networks are measured at initialisation; 0 leaves their statistics out; "
    "in a mixed run of each space, or given once for each --space",
    "initialisations": "initialisations of each of these networks, over which statistics are averaged",
    "seed": "seed of weights, order, masks and dropout",
}


def parse(argv: list[str] | None) -> tuple[argparse.Namespace, dict, RunOptions]:
    """Return the options, the fields of `PretrainSettings` that they set, and the options of the run."""
    parser = LineParser(
        prog="accelerate launch -m cate_hf.training.pretrain",
        description="Pre-train CATE on computation-aware pairs of a search space.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--output-dir", required=True, help="folder of the checkpoint; its folder `training` holds states"
    )
    for field in fields(PretrainSettings):
        if field.name in _DECIDED_BY_LAUNCH:
            continue
        kind: Any = field.type if isinstance(field.type, type) else get_args(field.type)[0]  # the T of `T | None`
        default = None if field.default is MISSING else field.default
        choices = PRESETS if field.name == "preset" else None
        flag = "--" + field.name.replace("_", "-")
        if field.name in _GIVEN_AGAIN:
            parser.add_argument(flag, action="append", type=kind, help=f"{_HELP[field.name]} (default: {default})")
            continue
        parser.add_argument(flag, type=kind, default=default, choices=choices, help=_HELP[field.name])
    parser.add_argument(
        "--mixed-precision",
        choices=("auto", "no", "bf16", "fp16"),
        default="auto",
        help="auto: bf16 where the machine has it",
    )
    parser.add_argument("--cpu", action="store_true", help="stay on the CPU")
    parser.add_argument("--resume", action="store_true", help="continue from the last state in the output folder")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in the output folder")
    parser.add_argument(
        "--save-every", type=int, default=200, help="steps between states (and evaluations); 0: at the end"
    )
    parser.add_argument("--log-every", type=int, default=10, help="steps between lines of the log")
    parser.add_argument("--evaluate-pairs", type=int, default=8192, help="held-out pairs an evaluation uses")
    parser.add_argument(
        "--log-with", choices=("tensorboard", "wandb"), default=None, help="an Accelerate tracker beside log.jsonl"
    )
    parser.add_argument("--static-shapes", action="store_true", help="the same as --length-multiple 0")
    options = parser.parse_args(argv)
    options.space = SEPARATOR.join(options.space or [PretrainSettings.space])
    cells = options.statistics_cells or [PretrainSettings.statistics_cells]
    options.statistics_cells = cells[0] if len(cells) == 1 else cells
    if options.static_shapes:
        if options.length_multiple:
            parser.error("--static-shapes and --length-multiple exclude each other")
        options.length_multiple = 0
    if options.log_every < 1 or options.save_every < 0 or options.evaluate_pairs < 0:
        parser.error("--log-every must be at least 1, --save-every and --evaluate-pairs at least 0")
    if options.resume and options.overwrite:
        parser.error("--resume and --overwrite exclude each other")
    settings = {f.name: getattr(options, f.name) for f in fields(PretrainSettings) if f.name not in _DECIDED_BY_LAUNCH}
    words = [word for word in (sys.argv[1:] if argv is None else argv) if word not in ("--resume", "--overwrite")]
    run = RunOptions(
        Path(options.output_dir),
        options.resume,
        options.overwrite,
        options.save_every,
        options.log_every,
        options.evaluate_pairs,
        shlex.join(["accelerate", "launch", "-m", "cate_hf.training.pretrain", *words]),
    )
    return options, settings, run
