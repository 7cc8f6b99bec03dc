"""Run the stub by itself: `python -m tests.hub_stub` prints the environment of a client; Ctrl-C stops it."""

import shlex
import sys
import tempfile
import threading
from pathlib import Path

from tests.hub_stub import HubStub

with tempfile.TemporaryDirectory() as home, HubStub() as hub:
    variables = hub.environment(Path(home), inherit={})
    print(" ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items()), flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        sys.exit(0)
