"""Tokens planted in the environment and in the cache are in nothing that commands say, log or write."""

import pytest

from tests.hub.conftest import Client
from tests.hub_stub.faults import Fault
from tests.tiny import save_tiny

PLANTED = "hf_plantedPLANTEDplantedPLANTED12"
STORED = "hf_storedSTOREDstoredSTOREDstore12"
REPO = "someone/encoder"

# A command as `cate` runs it, with all that it puts out.
_COMMAND = """
import contextlib, io, os, traceback
import cate_hf.cli
os.environ.pop("CATE_DEBUG", None)
if debug:
    os.environ["CATE_DEBUG"] = "1"
out = io.StringIO()
with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
    try:
        code = cate_hf.cli.main(arguments)
    except BaseException:
        traceback.print_exc()
        code = -1
result = [code, out.getvalue()]
"""
# An answer that tells back what it was sent, as a proxy may do.
ECHO = {"X-Error-Message": f"Authorization: Bearer {PLANTED} and {STORED} were not accepted"}
FAULTS = {
    "nothing": None,
    "401": Fault(status=401, headers=ECHO, body=f'{{"error": "token {PLANTED}"}}'.encode()),
    "403": Fault(status=403, headers=ECHO, body=f'{{"error": "token {STORED}"}}'.encode()),
    "400": Fault(status=400, headers=ECHO, body=PLANTED.encode()),
    "418": Fault(status=418, headers=ECHO),
    "404": Fault(status=404, headers=ECHO),
    "an answer that is no JSON": Fault(status=200, body=f"<html>{PLANTED}</html>".encode()),
    "a redirect with the token in it": Fault(redirect=f"http://127.0.0.1:9/?token={PLANTED}"),
    "no answer": Fault(hang_up=True),
}


@pytest.fixture(scope="module", params=["environment", "cache"])
def planted(request, running_hub, tmp_path_factory):
    """A client that has its token from HF_TOKEN, or from the file of `hf auth login`."""
    home = tmp_path_factory.mktemp("tokens") / "home"
    home.mkdir()
    (home / "token").write_text(STORED)
    (home / "stored_tokens").write_text(f"[mine]\nhf_token = {STORED}\n")
    kept = {PLANTED: {"name": "someone", "write": True}, STORED: {"name": "someone", "write": True}}
    running_hub.users |= kept
    token = PLANTED if request.param == "environment" else ""
    patience = {"HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_VERBOSITY": "debug"}
    client = Client(running_hub, home, HF_TOKEN=token, **patience)
    yield client, token or STORED
    client.close()
    for name in kept:
        running_hub.users.pop(name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("published") / "tiny")


@pytest.mark.long
def test_tokens_are_nowhere(planted, hub, folder, tmp_path):
    client, token = planted
    said = []

    def run(*arguments: object, debug: bool = False) -> int:
        code, text = client.run(_COMMAND, arguments=[str(word) for word in arguments], debug=debug)
        said.append((arguments, text))
        return code

    assert run("publish", folder, REPO) == 0
    assert token in {request.token for request in hub.requests}  # so it was in use
    assert run("card", folder) == 0
    assert run("models") == 0
    for name, fault in FAULTS.items():
        hub.faults[:] = [] if fault is None else [fault]
        for debug in (False, True):
            output = tmp_path / f"{name}-{debug}"
            code = run("download", REPO, "--output", output, debug=debug)
            assert code == (0 if fault is None else -1 if debug else 2), (name, said[-1])
            if fault is not None:
                assert run("publish-dataset", folder, REPO) == 2
                client.run("import shutil, os; shutil.rmtree(os.path.join(os.environ['HF_HOME'], 'hub'), True)")
    hub.faults.clear()
    client.run("result = 0", padding="")  # the log is written
    texts = [*said, ("log", client.log.read_text())]
    for secret in (PLANTED, STORED):
        for command, text in texts:
            assert secret not in text, (command, text)
        for root in (client.home, tmp_path, folder):
            for path in root.rglob("*"):
                if path.is_file() and path.name not in ("token", "stored_tokens"):
                    assert secret.encode() not in path.read_bytes(), path
