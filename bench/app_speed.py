"""How long `cate app` takes to serve its page, how long until everything is warm, and each tab's answer then.

    .venv/bin/python bench/app_speed.py

Seconds, with the number of processors and their load, which is most of what they depend on.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request

from cate_hf.app import _look, _map, _neighbours, _predict, _race, _shared
from cate_hf.app._page import EXAMPLES
from cate_hf.app._reading import ANY, read_given


def seconds_to_serve() -> float:
    """From the start of the process to its page."""
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
                    return time.perf_counter() - start
                except OSError:
                    time.sleep(0.05)
            raise SystemExit("cate app ended")
        finally:
            process.kill()


def main() -> None:
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"page served after {min(seconds_to_serve() for _ in range(3)):.1f} (best of 3)")
    start = time.perf_counter()
    _shared.warm_up().join()
    print(f"warm after {time.perf_counter() - start:.1f}")
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
            start = time.perf_counter()
            answer()
            print(f"{name:<11}{label:<40}{time.perf_counter() - start:.2f}")
    settings = _race.settings_of(spaces[0], ["cate", "adjacency"], ["random", "cate-dngo-ls"], 60, 3, 0)
    start = time.perf_counter()
    for number, _ in enumerate(_race.race(settings)):
        if number == 1:
            print(f"race, first round {time.perf_counter() - start:.2f}")
    print(f"race, 3 trials of 3 searches to 60 queries {time.perf_counter() - start:.2f}")


if __name__ == "__main__":
    main()
