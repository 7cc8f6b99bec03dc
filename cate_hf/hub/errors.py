"""What goes wrong between here and the Hub, as one line that says where and what to do; without any token."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["HubError", "without_secrets"]

# Of tokens of the Hub, of whoever's headers, and of what signed addresses carry.
_SECRETS = (
    (re.compile(r"\bhf_[A-Za-z0-9]{6,}"), "[token]"),
    (re.compile(r"(?i)(authorization['\"]?\s*[:=]\s*)['\"]?(bearer|basic)\s+[^\s'\",]+"), r"\1[token]"),
    (re.compile(r"(?i)\b(bearer)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 [token]"),
    (re.compile(r"(://)[^/\s:@]+:[^/\s@]+@"), r"\1[token]@"),
    (re.compile(r"(?i)([?&](?:x-amz-[a-z-]+|signature|token|key-pair-id|policy|expires)=)[^&\s'\"]+"), r"\1[token]"),
)
_HTTP_LIBRARIES = ("httpx", "httpx2", "requests")  # one of them is used by huggingface_hub, by its version
_NETWORK = {"ConnectError", "TransportError", "NetworkError", "TimeoutException", "ProtocolError", "RequestException"}


class HubError(ValueError):
    """The Hub refused, failed or could not be reached, or what came from it is not what it should be. One line.

    Attributes:
        unreachable: whether the Hub did not answer or failed, so that a copy in the cache may serve.
    """

    unreachable = False


def without_secrets(text: str) -> str:
    """A text without tokens: of the form that the Hub's have, in headers and addresses, and the ones in use here."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if len(token := os.environ.get(name, "").strip()) >= 4:
            text = text.replace(token, "[token]")
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


@contextmanager
def hub_errors(repo_id: str, file: str | None = None, kind: str = "model") -> Iterator[None]:
    """Turn what huggingface_hub raises within the block to a HubError that names the repository and the file.

    Errors of the disk stay OSErrors, with the place in their message.
    """
    where = f"{kind} {repo_id} on the Hub" + (f", {file}" if file else "")
    try:
        yield
    except HubError:
        raise
    except Exception as error:
        told = _told(error, where, kind)
        if told is None:
            raise
        if isinstance(told, HubError):
            told.unreachable = any(_is_unreachable(known) for known in _chain(error))
        raise told from None


def _told(error: Exception, where: str, kind: str) -> Exception | None:
    """The error in one line; None where it is a mistake of the program."""
    for known in _chain(error):
        if (told := _told_one(known, where, kind)) is not None:
            return told
    if _from_hub(error) or isinstance(error, OSError | ValueError | RuntimeError):
        return HubError(f"{where}: {_one_line(error)}")
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes, the outermost first."""
    found: BaseException | None = error
    for _ in range(20):
        if found is None:
            return
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def _told_one(error: BaseException, where: str, kind: str) -> Exception | None:
    from huggingface_hub import errors

    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if isinstance(error, errors.HFValidationError):
        return HubError(f"{where}: not a repository id; expected owner/name ({_one_line(error)})")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return HubError(f"{where}: HF_HUB_OFFLINE is set, and the cache does not have it; unset it")
    if isinstance(error, errors.LocalTokenNotFoundError):
        return HubError(f"{where}: a token is needed: run `hf auth login`, or set HF_TOKEN")
    if isinstance(error, errors.GatedRepoError):
        return HubError(
            f"{where}: access is restricted; ask for it on its page, then set HF_TOKEN or run `hf auth login`"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(f"{where}: no such revision; leave out --revision, or choose a branch or commit that exists")
    if isinstance(error, errors.EntryNotFoundError) and status == 404:
        return HubError(f"{where}: no such file there, so it is not a whole {kind}; tell its owner")
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        return HubError(
            f"{where}: not found; check the name, or, if it is private, set HF_TOKEN or run `hf auth login`"
        )
    if status == 401:
        return HubError(f"{where}: no token that is accepted (401); run `hf auth login`, or set HF_TOKEN")
    if status == 403:
        return HubError(f"{where}: forbidden (403); the token in use lacks the right, ask the owner or use another one")
    if status == 429:
        wait = response.headers.get("Retry-After")
        when = f"in {wait} seconds" if wait and wait.isdigit() else "later"
        return HubError(f"{where}: too many requests (429); run it again {when}")
    if status is not None and status >= 500:
        return HubError(f"{where}: the Hub failed ({status}); run it again later, what is there already is kept")
    if status is not None and status >= 400:
        return HubError(f"{where}: refused ({_one_line(error)})")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OSError(
            f"{where}: no room on the disk at {error.filename or _cache()} ({os.strerror(error.errno)}); free some, or "
            "set HF_HOME to another place, and run it again"
        )
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return OSError(f"{where}: {error.filename or _cache()} may not be written; set HF_HOME to another place")
    if "Consistency check failed" in str(error):
        return HubError(f"{where}: of another length than the Hub says, and was not kept; run it again")
    if isinstance(error, errors.FileMetadataError):
        return HubError(f"{where}: not an answer of the Hub ({_one_line(error)}); check HF_ENDPOINT and proxies")
    if _is_network(error):
        return HubError(
            f"{where}: the connection failed ({_one_line(error) or type(error).__name__}); run it again, what is there "
            "already is kept"
        )
    return None


def _is_unreachable(error: BaseException) -> bool:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None and (status >= 500 or status in (408, 429)):
        return True
    return isinstance(error, errors.OfflineModeIsEnabled) or _is_network(error)


def _is_network(error: BaseException) -> bool:
    library = type(error).__module__.partition(".")[0]
    return library in _HTTP_LIBRARIES and any(cls.__name__ in _NETWORK for cls in type(error).__mro__)


def _from_hub(error: BaseException) -> bool:
    return any(
        cls.__module__.partition(".")[0] in ("huggingface_hub", "httpx", "httpx2") for cls in type(error).__mro__
    )


def _cache() -> str:
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE


def _one_line(error: BaseException) -> str:
    return without_secrets(" ".join(str(error).split()))[:300]
