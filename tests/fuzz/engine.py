"""Fuzzing one target: inputs in the order of their seeds, what is new kept, the first find saved.

An input's seed is the run's, the target's name and its number; so is what a run goes on with after a break.
"""

import contextlib
import hashlib
import random
import re
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.fuzz.targets import Target, outcome

CPU_SECONDS = 20  # for one input; each takes milliseconds
MEMORY = 3 << 30  # beyond what the process has when it begins
_MOST_KINDS, _MOST_ACCEPTED = 300, 100
_ACCEPTED_SHARE = 0.7  # of the inputs are made from ones that were accepted; they get further
_VARIES = re.compile(r"'[^']*'|\"[^\"]*\"|[\[{].*|\d+|/\S+|is .*", re.DOTALL)


@dataclass
class Progress:
    """How far a target is. `find`: name of the file that holds the input that stopped it."""

    tried: int = 0
    accepted: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    kinds: int = 0
    find: str | None = None

    to_dict = asdict


class TooSlow(Exception):
    """An input that took more than `CPU_SECONDS`."""


@contextlib.contextmanager
def limits(memory: int | None = MEMORY) -> Iterator[None]:
    """Within, an input that takes too long raises TooSlow, and one that takes `memory` bytes more MemoryError."""

    def stop(*_):
        raise TooSlow(f"more than {CPU_SECONDS} s of CPU time for one input")

    old = signal.signal(signal.SIGPROF, stop)
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (size + memory, before[1]))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)
        resource.setrlimit(resource.RLIMIT_AS, before)


def kind_of(message: str) -> str:
    """A refusal without what differs from input to input."""
    return _VARIES.sub("_", message)[:160]


class Fuzzer:
    """One target, its corpus and its progress.

    Args:
        seed: of the run.
        folder: where finds and the inputs that told something new are kept; nowhere when None.
    """

    def __init__(self, target: Target, seed: int, scratch: Path, progress: Progress, folder: Path | None = None):
        self.target, self.seed, self.progress, self.folder = target, seed, progress, folder
        self.path = scratch / f"input{target.suffix}"
        self.sound, self.refused = list(target.seeds), []
        self.kinds: set[str] = set()
        kept = folder / "corpus" / target.name if folder else None
        if kept and kept.is_dir():
            for file in sorted(kept.iterdir()):
                self._try(file.read_bytes())
        for content in target.seeds:
            assert self._try(content), f"{target.name}: a sound input is not read"

    def _try(self, content: bytes) -> bool:
        """Whether an input was accepted; keeps some of those, and of the refused the first of each kind of message."""
        self.path.write_bytes(content)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        try:
            said = outcome(self.target, self.path)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        kind = "" if said is None else kind_of(said.replace(str(self.path), ""))
        if said is None and len(self.sound) < _MOST_ACCEPTED and content not in self.sound:
            self.sound.append(content)
            self._keep(content)
        elif kind and kind not in self.kinds and len(self.kinds) < _MOST_KINDS:
            self.kinds.add(kind)
            self.refused.append(content)
            self._keep(content)
        return said is None

    def _keep(self, content: bytes) -> None:
        if self.folder:
            kept = self.folder / "corpus" / self.target.name
            kept.mkdir(parents=True, exist_ok=True)
            (kept / _digest(content)).write_bytes(content)

    def run(self, seconds: float = float("inf"), inputs: int | None = None, stopped: Callable[[], bool] = bool) -> None:
        """Try inputs until time or their number is up, `stopped` says so, or one is a find."""
        begin, cpu, last = (
            time.monotonic(),
            time.process_time(),
            None if inputs is None else self.progress.tried + inputs,
        )
        progress = self.progress
        while progress.find is None and time.monotonic() - begin < seconds and progress.tried != last and not stopped():
            rng = random.Random(f"{self.seed}:{self.target.name}:{progress.tried}")
            corpus = self.sound if not self.refused or rng.random() < _ACCEPTED_SHARE else self.refused
            content = self.target.mutate(rng, corpus)
            progress.tried += 1
            try:
                progress.accepted += self._try(content)
            except KeyboardInterrupt:
                progress.tried -= 1
                raise
            except BaseException as error:
                progress.find = self.save(content, error)
        progress.kinds = len(self.kinds)
        progress.seconds += time.monotonic() - begin
        progress.cpu_seconds += time.process_time() - cpu

    def save(self, content: bytes, error: BaseException) -> str:
        """Write a find's input and traceback; returns the input's name."""
        name = f"{self.target.name}-{_digest(content)}{self.target.suffix}"
        if self.folder:
            (self.folder / "finds").mkdir(parents=True, exist_ok=True)
            (self.folder / "finds" / name).write_bytes(content)
            text = "".join(traceback.format_exception(error))
            (self.folder / "finds" / f"{name}.txt").write_text(text, encoding="utf-8", errors="backslashreplace")
        self.error = error
        return name


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
