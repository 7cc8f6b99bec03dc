"""The app's folder as a Space, on a Hub of the loopback interface."""

import re

import pytest
from huggingface_hub import SpaceCard

from cate_hf import __version__
from cate_hf.publishing.space import SPACE_FILES, publish_space, write_space
from tests.hub.conftest import Failed

PUBLISH = """
from dataclasses import asdict
from cate_hf.publishing.space import publish_space
result = asdict(publish_space(repo, **options))
"""


def test_the_folder(tmp_path):
    folder = write_space(
        tmp_path / "space", title="It's: a Space", package="cate_hf[app] @ git+https://example.org/cate"
    )
    assert sorted(path.name for path in folder.iterdir()) == sorted(SPACE_FILES)
    card = SpaceCard((folder / "README.md").read_text()).data
    assert (card.title, card.sdk, card.app_file, card.license) == ("It's: a Space", "gradio", "app.py", "apache-2.0")
    assert re.fullmatch(r"6\.\d+\.\d+", card.sdk_version)
    assert len(card.short_description) <= 60  # the Hub takes no longer one
    assert (folder / "requirements.txt").read_text() == "cate_hf[app] @ git+https://example.org/cate\n"
    compile((folder / "app.py").read_text(), "app.py", "exec")
    from cate_hf.app import launch

    assert "from cate_hf.app import launch" in (folder / "app.py").read_text()
    assert callable(launch)


def test_a_space_is_published_in_one_commit_and_once(hub, client):
    first = client.run(PUBLISH, repo="someone/app", options={})
    assert first["url"] == f"{hub.url}/spaces/someone/app"
    assert first["changed"]
    served = hub.repository("someone/app", "spaces").files()
    assert set(served) == set(SPACE_FILES)
    assert served["requirements.txt"].content.decode() == f"cate_hf[app]=={__version__}\n"
    assert not client.run(PUBLISH, repo="someone/app", options={})["changed"]
    changed = client.run(PUBLISH, repo="someone/app", options={"title": "Another"})
    assert changed["changed"]
    assert len(hub.repository("someone/app", "spaces").commits) == 3


def test_a_dry_run_sends_nothing(hub, client):
    dry = client.run(PUBLISH, repo="someone/app", options={"dry_run": True})
    assert (dry["url"], set(dry["files"])) == (None, set(SPACE_FILES))
    assert not hub.repositories


def test_what_is_refused(hub, client):
    with pytest.raises(ValueError, match="expected owner/name"):
        publish_space("nothing")
    with pytest.raises(ValueError, match="expected one line"):
        publish_space("someone/app", package="a\nb", dry_run=True)
    with pytest.raises(Failed, match="someone-else/app"):
        client.run(PUBLISH, repo="someone-else/app", options={})
