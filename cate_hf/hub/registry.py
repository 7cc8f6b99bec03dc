"""The encoders that are known by name: their repositories, pinned to a revision and to the SHA-256 of each file.

`python -m cate_hf.hub.registry` writes registry.json from the bundled checkpoints; `--revision NAME=COMMIT` pins a name
to the commit that `cate publish` printed.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cate_hf.core.files import atomic_output, sha256_of
from cate_hf.core.names import unknown
from cate_hf.hub.layout import CARD, add_remote_code, bundled_path, checkpoint_names

NAMESPACE_VARIABLE = "CATE_HF_NAMESPACE"
_DEFAULT_NAMESPACE = "cate-hf"
_FILE = Path(__file__).with_name("registry.json")


@dataclass(frozen=True)
class RegisteredEncoder:
    """An encoder that has a name.

    Attributes:
        repository: name of its repository, without the namespace.
        revision: commit that it is pinned to; None while it is published under no known commit.
        sha256: in hexadecimal, of each of its files but the card and the code, which is neither run nor copied.
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


def published_digests(name: str) -> dict[str, str]:
    """Return the SHA-256 of each file that `cate publish` sends of a bundled checkpoint, but the card and the code."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / name
        shutil.copytree(bundled_path(name), folder)
        add_remote_code(folder)  # which changes the configurations
        files = sorted(path for path in folder.iterdir() if path.suffix != ".py" and path.name != CARD)
        return {path.name: sha256_of(path) for path in files}


def register_bundled(revisions: Mapping[str, str]) -> dict[str, dict]:
    """Return the entries of the bundled checkpoints.

    A revision that is not given stays as long as the files do.

    Raises:
        ValueError: a revision of a name that is not bundled, or one that is not the 40 digits of a commit.
    """
    for name, revision in revisions.items():
        if name not in checkpoint_names():
            raise unknown("bundled checkpoint", name, checkpoint_names())
        if not re.fullmatch("[0-9a-f]{40}", revision):
            raise ValueError(f"revision of {name}: expected the 40 hexadecimal digits of a commit, not {revision!r}")
    before, entries = registered_encoders(), {}
    for name in checkpoint_names():
        sha256 = published_digests(name)
        known = before.get(name)
        kept = known.revision if known and known.sha256 == sha256 else None
        entries[name] = {
            "repository": f"cate-{name}",
            "revision": revisions.get(name, kept),
            "sha256": sha256,
        }
    return entries


def main(arguments: list[str] | None = None) -> int:
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
