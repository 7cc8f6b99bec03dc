"""Logging by Accelerate's trackers, TensorBoard and wandb, beside the log of a run."""

import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cate_hf.core._launching import on_main_process

if TYPE_CHECKING:
    from accelerate import Accelerator

    from cate_hf.training.settings import PretrainSettings

PROJECT = "cate_pretraining"
FOLDERS = (PROJECT, "wandb")  # that trackers make in a run's folder
_IDENTITY = "wandb-run-id"


def open_trackers(
    accelerator: "Accelerator", settings: "PretrainSettings", output_dir: Path, work: Path, step: int
) -> None:
    """Open what the accelerator is to log with, in the main process.

    A run that is resumed goes on in its log: TensorBoard drops what came after the state that it is resumed from, and
    wandb has the same run.

    Args:
        work: folder of the run's states.
        step: steps so far, 0 of a new run.

    Raises:
        ValueError: a tracker cannot be opened.
    """
    if not accelerator.log_with:
        return
    options: dict[str, dict] = {"tensorboard": {"purge_step": step + 1} if step else {}}

    def open_all() -> None:
        options["wandb"] = {"dir": str(output_dir), "id": _identity(work), "resume": "allow"}
        try:
            accelerator.init_trackers(PROJECT, config=None if step else asdict(settings), init_kwargs=options)
        except Exception as error:  # each has its own classes
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ValueError(f"--log-with {accelerator.log_with[0]}: it cannot be opened: {reason}") from error

    on_main_process(accelerator, open_all)


def _identity(work: Path) -> str:
    """What wandb knows this run by; made once."""
    file = work / _IDENTITY
    if not file.is_file():
        file.write_text(uuid.uuid4().hex[:12] + "\n", encoding="ascii")
    return file.read_text(encoding="ascii").strip()
