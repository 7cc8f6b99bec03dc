"""How long `cate app` takes to serve its page, how long until everything is warm, and each tab's answer then.

    .venv/bin/python bench/app_speed.py

Seconds by the clock and of the processor, with the number of processors and their load: by the clock both are about the
same on a machine that does nothing else.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from cate_hf.app import _look, _map, _neighbours, _predict, _race, _shared
from cate_hf.app._page import EXAMPLES
from cate_hf.app._reading import ANY, read_given


class Timer:
    """Says how long something took, by the clock and of this process's processors."""

    def __init__(self):
        self.start = time.perf_counter(), time.process_time()

    def say(self, what: str) -> None:
        clock, processor = time.perf_counter() - self.start[0], time.process_time() - self.start[1]
        print(f"{what:<52}{clock:8.2f}{processor:8.2f}", flush=True)


def seconds_to_serve() -> tuple[float, float]:
    """From the start of the process to its page, by the clock and of its processors."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = time.perf_counter()
    command = [sys.executable, "-m", "cate_hf.cli", "app", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read()
                    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
                    ticks = int(fields[11]) + int(fields[12])  # in user and system mode
                    return time.perf_counter() - start, ticks / os.sysconf("SC_CLK_TCK")
                except OSError:
                    time.sleep(0.05)
            raise SystemExit("cate app ended")
        finally:
            process.kill()


def main() -> None:
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; seconds by the clock, and of the processor")
    clock, processor = min(seconds_to_serve() for _ in range(3))
    print(f"{'page served, best of 3':<52}{clock:8.2f}{processor:8.2f}")
    timer = Timer()
    _shared.warm_up().join()
    timer.say("all spaces warm")
    spaces = _shared.known_spaces()
    for label, text in EXAMPLES.items():
        given = read_given(text, ANY, spaces)
        tabs = {
            "look": lambda given=given: _look.look(given),
            "neighbours": lambda given=given: _neighbours.nearest(given, "cate", 5),
            "map": lambda given=given: _map.space_map(given.space, "cate", "parameters", given),
        }
        if given.space != "darts":
            tabs["predict"] = lambda given=given: _predict.predict(given)
        for name, answer in tabs.items():
            timer = Timer()
            answer()
            timer.say(f"{name:<11}{label}")
    settings = _race.settings_of(spaces[0], ["cate", "adjacency"], ["random", "cate-dngo-ls"], 60, 3, 0)
    timer = Timer()
    for number, _ in enumerate(_race.race(settings)):
        if number == 1:
            timer.say("race, first round")
    timer.say("race, 3 trials of 3 searches to 60 queries")


if __name__ == "__main__":
    main()
