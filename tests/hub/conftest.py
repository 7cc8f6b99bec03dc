"""A Hub on the loopback interface, and a process in which its clients run: HF_ENDPOINT is read at their import."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub_stub import HubStub

# Runs pieces of code, a JSON line each, and answers with a line: {"result"} or {"error", "message"}, and {"warnings"}.
_CLIENT = """
import io, json, sys, warnings, contextlib

answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    names = json.loads(line)
    answer = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(names.pop("code"), names)
            answer["result"] = names.get("result")
        except SystemExit as error:
            answer |= {"error": "SystemExit", "message": str(error)}
        except Exception as error:
            answer |= {"error": type(error).__name__, "message": str(error)}
    answer["warnings"] = [str(w.message) for w in caught]
    print(json.dumps(answer), file=answers, flush=True)
"""


class Failed(Exception):
    """What the code in the client raised."""

    def __init__(self, kind: str, message: str):
        super().__init__(f"{kind}: {message}")
        self.kind, self.message = kind, message


class Client:
    """A process with an own cache of huggingface_hub at `home`."""

    def __init__(self, hub: HubStub, home: Path, **variables: str):
        self.home, self.log = home, home.with_suffix(".log")
        self.warnings: list[str] = []
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _CLIENT],
                env=hub.environment(home) | variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def send(self, code: str, **names: object) -> None:
        self.process.stdin.write(json.dumps({"code": code, **names}) + "\n")
        self.process.stdin.flush()

    def receive(self) -> object:
        answer = json.loads(self.process.stdout.readline())
        self.warnings = answer["warnings"]
        if "error" in answer:
            raise Failed(answer["error"], answer["message"])
        return answer.get("result")

    def run(self, code: str, **names: object) -> object:
        """Execute code with these names; returns what it set `result` to. Raises Failed."""
        self.send(code, **names)
        return self.receive()

    def forget(self) -> None:
        """Empty its cache."""
        shutil.rmtree(self.home, ignore_errors=True)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="session")
def running_hub():
    with HubStub() as hub:
        yield hub


@pytest.fixture
def hub(running_hub) -> HubStub:
    running_hub.reset()
    yield running_hub
    running_hub.faults.clear()


@pytest.fixture(scope="session")
def running_client(running_hub, tmp_path_factory):
    # Less patience than the default of 10 seconds, so that tests of stalls are short; enough for a machine under load.
    patience = {"HF_HUB_DOWNLOAD_TIMEOUT": "4", "HF_HUB_ETAG_TIMEOUT": "4"}
    client = Client(running_hub, tmp_path_factory.mktemp("client") / "home", **patience)
    yield client
    client.close()


@pytest.fixture
def client(hub, running_client) -> Client:
    running_client.forget()
    return running_client
