"""The process that `accelerate launch -m cate_hf.training.pretrain` starts."""

import os
import shlex
import sys
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from cate_hf.core.launching import check_launch, check_sharding, check_tracker, sharding_of, share_threads
from cate_hf.training._arguments import parse
from cate_hf.training.pretrain import Interrupted, pretrain
from cate_hf.training.settings import PretrainSettings

WAITING = timedelta(days=1)  # processes wait for the main one, which may have to measure many networks first


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, run, and turn bad input into one line and exit code 2."""
    options, settings_fields, run_options = parse(argv)
    mixed_precision = resolve_mixed_precision(options.mixed_precision, options.cpu)
    try:
        check_tracker(options.log_with)
        check_sharding()
        accelerator = Accelerator(
            mixed_precision=mixed_precision,
            cpu=options.cpu,
            log_with=options.log_with,
            project_dir=options.output_dir,
            kwargs_handlers=[InitProcessGroupKwargs(timeout=WAITING)],
        )
        check_launch(accelerator, sharding=True)
        share_threads(accelerator)
        settings = PretrainSettings(
            **settings_fields,
            mixed_precision=mixed_precision,
            processes=accelerator.num_processes,
            sharding=sharding_of(accelerator),
        )
        words = [word for word in (sys.argv[1:] if argv is None else argv) if word not in ("--resume", "--overwrite")]
        command = shlex.join(["accelerate", "launch", "-m", "cate_hf.training.pretrain", *words])
        results = pretrain(settings, accelerator=accelerator, command=command, **run_options)
        accelerator.end_training()
    except Interrupted:
        print(
            f"interrupted; continue with the same command and --resume (state in {options.output_dir})", file=sys.stderr
        )
        return 130
    except (ValueError, OSError) as error:
        if os.environ.get("CATE_DEBUG"):
            raise
        if isinstance(error, ConnectionError):
            error = f"{error}; continue with the same command and --resume"
        process = int(os.environ.get("RANK", "0"))  # what all processes find is told by the first; no error is hidden
        print(f"error: {error}" if process == 0 else f"process {process}: {error}", file=sys.stderr)
        return 2
    if accelerator.is_main_process:
        names = {
            "validation_accuracy": "validation masked accuracy",
            "validation_r2_structure": "R² of statistics of the graph",
            "validation_r2_initialisation": "at initialisation",
        }
        told = ", ".join(f"{text} {results[name]:.4f}" for name, text in names.items() if name in results)
        print(f"pre-trained encoder in {options.output_dir} ({told})")
    return 0


def resolve_mixed_precision(choice: str, cpu: bool) -> str:
    """ "auto" is bf16 where the device multiplies it natively, else no."""
    if choice != "auto":
        return choice
    if not cpu and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16" if supported() else "no"
