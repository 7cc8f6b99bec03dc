"""The app on small samples of the spaces, and browsers on it."""

import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from cate_hf.app import _shared as shared

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
_ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session", autouse=True)
def small():
    """Small samples and few labels, in place of those that the app has; nothing of it is made before."""
    before = shared.SAMPLE, shared.LABELS
    shared.SAMPLE, shared.LABELS = 400, 30
    yield
    shared.SAMPLE, shared.LABELS = before


@pytest.fixture(autouse=True)
def on_this_machine(monkeypatch):
    """No connection of this process to another machine is made, or tried."""
    tried, connect = [], socket.socket.connect

    def watched(own, address):
        if own.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            tried.append(address)
            raise OSError(f"not to {address}")
        return connect(own, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    yield
    assert tried == []


@pytest.fixture
def results(tmp_path) -> Path:
    """A table of results of NAS-Bench-201."""
    from cate_hf import get_space, load_benchmark

    table = get_space("nasbench201").sample(40, seed=3)
    values = load_benchmark("nasbench201").query_many(table, "validation_accuracy")
    lines = [f'"{cell}",{value}\n' for cell, value in zip(table.columns["cell"], values, strict=True)]
    path = tmp_path / "results.csv"
    path.write_text("architecture,accuracy\n" + "".join(lines))
    return path


@pytest.fixture(scope="module")
def served():
    """The page, served from this process; it has the attribute `local_url`."""
    pytest.importorskip("gradio", reason="no Gradio: pip install 'cate_hf[app]'")
    from cate_hf.app import _serving as serving

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "warm_up", lambda: None)  # what is not clicked is not made
        page = serving.launch(wait=False)
    yield page
    page.close()


@pytest.fixture(scope="module")
def chromium():
    """A browser; each of its contexts is a visitor."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    os.environ["PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD"] = "1"
    with playwright.sync_playwright() as driver, tempfile.TemporaryDirectory() as profile:
        # The profile is fresh: what launch() makes by itself is too.
        browser = driver.chromium.launch(executable_path=path, args=[*_ARGUMENTS, f"--disk-cache-dir={profile}"])
        yield browser
        browser.close()


@pytest.fixture
def visitor(served, chromium):
    """Make a visitor's page by its width; `hosts` are those that it asked, `errors` those of its scripts."""
    contexts = []

    def visit(width: int = 1280):
        context = chromium.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.hosts, page.errors = set(), []
        page.on("request", lambda request: page.hosts.add(request.url.split("/")[2]))
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.goto(served.local_url)
        page.wait_for_selector("#look-go")
        return page

    yield visit
    for context in contexts:
        context.close()
