"""What is kept for the next time, listed and removed."""

from pathlib import Path

import pytest

from tests.hub.conftest import Failed

CHECKPOINT = Path(__file__).parents[1] / "hub" / "frozen" / "format_1"
WITH_CACHE = """
import os
before = os.environ["CATE_HF_CACHE"]
os.environ["CATE_HF_CACHE"] = folder
try:
    names = {}
    exec(asked, names)
    result = names.get("result")
finally:
    os.environ["CATE_HF_CACHE"] = before
"""
LIST = (
    "from cate_hf.publishing.cache import cache_entries; result = [[e.name, e.kind, e.bytes] for e in cache_entries()]"
)
VERB = """
import typer
from typer.testing import CliRunner
from cate_hf.commands import _hub as hub
app = typer.Typer()
app.command()(hub.cache)
ran = CliRunner().invoke(app, {arguments!r})
if ran.exception is not None:
    raise ran.exception
result = ran.stdout
"""


def test_entries_are_listed_and_removed(hub, client, tmp_path):
    def ask(asked: str):
        return client.run(WITH_CACHE, folder=str(tmp_path / "own"), asked=asked)

    def cache(*arguments: str) -> str:
        return ask(VERB.format(arguments=list(arguments)))

    assert ask(LIST) == []
    assert "0 entries" in cache()
    assert "0 entries" in cache("--clear")
    with pytest.raises(Failed, match="the cache is empty"):
        cache("--remove", "x")
    (tmp_path / "own" / "datasets").mkdir(parents=True)
    (tmp_path / "own" / "datasets" / "a").write_bytes(b"123")
    (tmp_path / "own" / "pool.parquet").write_bytes(b"12345")
    for name in ("someone/one", "someone/two"):
        hub.repository(name).upload(CHECKPOINT)
        client.run("from cate_hf.hub.download import download_checkpoint; download_checkpoint(name)", name=name)
    size = sum(path.stat().st_size for path in CHECKPOINT.iterdir())
    listed = [["datasets", "computed", 3], ["pool.parquet", "computed", 5]]
    listed += [[name, "encoder", size] for name in ("someone/one", "someone/two")]
    assert ask(LIST) == listed
    assert all(name in cache() for name, *_ in listed)
    with pytest.raises(Failed, match="unknown entry of the cache 'someone/one2'; did you mean 'someone/one'"):
        cache("--remove", "datasets", "--remove", "someone/one2")
    assert "removed 2 entries" in cache("--remove", "datasets", "--remove", "someone/one")
    assert ask(LIST) == [listed[1], listed[3]]
    assert not list(client.home.glob("hub/models--someone--one/blobs/*"))
    assert "removed 2 entries" in cache("--clear")
    assert ask(LIST) == []
