"""The `cate` command: its verbs and its errors.

Bad input gives one line and exit code 2; Ctrl-C gives one line and exit code 130; CATE_DEBUG=1 shows the traceback.
Verbs import what they need when they run, so that `cate --help` and a wrong argument answer at once.
"""

import os
import sys
import warnings
from typing import Any

import typer

from cate_hf.commands import VERBS, Verb
from cate_hf.core._console import any_console
from cate_hf.core._interruption import INTERRUPTED, Interrupted
from cate_hf.core._names import one_line, printable

__all__ = ["main"]

_INTERRUPTED_MESSAGE = "interrupted; no unfinished output was left"

_AS_PYTHON = warnings.formatwarning

_app = typer.Typer(
    name="cate",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _verb in VERBS.items():
    _app.command(_name, cls=Verb)(_verb)


def _show_version(wanted: bool) -> None:
    if wanted:
        from cate_hf import __version__

        typer.echo(f"cate_hf {__version__}")
        raise typer.Exit


@_app.callback()
def _cate(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Computation-aware encodings of neural architectures (CATE).

    From a search space to a search, step by step:

      cate enumerate nasbench101 --output cells.parquet

      cate pairs nasbench101 --output pairs

      accelerate launch -m cate_hf.training.pretrain --space nasbench101 --pairs pairs --output-dir encoder

      cate encode --space nasbench101 --model encoder --output encodings.parquet

      cate search --space nasbench101 --benchmark results.parquet --encoding encodings.parquet --output search.json

    Each verb has a --help with examples. A search space is a name (see `cate spaces`) or your own YAML file, and a
    model a name (see `cate models`), a folder or owner/name on the Hub.
    """


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    any_console()
    _one_line_warnings()
    try:
        code = _app(args=arguments, prog_name="cate", standalone_mode=False)
        if code != INTERRUPTED:
            return code if isinstance(code, int) else 0
        message = _INTERRUPTED_MESSAGE
    except (KeyboardInterrupt, typer.Abort):
        message, code = _INTERRUPTED_MESSAGE, INTERRUPTED
    except Interrupted as stopped:
        message, code = str(stopped), INTERRUPTED
    except (ValueError, OSError) as error:
        if os.environ.get("CATE_DEBUG"):
            raise
        message, code = one_line(error), 2
    except Exception as error:
        # Usage errors come from click or from typer's own copy of it; both know how to put themselves.
        if not hasattr(error, "format_message") or os.environ.get("CATE_DEBUG"):
            raise
        if not error.format_message():  # no arguments at all: the help has been shown
            return 2
        context = getattr(error, "ctx", None)
        verb = f"{context.command_path} --help" if context is not None else "cate --help"
        message, code = f"{' '.join(error.format_message().split())} (see `{verb}`)", 2
    print(f"cate: {printable(message)}", file=sys.stderr)
    return code


def _one_line_warnings() -> None:
    """Let warnings to users be one line each, as errors are; those of libraries stay as they are."""

    def formatted(message: Warning | str, category: type[Warning], *where: Any) -> str:
        return f"cate: {printable(message)}\n" if category is UserWarning else _AS_PYTHON(message, category, *where)

    warnings.formatwarning = formatted  # type: ignore[assignment]


if __name__ == "__main__":
    sys.exit(main())
