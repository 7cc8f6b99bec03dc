"""Output on consoles that do not have all characters: Windows' cp1252 and cp437, ASCII."""

import codecs
import sys

_ERRORS = "cate_hf.spelled"
_SPELLED = {
    **{"τ": "tau", "ρ": "rho", "±": "+-", "×": "x", "·": "*", "²": "^2", "≤": "<=", "≥": ">="},
    **{"→": "->", "←": "<-", "–": "-", "—": "-", "−": "-", "…": "...", "█": "#"},
}


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding lacks: a spelling in ASCII, or their number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_SPELLED.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking), error.end


def any_console() -> None:
    """Let this process write any character to standard output and error. Every command calls it first."""
    codecs.register_error(_ERRORS, _spelled)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ERRORS)
