"""The documented routes of the Hub, each a method that a regular expression of paths leads to."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.hub_stub.repositories import File, Repository, file_entry

if TYPE_CHECKING:
    from tests.hub_stub.server import HubStub, Request

_REPO = r"(?P<id>[\w.-]+/[\w.-]+)"
_API = rf"/api/(?P<kind>models|datasets|spaces)/{_REPO}"
_PATH = r"(?P<path>.+)"


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """An error as the Hub answers it: a status, and a code and a message in headers."""

    def __init__(self, status: int, code: str, message: str):
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.answer = Answer(status, json.dumps({"error": message}).encode(), headers)


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


class Routes:
    TABLE = (
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate"),
        ("GET", r"/api/(?P<kind>models|datasets|spaces)", "listing"),
        ("GET", rf"{_API}/refs", "refs"),
        ("GET", rf"{_API}/commits/(?P<revision>[^/]+)", "history"),
        ("GET", rf"{_API}(/revision/(?P<revision>[^/]+))?", "info"),
        ("GET", rf"{_API}/tree/(?P<revision>[^/]+)(/{_PATH})?", "tree"),
        ("POST", rf"{_API}/paths-info/(?P<revision>[^/]+)", "paths_info"),
        ("POST", rf"{_API}/branch/(?P<branch>[^/]+)", "branch"),
        ("POST", rf"{_API}/preupload/(?P<revision>[^/]+)", "preupload"),
        ("POST", rf"{_API}/commit/(?P<revision>[^/]+)", "commit"),
        ("POST", rf"(/(?P<kind>datasets|spaces))?/{_REPO}\.git/info/lfs/objects/batch", "lfs_batch"),
        ("PUT", r"/lfs-upload/(?P<oid>[0-9a-f]{64})", "lfs_put"),
        ("GET|HEAD", r"/lfs-download/(?P<oid>[0-9a-f]{64})", "lfs_get"),
        ("GET|HEAD", rf"(/(?P<kind>datasets|spaces))?/{_REPO}/resolve/(?P<revision>[^/]+)/{_PATH}", "resolve"),
    )

    def __init__(self, hub: "HubStub"):
        self.hub = hub

    def answer(self, request: "Request") -> Answer:
        self.request, self.user = request, self.hub.users.get(request.token or "")
        if request.token and self.user is None:
            raise Refused(401, "", "Invalid credentials in Authorization header")
        for methods, pattern, name in self.TABLE:
            found = re.fullmatch(pattern, request.path)
            if found and request.method in methods.split("|"):
                return getattr(self, name)(**found.groupdict())
        raise Refused(404, "", f"no such route: {request.method} {request.path}")

    # What a request asks of

    def repository(self, kind: str | None, id: str, write: bool = False) -> Repository:
        found = self.hub.repositories.get((kind or "models", id))
        allowed = found is not None and (not found.private or self.owns(found.id))
        if not allowed:
            raise Refused(404 if self.user else 401, "RepoNotFound", "Repository not found")
        if write and not self.owns(id):
            raise Refused(403, "", "You don't have the rights to write to this repository")
        return found

    def owns(self, id: str) -> bool:
        return bool(self.user and self.user["write"] and id.split("/")[0] == self.user["name"])

    def at(self, repository: Repository, revision: str | None) -> str:
        sha = repository.revision(revision or "main")
        if sha is None:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return sha

    # Reading

    def whoami(self) -> Answer:
        if self.user is None:
            raise Refused(401, "", "Invalid username or password.")
        return _json(
            {"type": "user", "id": "1", "name": self.user["name"], "orgs": [], "auth": {"type": "access_token"}}
        )

    def listing(self, kind: str) -> Answer:
        author = self.request.query.get("author", [None])[0]
        found = [r for (k, _), r in sorted(self.hub.repositories.items()) if k == kind]
        found = [r for r in found if author in (None, r.id.split("/")[0]) and (not r.private or self.owns(r.id))]
        return _json([{"id": r.id, "sha": r.branches["main"], "private": r.private, "tags": []} for r in found])

    def info(self, kind: str, id: str, revision: str | None) -> Answer:
        repository = self.repository(kind, id)
        return _json(repository.info(self.at(repository, revision), "blobs" in self.request.query))

    def refs(self, kind: str, id: str) -> Answer:
        branches = self.repository(kind, id).branches.items()
        found = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha} for name, sha in branches]
        return _json({"branches": found, "converts": [], "tags": []})

    def history(self, kind: str, id: str, revision: str) -> Answer:
        repository = self.repository(kind, id)
        self.at(repository, revision)
        commits = list(zip(repository.commits, repository.messages, strict=True))[::-1]
        when = "2026-01-01T00:00:00.000Z"
        return _json([{"id": c, "title": m, "message": "", "authors": [], "date": when} for c, m in commits])

    def tree(self, kind: str, id: str, revision: str, path: str | None) -> Answer:
        repository = self.repository(kind, id)
        recursive = self.request.query.get("recursive", [""])[0].lower() in ("true", "1")
        found = repository.tree(self.at(repository, revision), path or "", recursive)
        if found is None:
            raise Refused(404, "EntryNotFound", f"{path} does not exist on {revision!r}")
        return _json(found)

    def paths_info(self, kind: str, id: str, revision: str) -> Answer:
        repository = self.repository(kind, id)
        files = repository.commits[self.at(repository, revision)]
        asked = parse_qs(self.request.body.decode()).get("paths", [])
        if self.request.headers.get("Content-Type", "").startswith("application/json"):
            asked = json.loads(self.request.body)["paths"]
        entries = [file_entry(path, files[path]) for path in asked if path in files]
        folders = repository.tree(self.at(repository, revision), "", True)
        entries += [entry for entry in folders if entry["type"] == "directory" and entry["path"] in asked]
        return _json(entries)

    def resolve(self, kind: str | None, id: str, revision: str, path: str) -> Answer:
        repository = self.repository(kind, id)
        if repository.gated and not self.owns(id):
            raise Refused(403 if self.user else 401, "GatedRepo", f"Access to {id} is restricted: ask for it first")
        sha = self.at(repository, revision)
        file = repository.commits[sha].get(path)
        if file is None:
            refused = Refused(404, "EntryNotFound", "Entry not found")
            refused.answer.headers["X-Repo-Commit"] = sha
            raise refused
        headers = {"X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        if file.lfs:  # as the Hub does: the content is elsewhere, what identifies it is told here
            self.hub.uploads[file.sha256] = file.content
            linked = {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(len(file.content))}
            return Answer(
                302, b"", headers | linked | {"Location": f"{self.hub.storage_url}/lfs-download/{file.sha256}"}
            )
        return Answer(200, file.content, headers | {"ETag": f'"{file.etag}"'})

    def lfs_get(self, oid: str) -> Answer:
        if oid not in self.hub.uploads:
            raise Refused(404, "EntryNotFound", "no such object")
        return Answer(200, self.hub.uploads[oid], {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})

    # Writing

    def create(self) -> Answer:
        asked = json.loads(self.request.body)
        kind = {"model": "models", "dataset": "datasets", "space": "spaces"}[asked.get("type") or "model"]
        if self.user is None:
            raise Refused(401, "", "Invalid username or password.")
        id = f"{asked.get('organization') or self.user['name']}/{asked['name']}"
        if not self.owns(id):
            raise Refused(403, "", f"You don't have the rights to create a {kind[:-1]} under that namespace")
        if kind == "spaces" and asked.get("sdk") not in ("docker", "gradio", "static"):
            raise Refused(400, "", 'Invalid input: "sdk" must be one of docker, gradio, static')
        url = f"{self.hub.url}/{'' if kind == 'models' else f'{kind}/'}{id}"
        if (kind, id) in self.hub.repositories:
            return _json({"url": url, "name": id, "error": "You already created this repository"}, 409)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.repositories[kind, id] = Repository(kind, id, private=private)
        return _json({"url": url, "name": id, "id": id})

    def validate(self) -> Answer:
        """The metadata as far as the Hub is known to check it: types, and of a model's results that they are whole."""
        from huggingface_hub import DatasetCard, ModelCard, SpaceCard

        asked = json.loads(self.request.body)
        card_class = {"model": ModelCard, "dataset": DatasetCard, "space": SpaceCard}[asked["repoType"]]
        errors, warnings = [], []
        try:
            data = card_class(asked["content"]).data
            if not data.to_dict():
                warnings.append({"message": "empty or missing yaml metadata in repo card"})
            elif data.license is not None and not re.fullmatch(r"[a-z0-9.-]+", str(data.license)):
                errors.append({"message": f'"license" must be one of the known identifiers, not {data.license!r}'})
            if asked["repoType"] == "space":
                errors += [{"message": f'"{name}" is required'} for name in ("sdk", "emoji") if not data.get(name)]
        except Exception as error:
            errors.append({"message": str(error)})
        return _json({"errors": errors, "warnings": warnings}, 400 if errors else 200)

    def branch(self, kind: str, id: str, branch: str) -> Answer:
        repository = self.repository(kind, id, write=True)
        if branch in repository.branches:
            raise Refused(409, "", "Reference already exists")
        start = json.loads(self.request.body or b"{}").get("startingPoint", "main")
        repository.branches[branch] = self.at(repository, start)
        return _json({})

    def preupload(self, kind: str, id: str, revision: str) -> Answer:
        repository = self.repository(kind, id, write=True)
        present = repository.commits[self.at(repository, revision)]
        files = []
        for asked in json.loads(self.request.body)["files"]:
            path = asked["path"]
            lfs = File.of(path, b"").lfs or asked["size"] > 10_000_000
            entry = {"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
            files.append(entry | ({"oid": present[path].etag} if path in present else {}))
        return _json({"files": files})

    def lfs_batch(self, kind: str | None, id: str) -> Answer:
        self.repository(kind, id, write=True)
        objects = []
        for asked in json.loads(self.request.body)["objects"]:
            oid = asked["oid"]
            if oid not in self.hub.uploads:
                upload = {"href": f"{self.hub.storage_url}/lfs-upload/{oid}"}
                objects.append({"oid": oid, "size": asked["size"], "actions": {"upload": upload}})
            else:
                objects.append({"oid": oid, "size": asked["size"]})
        return _json({"transfer": "basic", "objects": objects})

    def lfs_put(self, oid: str) -> Answer:
        if hashlib.sha256(self.request.body).hexdigest() != oid:
            raise Refused(400, "", "the content does not have this SHA-256")
        self.hub.uploads[oid] = self.request.body
        return Answer(200)

    def commit(self, kind: str, id: str, revision: str) -> Answer:
        repository = self.repository(kind, id, write=True)
        files = dict(repository.commits[self.at(repository, revision)])
        message = ""
        for line in self.request.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                message = value["summary"]
            elif item["key"] == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]))
            elif item["key"] == "lfsFile":
                files[value["path"]] = File(self.hub.uploads[value["oid"]], lfs=True)
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        sha = repository.commit(files, message, revision)
        prefix = "" if kind == "models" else f"{kind}/"
        return _json({"commitUrl": f"{self.hub.url}/{prefix}{id}/commit/{sha}", "commitOid": sha, "hookOutput": ""})
