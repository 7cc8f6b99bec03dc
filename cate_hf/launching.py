"""What the commands share that `accelerate launch` starts, in one process or in several."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from accelerate import Accelerator

THREADS_VARIABLE = "CATE_HF_THREADS"  # threads for all processes of this machine together; its processors by default

T = TypeVar("T")


def share_threads(accelerator: "Accelerator") -> None:
    """Let the processes of a machine without an accelerator use its processors together.

    The launcher's own default is one thread a process, whatever the machine has.
    """
    import torch

    if accelerator.device.type == "cpu":
        threads = int(os.environ.get(THREADS_VARIABLE) or os.cpu_count() or 1)
        torch.set_num_threads(max(1, threads // accelerator.num_processes))


def on_main_process(accelerator: "Accelerator", function: Callable[[], T]) -> T:
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
    with _lost_processes_told():
        broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def wait_for_all(accelerator: "Accelerator") -> None:
    """Wait until all processes are here.

    Raises:
        ConnectionError: another process has ended.
    """
    with _lost_processes_told():
        accelerator.wait_for_everyone()


@contextmanager
def _lost_processes_told() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # of the backend, which has no class of its own for it
        raise ConnectionError(f"another process of the launch has ended ({str(error).splitlines()[0]})") from None
