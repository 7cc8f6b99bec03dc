"""What goes wrong between a client and the Hub: the table of docs/reference/hub_faults.md, each row over sockets.

The clients are those of huggingface_hub as they are; each fault is one of the stub's.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hub.conftest import Failed
from tests.hub_stub import READER_TOKEN, WRITER_TOKEN, Fault, File

CHECKPOINT = Path(__file__).with_name("frozen") / "format_1"
DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "hub_faults.md"
REPO = "someone/enc"
WEIGHTS = "lfs-download"  # where the stub keeps large files
FETCH = "from cate_hf.hub.download import download_checkpoint; result = str(download_checkpoint(repo, revision))"


@pytest.fixture
def repo(hub):
    hub.repository(REPO).upload(CHECKPOINT)
    return REPO


def fetch(client, repo: str = REPO, revision: str | None = None) -> Path:
    return Path(client.run(FETCH, repo=repo, revision=revision))


def spoil(content: bytes) -> bytes:
    """Of the same length, with another last bit."""
    return content[:-1] + bytes([content[-1] ^ 1])


def check_whole(folder: Path) -> None:
    """All files of the checkpoint, equal byte by byte."""
    for path in CHECKPOINT.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes(), path.name


def check_nothing_wrong_is_kept(client) -> None:
    """No file in the cache has other bytes than the repository's."""
    good = {path.read_bytes() for path in CHECKPOINT.iterdir()}
    blobs = [path for path in client.home.glob("hub/models--*/blobs/*") if path.is_file()]
    assert all(path.read_bytes() in good for path in blobs)


# Fault → what the message says. After each a run without fault completes.
REFUSED = {
    "404": (Fault("/api/models", status=404, headers={"X-Error-Code": "RepoNotFound"}), "not found; check the name"),
    "401": (
        Fault("/api/models", status=401, headers={"X-Error-Message": "Invalid credentials in Authorization header"}),
        "no token that is accepted (401)",
    ),
    "403": (Fault("/api/models", status=403), "forbidden (403); the token in use lacks the right"),
    "gated": (
        Fault("resolve", status=403, headers={"X-Error-Code": "GatedRepo"}),
        "config.json: access is restricted; ask for it on its page",
    ),
    "429 with Retry-After": (
        Fault("/api/models", status=429, headers={"Retry-After": "77"}),
        "too many requests (429); run it again in 77 seconds",
    ),
    "500 of the listing": (Fault("/api/models", status=500), "the Hub failed (500); run it again later"),
    "503 of the weights": (
        Fault(WEIGHTS, status=503),
        "model.safetensors: the Hub failed (503); run it again later",
    ),
    "connection closed without an answer": (Fault("/api/models", hang_up=True), "the connection failed"),
    "listing that stalls": (Fault("/api/models", stall_at=10), "the connection failed (timed out)"),
    "listing cut": (Fault("/api/models", cut_at=100), "the connection failed"),
    "listing that is not JSON": (
        Fault("/api/models", with_body=lambda body: b"<html>" + body[6:]),
        "an answer that is not JSON; check HF_ENDPOINT",
    ),
    "listing of another form": (
        Fault("/api/models", with_body=lambda body: b"[]".ljust(len(body))),
        "an answer that is not one of the Hub",
    ),
    "file without ETag": (
        Fault("resolve.*vocab.json", with_headers={"ETag": None}),
        "vocab.json: not an answer of the Hub",
    ),
    "wrong ETag": (
        Fault("resolve.*vocab.json", with_headers={"ETag": f'"{"0" * 40}"'}),
        "vocab.json: not the content that the Hub lists",
    ),
    "file of another commit": (
        Fault("resolve.*safetensors", with_headers={"X-Repo-Commit": "0" * 40}),
        "changed while it was downloaded; run it again",
    ),
    "wrong length announced": (
        Fault("resolve.*safetensors", with_headers={"X-Linked-Size": "40000"}),
        "model.safetensors: of another length than the Hub says",
    ),
    "shorter file": (
        Fault(WEIGHTS, with_body=lambda body: body[:500], with_headers={"Content-Length": "500"}),
        "model.safetensors: of another length than the Hub says",
    ),
    "wrong bytes of the weights": (
        Fault(WEIGHTS, with_body=lambda body: spoil(body)),
        "model.safetensors: not the content that the Hub lists",
    ),
    "wrong bytes of a small file": (
        Fault("resolve.*vocab.json", with_body=lambda body: spoil(body)),
        "vocab.json: not the content that the Hub lists",
    ),
    "wrong bytes of code": (
        Fault("resolve.*config.json", with_body=lambda body: body.replace(b"cate", b"evil", 1)),
        "config.json: not the content that the Hub lists",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_fault_is_told_in_one_line_and_a_run_without_it_completes(hub, client, repo, name):
    fault, message = REFUSED[name]
    fault.met = 0
    hub.faults[:] = [fault]
    with pytest.raises(Failed) as caught:
        fetch(client)
    assert fault.met
    assert caught.value.kind == "HubError"
    assert message in caught.value.message
    assert f"model {REPO} on the Hub" in caught.value.message
    assert "\n" not in caught.value.message
    assert WRITER_TOKEN not in caught.value.message
    check_nothing_wrong_is_kept(client)
    hub.faults.clear()
    check_whole(fetch(client))


# Faults that the client gets over by itself, within one run.
OVERCOME = {
    "500 of a file, once": Fault("resolve.*config.json", status=500, times=1),
    "429 of the weights with Retry-After, once": Fault(WEIGHTS, status=429, headers={"Retry-After": "0"}, times=1),
    "cut": Fault(WEIGHTS, cut_at=1000, times=1),
    "cut of a small file": Fault("resolve.*config.json", "GET", cut_at=1, times=1),
    "stall": Fault(WEIGHTS, stall_at=1000, times=1),
    "slow drip": Fault(WEIGHTS, drip=3000, pause=0.02),
}


@pytest.mark.parametrize("name", OVERCOME)
def test_a_passing_fault_is_overcome(hub, client, repo, name):
    OVERCOME[name].met = 0
    hub.faults[:] = [OVERCOME[name]]
    check_whole(fetch(client))
    assert OVERCOME[name].met


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0, 1), name=st.sampled_from([path.name for path in CHECKPOINT.iterdir()]))
def test_a_download_cut_at_any_byte_completes(hub, client, part, name):
    hub.reset()
    hub.repository(REPO).upload(CHECKPOINT)
    client.forget()
    at = min(int(part * (CHECKPOINT / name).stat().st_size), (CHECKPOINT / name).stat().st_size - 1)
    path = WEIGHTS if name == "model.safetensors" else f"resolve.*{name}"
    hub.faults[:] = [Fault(path, "GET", cut_at=at, times=1)]
    check_whole(fetch(client))
    assert hub.faults[0].met == 1


