"""Repositories in memory: files by path, commits, branches."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

LFS_SUFFIXES = (".safetensors", ".parquet", ".bin", ".pt")
POINTER_SIZE = 134


@dataclass(frozen=True)
class File:
    """Content, and the object ids that the Hub reports of it: git's for a plain file, SHA-256 for one in large file
    storage."""

    content: bytes
    lfs: bool = False

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def blob_id(self) -> str:
        content = self.content
        if self.lfs:
            content = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\n".encode()
            content += f"size {len(self.content)}\n".encode()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.blob_id

    @classmethod
    def of(cls, path: str, content: bytes) -> "File":
        return cls(content, Path(path).suffix in LFS_SUFFIXES)


@dataclass
class Repository:
    """kind is "models", "datasets" or "spaces"; id is "owner/name"."""

    kind: str
    id: str
    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        self.commit({}, "initial commit")

    def commit(self, files: dict[str, File], message: str, branch: str = "main") -> str:
        """Make these all the files of a branch; returns the commit's id."""
        listing = {path: file.blob_id for path, file in files.items()}
        text = json.dumps([self.kind, self.id, listing, len(self.commits)], sort_keys=True)
        sha = hashlib.sha1(text.encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.messages.append(message)
        self.branches[branch] = sha
        return sha

    def revision(self, name: str) -> str | None:
        """The commit of a branch or of a commit's own id; None where there is none."""
        return self.branches.get(name) or (name if name in self.commits else None)

    def files(self, revision: str = "main") -> dict[str, File]:
        return self.commits[self.revision(revision)]

    def upload(self, folder: Path, **changed: bytes) -> str:
        """Commit the files of a folder; returns the commit's id."""
        files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}
        return self.commit({path: File.of(path, content) for path, content in files.items()}, "upload")

    def info(self, sha: str, blobs: bool) -> dict:
        siblings = []
        for path, file in sorted(self.commits[sha].items()):
            entry = {"rfilename": path}
            if blobs:
                entry |= {"size": len(file.content), "blobId": file.blob_id}
                if file.lfs:
                    entry["lfs"] = {"sha256": file.sha256, "size": len(file.content), "pointerSize": POINTER_SIZE}
            siblings.append(entry)
        return {
            "_id": hashlib.sha1(self.id.encode()).hexdigest()[:24],
            "id": self.id,
            "author": self.id.split("/")[0],
            "sha": sha,
            "private": self.private,
            "gated": "manual" if self.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "createdAt": "2026-01-01T00:00:00.000Z",
            "lastModified": "2026-01-01T00:00:00.000Z",
            "siblings": siblings,
        }

    def tree(self, sha: str, folder: str, recursive: bool) -> list[dict] | None:
        """Entries below a folder; None where there is no such folder."""
        prefix = f"{folder}/" if folder else ""
        entries, folders = [], set()
        for path, file in sorted(self.commits[sha].items()):
            if not path.startswith(prefix):
                continue
            inner = path[len(prefix) :].split("/")
            for depth in range(1, len(inner)):
                if depth == 1 or recursive:
                    folders.add(prefix + "/".join(inner[:depth]))
            if len(inner) == 1 or recursive:
                entries.append(file_entry(path, file))
        found = [folder_entry(name) for name in sorted(folders)] + entries
        return found if found or not folder else None


def file_entry(path: str, file: File) -> dict:
    entry = {"type": "file", "path": path, "size": len(file.content), "oid": file.blob_id}
    if file.lfs:
        entry["lfs"] = {"oid": file.sha256, "size": len(file.content), "pointerSize": POINTER_SIZE}
    return entry


def folder_entry(path: str) -> dict:
    return {"type": "directory", "path": path, "size": 0, "oid": hashlib.sha1(path.encode()).hexdigest()}
