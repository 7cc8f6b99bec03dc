"""What is kept for the next time: what was computed, in the package's cache folder, and downloaded encoders."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from cate_hf.core._names import unknown
from cate_hf.graphs._cache import cache_folder

__all__ = ["cache_entries", "remove_entries"]


@dataclass(frozen=True)
class CacheEntry:
    """Something that can be made or downloaded again.

    Attributes:
        name: of a file or folder in the package's cache folder, or a repository id.
        kind: "computed" or "encoder".
        bytes: on disk.
    """

    name: str
    kind: str
    bytes: int
    path: Path


def cache_entries() -> list[CacheEntry]:
    """All that is kept, the computed first, by name."""
    root = cache_folder()
    entries = [
        CacheEntry(path.name, "computed", _size(path), path)
        for path in (sorted(root.iterdir()) if root.is_dir() else ())
        if not path.name.startswith(".")
    ]
    return entries + [
        CacheEntry(repo.repo_id, "encoder", repo.size_on_disk, Path(repo.repo_path)) for repo in _encoders()
    ]


def _size(path: Path) -> int:
    files = (path,) if path.is_file() else (Path(at) / name for at, _, names in os.walk(path) for name in names)
    return sum(file.lstat().st_size for file in files)


def _encoders() -> list:
    """Repositories of CATE in the cache of huggingface_hub."""
    from cate_hf.publishing.models import cached_repositories

    return [repo for repo, _ in cached_repositories()]


def remove_entries(names: list[str]) -> list[CacheEntry]:
    """Remove entries by name; returns them.

    Raises:
        ValueError: there is none of that name; nothing has been removed then.
    """
    from huggingface_hub import scan_cache_dir

    entries = {entry.name: entry for entry in cache_entries()}
    for name in names:
        if name not in entries:
            raise unknown("entry of the cache", name, entries) if entries else ValueError("the cache is empty")
    chosen = [entries[name] for name in dict.fromkeys(names)]
    encoders = {entry.name for entry in chosen if entry.kind == "encoder"}
    if encoders:
        scanned = scan_cache_dir()
        commits = [r.commit_hash for repo in scanned.repos if repo.repo_id in encoders for r in repo.revisions]
        scanned.delete_revisions(*commits).execute()
    for entry in chosen:
        if entry.kind == "computed":
            shutil.rmtree(entry.path) if entry.path.is_dir() else entry.path.unlink()
    return chosen
