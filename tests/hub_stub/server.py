"""The server: a thread a connection, requests to routes, answers to sockets with the faults asked for."""

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub_stub.faults import Fault
from tests.hub_stub.repositories import Repository
from tests.hub_stub.routes import Answer, Refused, Routes

OWNER = "someone"
WRITER_TOKEN = "hf_writerwriterwriterwriterwriter"
READER_TOKEN = "hf_readerreaderreaderreaderreader"


@dataclass
class Request:
    """What came in: as much of it as tests ask for."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""
    status: int | None = None

    @property
    def token(self) -> str | None:
        return self.headers.get("Authorization", "").removeprefix("Bearer ") or None


@dataclass
class HubStub:
    """A Hub at `url`, while its context lasts; large files are at `storage_url`, which is another host to clients.

    Attributes:
        repositories: (kind, id) → Repository.
        faults: the first that fits a request is applied.
        requests: all that came in, in order.
        users: token → {"name", "write"}.
    """

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    users: dict[str, dict] = field(
        default_factory=lambda: {
            WRITER_TOKEN: {"name": OWNER, "write": True},
            READER_TOKEN: {"name": "reader", "write": False},
        }
    )
    uploads: dict[str, bytes] = field(default_factory=dict)  # of large files, by SHA-256

    def __enter__(self) -> "HubStub":
        hub = self
        self.stopped = threading.Event()
        self.lock = threading.Lock()

        class Handler(_Handler):
            stub = hub

        # Their threads are daemons: a client that stalls does not hold up the end.
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        self.url, self.storage_url = (f"http://127.0.0.1:{server.server_port}" for server in self.servers)
        for server in self.servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exception) -> None:
        self.stopped.set()
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def reset(self) -> None:
        """An empty Hub without faults."""
        for kept in (self.repositories, self.faults, self.requests, self.uploads):
            kept.clear()

    def repository(self, id: str, kind: str = "models", **settings) -> Repository:
        """A repository, made where there is none of that name."""
        return self.repositories.setdefault((kind, id), Repository(kind, id, **settings))

    def environment(self, home: Path, token: str | None = WRITER_TOKEN, inherit: Mapping | None = None) -> dict:
        """Variables for a client process; its caches are below `home`."""
        inherit = os.environ if inherit is None else inherit
        kept = {k: v for k, v in inherit.items() if not k.startswith(("HF_", "TRANSFORMERS_"))}
        kept |= {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home)}
        kept |= {"HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1", "CATE_HF_THREADS": "1"}
        return kept | ({"HF_TOKEN": token} if token else {})

    def paths(self, method: str = "") -> list[str]:
        """Paths of the requests that came in, of one method or of all."""
        return [request.path for request in self.requests if request.method.startswith(method)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: HubStub

    def log_message(self, *arguments) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError, ValueError):  # the client went away
            self.close_connection = True

    def serve(self) -> None:
        url = urlsplit(self.path)
        request = Request(self.command, unquote(url.path), parse_qs(url.query), self.headers)
        request.body = self.read_body()
        with self.stub.lock:
            self.stub.requests.append(request)
            fault = next((f for f in self.stub.faults if f.fits(request.method, request.path)), None) or Fault()
        if fault.hang_up:
            self.close_connection = True
            return
        answer = self.answer(request, fault)
        request.status = answer.status
        self.send(answer, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, request: Request, fault: Fault) -> Answer:
        if fault.redirect is not None:
            return Answer(302, b"", {"Location": fault.redirect})
        if fault.status is not None:
            return Answer(fault.status, fault.body, dict(fault.headers))
        try:
            with self.stub.lock:
                answer = Routes(self.stub).answer(request)
        except Refused as refused:
            answer = refused.answer
        if answer.status == 200 and (asked := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))):
            answer = _part(answer, int(asked[1]), int(asked[2]) if asked[2] else None)
        return answer

    def send(self, answer: Answer, fault: Fault) -> None:
        headers = {"Content-Length": str(len(answer.body)), **answer.headers} | dict(fault.with_headers)
        body = fault.with_body(answer.body) if fault.with_body else answer.body
        self.send_response(answer.status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        end = min(len(body), *(at for at in (fault.cut_at, fault.stall_at, len(body)) if at is not None))
        step = fault.drip or max(end, 1)
        for start in range(0, end, step):
            self.wfile.write(body[start : min(start + step, end)])
            self.wfile.flush()
            if fault.drip and self.stub.stopped.wait(fault.pause):
                break
        if fault.stall_at is not None:
            self.stub.stopped.wait(60)
        if fault.cut_at is not None or fault.stall_at is not None or fault.with_headers or fault.with_body:
            self.close_connection = True


def _part(answer: Answer, start: int, end: int | None) -> Answer:
    total = len(answer.body)
    if start >= total:
        return Answer(416, b"", {"Content-Range": f"bytes */{total}"})
    end = min(total - 1, total - 1 if end is None else end)
    headers = answer.headers | {"Content-Range": f"bytes {start}-{end}/{total}"}
    return Answer(206, answer.body[start : end + 1], headers)
