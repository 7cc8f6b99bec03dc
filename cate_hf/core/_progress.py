"""Progress bars on standard error, for work that takes longer than about two seconds."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_silent = False


@contextmanager
def no_progress() -> Iterator[None]:
    """A context without progress bars."""
    global _silent
    before, _silent = _silent, True
    try:
        yield
    finally:
        _silent = before


@contextmanager
def progress_bar(
    description: str, total: int | None, unit: str = "", enabled: bool = True
) -> Iterator[Callable[[float], None]]:
    """Yield `advance(n)`; draws a bar with speed and time left when `enabled` and standard error is a terminal.

    Args:
        description: what is being done, in a few words.
        total: how many units there are; None when unknown.
        unit: the name of what is counted, such as "cells".
    """
    if _silent or not enabled or not sys.stderr.isatty():
        yield lambda n: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f} {unit}/s")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=total)
        yield lambda n: progress.advance(task, n)
