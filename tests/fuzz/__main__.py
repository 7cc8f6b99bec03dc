"""`python -m tests.fuzz --minutes 5`: damaged files for every reader in turn; see docs/trust.md.

Stops a target at its first find, whose input is in finds/ of the output folder. Run again with the same output, it
tries the finds first, and goes on where it stopped: with the targets whose finds are mended.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SLICE_SECONDS = 15.0
_STATE = "state.json"
_SILENT_SECONDS = 600  # without an input tried, the worker hangs where Python cannot stop it


def main() -> int:
    """Watch over a worker, which an input may kill. Exit code 1 where there is a find."""
    options = _options()
    options.output.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    end, begin = time.time() + 60 * options.minutes, time.monotonic()
    try:
        while time.time() < end - 1:
            words = ["--seed", options.seed, "--output", options.output, "--worker", scratch, "--until", end]
            words += ["--targets", *options.targets] if options.targets else []
            worker = subprocess.Popen([sys.executable, "-m", "tests.fuzz", *map(str, words)])
            if _watched(worker, scratch) == 0:
                break
            _killed(options.output, scratch, worker.returncode)
    except KeyboardInterrupt:
        worker.wait()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return _report(options.output, time.monotonic() - begin)


def _options():
    from tests.fuzz.targets import makers

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="+", choices=sorted(makers()), metavar="TARGET", help=", ".join(makers()))
    parser.add_argument("--output", type=Path, default=Path("fuzz-output"), help="folder of state, corpus and finds")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


def _watched(worker: subprocess.Popen, scratch: Path) -> int:
    while True:
        try:
            return worker.wait(10)
        except subprocess.TimeoutExpired:
            inputs = [path.stat().st_mtime for path in scratch.glob("*/input*")]
            if inputs and time.time() - max(inputs) > _SILENT_SECONDS:
                worker.kill()


def _killed(output: Path, scratch: Path, code: int) -> None:
    """The input that a worker died of is a find."""
    name = (scratch / "target").read_text() if (scratch / "target").exists() else ""
    inputs = sorted((scratch / name).glob("input*")) if name else []
    if not inputs or code == 1:  # an error of the fuzzer's own
        raise SystemExit(f"{name}: the worker ended with code {code}")
    (output / "finds").mkdir(exist_ok=True)
    found = output / "finds" / f"{name}-killed-{int(time.time())}{''.join(inputs[0].suffixes)}"
    shutil.copy(inputs[0], found)
    state = _read(output)
    state.setdefault(name, {})["find"] = found.name
    _write(output, state)
    print(f"{name}: the worker ended with code {code}: {found}", flush=True)


def work(options) -> None:
    """Each target for a slice of time, again and again."""
    from tests.fuzz.engine import Fuzzer, Progress, limits
    from tests.fuzz.targets import make, makers

    stopping = []
    signal.signal(signal.SIGINT, lambda *_: stopping.append(1))
    names = options.targets or list(makers())
    state, fuzzers = _read(options.output), {}
    with limits():
        while time.time() < options.until and not stopping:
            open_targets = [name for name in names if not (name in fuzzers and fuzzers[name].progress.find)]
            for name in open_targets:
                if time.time() >= options.until or stopping:
                    break
                (options.worker / "target").write_text(name)
                if name not in fuzzers:
                    target, progress = make(name, options.worker), Progress(**state.get(name, {}))
                    if progress.find and not _mended(target, options, progress.find):
                        names = [other for other in names if other != name]
                        continue
                    progress.find = None
                    fuzzers[name] = Fuzzer(target, options.seed, options.worker / name, progress, options.output)
                fuzzer = fuzzers[name]
                left = min(SLICE_SECONDS, options.until - time.time())
                fuzzer.run(left, stopped=lambda: bool(stopping))
                if fuzzer.progress.find:
                    print(f"{name}: {type(fuzzer.error).__name__}: {fuzzer.error!s:.300}", flush=True)
                state[name] = fuzzer.progress.to_dict()
                _write(options.output, state)
            if not open_targets or not names:
                break


def _mended(target, options, find: str) -> bool:
    from tests.fuzz.targets import outcome

    path = options.worker / target.name / f"input{target.suffix}"
    shutil.copy(options.output / "finds" / find, path)
    try:
        outcome(target, path)
    except Exception:
        return False
    return True


def _read(output: Path) -> dict:
    try:
        return json.loads((output / _STATE).read_text())
    except FileNotFoundError:
        return {}


def _write(output: Path, state: dict) -> None:
    temporary = output / f".{_STATE}.tmp"
    temporary.write_text(json.dumps(state, indent=2) + "\n")
    os.replace(temporary, output / _STATE)


def _report(output: Path, seconds: float) -> int:
    state = _read(output)
    print(f"{'target':18}{'inputs':>12}{'accepted':>12}{'kinds':>8}{'minutes':>9}  find")
    for name, progress in sorted(state.items()):
        print(
            f"{name:18}{progress.get('tried', 0):12,}{progress.get('accepted', 0):12,}{progress.get('kinds', 0):8}"
            f"{progress.get('seconds', 0) / 60:9.1f}  {progress.get('find') or ''}"
        )
    tried, spent, cpu = (sum(p.get(key, 0) for p in state.values()) for key in ("tried", "seconds", "cpu_seconds"))
    print(
        f"{tried:,} inputs in {spent / 3600:.2f} hours ({cpu / 3600:.2f} of them on a core), this run "
        f"{seconds / 60:.1f} minutes; state in {output}"
    )
    return int(any(progress.get("find") for progress in state.values()))


if __name__ == "__main__":
    arguments = _options()
    if arguments.worker is not None:
        work(arguments)
    else:
        raise SystemExit(main())