def test_a_redirect_to_another_host_does_not_get_the_token(hub, client, repo):
    hub.faults[:] = [Fault(r"^/api/models", redirect=f"{hub.storage_url}/elsewhere")]
    with pytest.raises(Failed, match="not found"):
        fetch(client)
    hub.faults[:] = [Fault(r"/resolve/.*vocab.json", redirect=f"{hub.storage_url}/elsewhere")]
    with pytest.raises(Failed, match="vocab.json"):
        fetch(client)
    hub.faults.clear()
    check_whole(fetch(client))
    elsewhere = [r for r in hub.requests if r.path.startswith(("/elsewhere", f"/{WEIGHTS}"))]
    assert len(elsewhere) >= 2
    assert all(r.token is None for r in elsewhere)
    assert any(r.token == WRITER_TOKEN for r in hub.requests)


def test_private_gated_and_absent_repositories(hub, client, repo):
    hub.repository("other/private", private=True).upload(CHECKPOINT)
    hub.repository("other/gated", gated=True).upload(CHECKPOINT)
    hub.repository("other/pickled").commit({"config.json": File(b"{}"), "pytorch_model.bin": File(b"x")}, "m")
    hub.repository("other/data").commit({"README.md": File(b"x")}, "m")
    climbing = {path.name: File.of(path.name, path.read_bytes()) for path in CHECKPOINT.iterdir()}
    hub.repository("other/climbs").commit(climbing | {"../config.json": File(b"{}")}, "m")
    for name, message in {
        "other/private": "not found; check the name, or, if it is private",
        "other/gated": "config.json: access is restricted",
        "other/absent": "not found",
        "other/pickled": "no model.safetensors; pytorch_model.bin is a pickle, which is never loaded",
        "other/data": "no config.json, so this is not a checkpoint of CATE",
        "other/climbs": "'../config.json' is not the name of a file inside it",
    }.items():
        with pytest.raises(Failed) as caught:
            fetch(client, name)
        assert message in caught.value.message, name
    with pytest.raises(Failed, match="no such revision"):
        fetch(client, revision="absent")
    assert not list(client.home.rglob("pytorch_model.bin"))


