"""Register the bundled checkpoints: write cate_hf/hub/registry.json from their folders.

    python bench/register_checkpoints.py [--revision NAME=COMMIT ...]

A revision pins a name to the commit that `cate publish` printed.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cate_hf.core._files import atomic_output, sha256_of
from cate_hf.core._names import unknown
from cate_hf.hub._layout import CARD, add_remote_code, bundled_path, checkpoint_names
from cate_hf.hub._registry import REGISTRY_FILE, registered_encoders


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
    parser.add_argument("--output", type=Path, default=REGISTRY_FILE, help="default: the package's own file")
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
