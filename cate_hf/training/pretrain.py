"""The command that pre-trains CATE, in one process or several.

accelerate launch -m cate_hf.training.pretrain --space nasbench101 --output-dir DIR [--preset paper]
"""

import os
import sys
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from cate_hf.core._console import any_console
from cate_hf.core._interruption import INTERRUPTED, Interrupted
from cate_hf.core._launching import check_launch, check_sharding, check_tracker, share_threads
from cate_hf.core._precision import has_bfloat16
from cate_hf.training._arguments import parse
from cate_hf.training.run import pretrain
from cate_hf.training.settings import PretrainSettings

__all__ = ["main"]

WAITING = timedelta(days=1)  # processes wait for the main one, which may have to measure many networks first


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, run, and turn bad input into one line and exit code 2."""
    any_console()
    options, fields, run = parse(argv)
    mixed_precision = resolve_mixed_precision(options.mixed_precision, options.cpu)
    try:
        check_tracker(options.log_with)
        check_sharding()
        accelerator = Accelerator(
            mixed_precision=mixed_precision,
            cpu=options.cpu,
            log_with=options.log_with,
            project_dir=run.output_dir,
            kwargs_handlers=[InitProcessGroupKwargs(timeout=WAITING)],
        )
        check_launch(accelerator)
        share_threads(accelerator)
        settings = PretrainSettings(**fields, mixed_precision=mixed_precision, processes=accelerator.num_processes)
        results = pretrain(settings, run, accelerator)
        accelerator.end_training()
    except Interrupted as stopped:
        if int(os.environ.get("RANK", "0")) == 0:
            print(f"interrupted; {stopped}", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, OSError) as error:
        if os.environ.get("CATE_DEBUG"):
            raise
        text = f"{error}" + ("; continue with the same command and --resume" * isinstance(error, ConnectionError))
        process = int(os.environ.get("RANK", "0"))  # what all processes find is told by the first; no error is hidden
        print(f"error: {text}" if process == 0 else f"process {process}: {text}", file=sys.stderr)
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
    """Precision of a choice: "auto" is bf16 where the device multiplies it natively, else no; "bf16" on a CPU, too."""
    device_type = "cuda" if torch.cuda.is_available() and not cpu else "cpu"
    if choice == "auto":
        return "bf16" if has_bfloat16(device_type) else "no"
    if choice == "bf16" and device_type == "cpu" and not has_bfloat16(device_type):
        if int(os.environ.get("RANK", "0")) == 0:
            print("bf16 is slower than float32 on this processor: float32 is used", file=sys.stderr)
        return "no"
    return choice


if __name__ == "__main__":
    sys.exit(main())