def test_damage_in_the_cache_is_found_and_mended(hub, client, repo):
    folder = fetch(client)
    commit = folder.name
    for name in ("model.safetensors", "vocab.json"):
        blob = (folder / name).resolve()
        blob.write_bytes(spoil(blob.read_bytes()))
        check_whole(fetch(client, revision=commit))
        (folder / name).resolve().unlink()
        check_whole(fetch(client, revision=commit))
    blob = (folder / "model.safetensors").resolve()
    blob.write_bytes(spoil(blob.read_bytes()))
    hub.faults[:] = [Fault(status=500)]
    with pytest.raises(Failed, match="damaged in the cache, and removed; run it again when"):
        fetch(client)
    hub.faults.clear()
    check_whole(fetch(client))


def test_without_the_hub_the_cache_serves(hub, client, repo):
    folder = fetch(client)
    hub.faults[:] = [Fault(status=503)]
    assert fetch(client) == folder
    assert "taken from the cache instead" in client.warnings[0]
    hub.requests.clear()
    assert fetch(client, revision=folder.name) == folder  # a commit: nobody is asked
    assert not hub.requests


def test_two_processes_download_one_model_at_once(hub, client, repo, tmp_path):
    hub.faults[:] = [Fault(WEIGHTS, drip=2000, pause=0.02)]
    code = f"repo, revision = {REPO!r}, None; {FETCH}; print(result)"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=hub.environment(tmp_path / "home"), stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    folders = [Path(process.communicate(timeout=120)[0].strip()) for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert folders[0] == folders[1]
    check_whole(folders[0])


def test_a_download_that_is_killed_completes_when_it_is_run_again(hub, client, repo, tmp_path):
    hub.faults[:] = [Fault(WEIGHTS, stall_at=5000)]
    code = f"repo, revision = {REPO!r}, None; {FETCH}"
    victim = subprocess.Popen([sys.executable, "-c", code], env=hub.environment(client.home))
    while not hub.faults[0].met:
        assert victim.poll() is None
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    hub.faults[:] = [Fault(status=503)]
    with pytest.raises(Failed):  # what is there is not whole, and not taken for it
        fetch(client)
    hub.faults.clear()
    hub.requests.clear()
    check_whole(fetch(client))
    assert not [path for path in hub.paths("GET") if path.endswith("vocab.json")]  # it was kept


def test_a_full_disk_is_told_and_a_run_with_room_completes(hub, client, repo):
    limited = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing then fails as on a disk without room
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
try:
    from cate_hf.hub.download import download_checkpoint
    download_checkpoint(repo)
finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
"""
    with pytest.raises(Failed) as caught:
        client.run(limited, repo=REPO)
    assert caught.value.kind == "OSError"
    assert "model.safetensors: no room on the disk" in caught.value.message
    assert "set HF_HOME to another place" in caught.value.message
    check_nothing_wrong_is_kept(client)
    check_whole(fetch(client))


def test_tokens_are_in_no_message_and_no_file(hub, client, repo):
    hub.faults[:] = [Fault("/api/models", status=400, headers={"X-Error-Message": f"bad token {READER_TOKEN}"})]
    with pytest.raises(Failed) as caught:
        fetch(client)
    assert READER_TOKEN not in caught.value.message
    hub.faults.clear()
    fetch(client)
    for path in client.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert WRITER_TOKEN.encode() not in content, path
    log = client.log.read_text()
    assert WRITER_TOKEN not in log
    assert READER_TOKEN not in log


def test_secrets_are_taken_out_of_texts(monkeypatch):
    from cate_hf.hub.errors import without_secrets

    monkeypatch.setenv("HF_TOKEN", "of-another-form")
    text = (
        "hf_abcdefghijklmnop of-another-form Authorization: Bearer abc.def-ghi 'authorization': 'Bearer abcdefgh' "
        "https://user:secret@host/x?X-Amz-Signature=0123abcd&y=1"
    )
    shown = without_secrets(text)
    for secret in ("hf_abc", "of-another-form", "abc.def", "abcdefgh", "secret", "0123abcd"):
        assert secret not in shown, secret
    assert "y=1" in shown


def test_the_document_lists_what_is_tested_here():
    """Each row of the tables of faults is a case above, and each case a row."""
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", DOCUMENT.read_text(encoding="utf-8"), re.M)
    told = {fault: outcome for fault, outcome in rows if fault not in ("fault", "---", "meets")}
    for name, (_, message) in REFUSED.items():
        assert message in told[name], name
    for name in OVERCOME:
        assert "overcome" in told[name], name
    assert set(told) >= {*REFUSED, *OVERCOME}
