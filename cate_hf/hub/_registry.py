"""The encoders that are known by name: their repositories, pinned to a revision and to the SHA-256 of each file.

`bench/register_checkpoints.py` writes registry.json from the bundled checkpoints.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["registered_encoders"]

NAMESPACE_VARIABLE = "CATE_HF_NAMESPACE"
_DEFAULT_NAMESPACE = "cate-hf"
REGISTRY_FILE = Path(__file__).with_name("registry.json")


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
    entries = json.loads(REGISTRY_FILE.read_text(encoding="utf-8")) if REGISTRY_FILE.is_file() else {}
    return {name: RegisteredEncoder(name, **entry) for name, entry in entries.items()}
