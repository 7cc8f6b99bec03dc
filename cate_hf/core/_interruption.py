"""Stopping on request: Ctrl-C and SIGTERM end a run at its next step, with its state saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130  # exit code of a command that was interrupted
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """The run was asked to stop and has saved its state. The message says how far it came and how it goes on."""


class StopRequest:
    """Whether a run has been asked to stop, which it looks at after each step."""

    def __init__(self):
        self.made = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM make the request while the block runs; threads but the main one get no signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def make(number, frame) -> None:
            self.made = True

        previous = {number: signal.signal(number, make) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
