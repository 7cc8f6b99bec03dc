"""The encoders that are known by name: their repositories, pinned to a revision and to the SHA-256 of each file.

registry.json is written by `python -m cate_hf.hub.registry` from the bundled checkpoints; with `--revision NAME=COMMIT`
a name is pinned to the commit that `cate publish` told.
"""

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NAMESPACE_VARIABLE = "CATE_HF_NAMESPACE"
_DEFAULT_NAMESPACE = "cate-hf"
_FILE = Path(__file__).with_name("registry.json")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class RegisteredEncoder:
    """An encoder that has a name.

    Attributes:
        repository: name of its repository, without the namespace.
        revision: commit that it is pinned to; None while it is published under no known commit.
        sha256: of each of its files but the card, in hexadecimal.
    """

    name: str
    repository: str
    revision: str | None
    sha256: Mapping[str, str]

    @property
    def repo_id(self) -> str:
        return f"{namespace()}/{self.repository}"


def namespace() -> str:
    """Owner of the repositories of encoders with a name: $CATE_HF_NAMESPACE, or the project's own."""
    return os.environ.get(NAMESPACE_VARIABLE) or _DEFAULT_NAMESPACE


@cache
def registered_encoders() -> dict[str, RegisteredEncoder]:
    """Name → what is registered under it."""
    entries = json.loads(_FILE.read_text(encoding="utf-8")) if _FILE.is_file() else {}
    return {name: RegisteredEncoder(name, **entry) for name, entry in entries.items()}


def file_sha256(path: str | os.PathLike) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def git_blob_id(path: str | os.PathLike) -> str:
    """SHA-1 that git names a file's content by; the Hub tells it of files outside of large file storage."""
    digest = hashlib.sha1(b"blob %d\0" % os.path.getsize(path))
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def register_bundled(revisions: Mapping[str, str]) -> dict[str, dict]:
    """The entries of the bundled checkpoints. A revision that is not given stays while the files do.

    Raises:
        ValueError: a revision of a name that is not bundled, or one that is not the 40 digits of a commit.
    """
    from cate_hf.core.names import unknown
    from cate_hf.hub.layout import CARD, checkpoint_names
    from cate_hf.hub.load import checkpoint_path

    for name, revision in revisions.items():
        if name not in checkpoint_names():
            raise unknown("bundled checkpoint", name, checkpoint_names())
        if not re.fullmatch("[0-9a-f]{40}", revision):
            raise ValueError(f"revision of {name}: expected the 40 hexadecimal digits of a commit, not {revision!r}")
    before, entries = registered_encoders(), {}
    for name in checkpoint_names():
        files = sorted(path for path in checkpoint_path(name).iterdir() if path.is_file() and path.name != CARD)
        sha256 = {path.name: file_sha256(path) for path in files}
        known = before.get(name)
        kept = known.revision if known and known.sha256 == sha256 else None
        entries[name] = {
            "repository": f"cate-{name}",
            "revision": revisions.get(name, kept),
            "sha256": sha256,
        }
    return entries


def main(arguments: list[str] | None = None) -> int:
    from cate_hf.core.files import atomic_output

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revision", action="append", default=[], metavar="NAME=COMMIT")
    parser.add_argument("--output", type=Path, default=_FILE, help="default: the package's own file")
    options = parser.parse_args(arguments)
    try:
        entries = register_bundled(dict(pin.partition("=")[::2] for pin in options.revision))
        with atomic_output(options.output, overwrite=True) as temporary:
            temporary.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {options.output}: {', '.join(entries)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
