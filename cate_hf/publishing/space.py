"""The app as a Space of the Hub: a folder of three files, made from nothing but this package's version."""

import os
import tempfile
from pathlib import Path

from cate_hf.hub.upload import upload_folder
from cate_hf.publishing.publish import Published, check_repo_id

__all__ = ["publish_space", "write_space"]

SPACE_FILES = ("app.py", "requirements.txt", "README.md")
_APP = '''"""The app of cate_hf, as a Space: see README.md."""

from cate_hf.app import launch

launch(host="0.0.0.0", port=7860)
'''
_README = """---
title: {title}
emoji: 🕸️
colorFrom: blue
colorTo: green
sdk: gradio
sdk_version: {gradio}
python_version: "3.11"
app_file: app.py
license: apache-2.0
short_description: See, compare and predict neural architectures
tags:
- neural-architecture-search
- architecture-encoding
---

# {title}

The app of [cate_hf](https://arxiv.org/abs/2102.07108): look at a neural architecture, find what lies near it, predict
its accuracy and see why, race searches, and learn from a table of results of your own.

It runs on two CPU cores with the checkpoints that come with the package. Uploaded files are read, never run, are seen
by nobody else, and are removed after an hour. At home: `pip install "cate_hf[app]"` and `cate app`.
"""
_GRADIO = "6.31.0"  # where none is installed here to name the version of


def write_space(
    folder: str | os.PathLike, title: str = "Neural architectures as vectors", package: str | None = None
) -> Path:
    """Write the folder of a Space: app.py, requirements.txt and README.md.

    Args:
        folder: to write to; made where it does not exist.
        title: of the Space.
        package: how pip installs cate_hf there, such as "cate_hf[app] @ git+https://..."; this version by its name when
            None.

    Raises:
        ValueError: a title or a requirement of more than one line.
    """
    from cate_hf import __version__

    requirement = package or f"cate_hf[app]=={__version__}"
    for name, text in (("title", title), ("package", requirement)):
        if not text.isprintable() or not text.strip():
            raise ValueError(f"{name} {text!r:.60}: expected one line of text")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    quoted = title if title.replace(" ", "").isalnum() else "'" + title.replace("'", "''") + "'"
    readme = _README.replace("{gradio}", _version()).replace("title: {title}", f"title: {quoted}")
    readme = readme.replace("{title}", title)
    for name, text in zip(SPACE_FILES, (_APP, f"{requirement}\n", readme), strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def publish_space(
    repo_id: str,
    title: str = "Neural architectures as vectors",
    package: str | None = None,
    private: bool = False,
    revision: str | None = None,
    dry_run: bool = False,
) -> Published:
    """Publish the app as a Space, in one commit; without changes none is made.

    Args:
        repo_id: "owner/name"; made where it does not exist.
        title, package: as `write_space` takes them.
        private: when it is made.
        revision: branch to commit to, made where it does not exist.
        dry_run: nothing is sent.

    Raises:
        ValueError: a name or title that cannot be, or the Hub refuses (HubError).
    """
    check_repo_id(repo_id)
    with tempfile.TemporaryDirectory(prefix="cate-space-") as temporary:
        folder = write_space(Path(temporary) / "space", title, package)
        files = {name: (folder / name).stat().st_size for name in sorted(SPACE_FILES)}
        if dry_run:
            return Published(repo_id, files, ())
        return Published(repo_id, files, (), *upload_folder(folder, repo_id, SPACE_FILES, "space", private, revision))


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gradio")
    except PackageNotFoundError:
        return _GRADIO
