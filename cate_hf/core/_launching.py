"""What the commands share that `accelerate launch` starts, in one process or in several."""

import argparse
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from cate_hf.core._parallel import THREADS_VARIABLE, available_processors

if TYPE_CHECKING:
    from accelerate import Accelerator

_SHARDING = ("FSDP", "DEEPSPEED", "MEGATRON_LM")
_TRACKERS = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}

_T = TypeVar("_T")


class LineParser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str):
        """Exit with code 2 and one line."""
        self.exit(2, f"error: {message}; --help lists the options\n")


def check_sharding() -> None:
    """Refuse, before Accelerate is set up, a launch that asks for sharded weights.

    Raises:
        ValueError: it asks for FSDP, DeepSpeed or Megatron-LM.
    """
    for name in _SHARDING:
        if os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() in ("1", "true"):
            raise ValueError(
                f"{name} is not supported: each process has all of these small models; use accelerate_configs/ddp.yaml"
            )


def check_launch(accelerator: "Accelerator") -> None:
    """Refuse a launch that is not the one that was asked for.

    Raises:
        ValueError: several processes were started and do not know of each other.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != accelerator.num_processes:
        raise ValueError(
            f"{started} processes were started, but each is on its own: on a machine without a GPU add --cpu to the "
            "options of the module"
        )
    if "ACCELERATE_USE_CPU" in os.environ and "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ:
        _note(
            "this is one process. `accelerate launch --cpu` starts one, whatever --num_processes says; for several on "
            "CPUs: --config_file accelerate_configs/cpu_ddp.yaml, or --multi_gpu in place of --cpu"
        )


def _note(text: str) -> None:
    if int(os.environ.get("RANK", "0")) == 0:
        print(f"note: {text}", file=sys.stderr)


def check_tracker(name: str | None) -> None:
    """Raise ValueError for an Accelerate tracker that is not installed, which Accelerate would leave out."""
    if name is not None and not any(importlib.util.find_spec(module) for module in _TRACKERS[name]):
        raise ValueError(f"--log-with {name} needs the package {name} (pip install {name})")


def share_threads(accelerator: "Accelerator") -> None:
    """Let the processes of a machine without an accelerator use its processors together.

    The launcher's own default is one thread a process, whatever the machine has.
    """
    import torch

    if accelerator.device.type == "cpu":
        threads = int(os.environ.get(THREADS_VARIABLE) or available_processors())
        torch.set_num_threads(max(1, threads // accelerator.num_processes))


def on_main_process(accelerator: "Accelerator", function: Callable[[], _T]) -> _T:
    """What `function` gives in the main process, in all of them; it is called in that one alone.

    Raises:
        ValueError, OSError: as the function, in all processes.
        ConnectionError: another process has ended.
    """
    from accelerate.utils import broadcast_object_list

    outcome: list = [None, None]
    if accelerator.is_main_process:
        try:
            outcome = [function(), None]
        except (ValueError, OSError) as error:
            outcome = [None, error]
    with lost_processes_told():
        broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def wait_for_all(accelerator: "Accelerator") -> None:
    """Wait until all processes are here.

    Raises:
        ConnectionError: another process has ended.
    """
    with lost_processes_told():
        accelerator.wait_for_everyone()


def main_process_first(accelerator: "Accelerator", function: Callable[[], _T]) -> _T:
    """What `function` gives in each process, called in the main one first, which fills caches for the others.

    Raises:
        ValueError, OSError: as the function in the main process, in all of them.
        ConnectionError: another process has ended.
    """
    results = []
    on_main_process(accelerator, lambda: results.append(function()))
    return results[0] if results else function()


@contextmanager
def lost_processes_told() -> Iterator[None]:
    """Raises ConnectionError where another process of the launch has ended."""
    from torch import distributed

    try:
        yield
    except RuntimeError as error:  # the backends have no class of their own for it
        if not distributed.is_initialized():
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = re.sub(r"^\[\S+\] |\. This is typically .*", "", reason)  # where in gloo, and its guesses
        raise ConnectionError(f"a process of the launch has ended, or cannot be reached ({reason})") from error
