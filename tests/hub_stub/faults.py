"""Faults that a request meets instead of, or within, its proper answer."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class Fault:
    """What goes wrong with the requests that it fits.

    Attributes:
        path: regular expression searched in the path.
        method: of the request, or a set of them separated by "|"; None for any.
        times: how many requests it meets; None for all.
        status, headers, body: an answer instead of the proper one.
        with_headers: replace, or with None remove, headers of the proper answer; names as the answer writes them.
        with_body: changes the body of the proper answer, whose headers stay.
        cut_at: close the connection after so many bytes of the body.
        stall_at: keep the connection open and send nothing more after so many bytes of the body.
        drip: send so many bytes at a time, with `pause` seconds between.
        redirect: answer with 302 to this URL.
        hang_up: close the connection without an answer.
        met: how many requests it has met.
    """

    path: str = ""
    method: str | None = None
    times: int | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    with_headers: Mapping[str, str | None] = field(default_factory=dict)
    with_body: Callable[[bytes], bytes] | None = None
    cut_at: int | None = None
    stall_at: int | None = None
    drip: int | None = None
    pause: float = 0.01
    redirect: str | None = None
    hang_up: bool = False
    met: int = 0

    def fits(self, method: str, path: str) -> bool:
        """Whether a request meets it; counts it if so."""
        if self.times is not None and self.met >= self.times:
            return False
        if self.method is not None and method not in self.method.split("|"):
            return False
        if not re.search(self.path, path):
            return False
        self.met += 1
        return True
