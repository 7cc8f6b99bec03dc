"""The verbs of the `cate` command: thin, each calls a function that is importable elsewhere."""

import contextlib
import functools
import importlib
import inspect
import os
import re
from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand

from cate_hf.commands import (
    _app,
    _comparisons,
    _doctor,
    _encodings,
    _finetune,
    _hub,
    _importing,
    _pretraining,
    _propose,
    _searches,
    _show,
    _spaces,
    _statistics,
    _tables,
)
from cate_hf.commands._options import Silent
from cate_hf.core._progress import no_progress

__all__ = ["VERBS", "Verb"]

# What <name> in the help of an option stands for: the names in a registry, which is looked up when the help is shown.
_LISTS = {
    "algorithms": "cate_hf.search:algorithm_names",
    "autoencoders": "cate_hf.autoencoders.settings:RECIPES",
    "formats": "cate_hf.benchmarks.importing:FORMATS",
    "precisions": "cate_hf.encodings.cate:PRECISIONS",
    "predictors": "cate_hf.experiments._prediction:NAMES",
    "presets": "cate_hf.experiments.settings:PRESETS",
    "projections": "cate_hf.experiments.maps:PROJECTIONS",
}


def _listed(name: str) -> str:
    module, _, attribute = _LISTS[name].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    return ", ".join(found() if callable(found) else found)


class Verb(TyperCommand):
    """A command whose help lists what registries hold, without their imports before it is asked for."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        for parameter in self.params:
            if text := getattr(parameter, "help", None):
                parameter.help = re.sub(r"<(\w+)>", lambda found: _listed(found[1]), text)  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def _with_quiet(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with an option --quiet, no progress and no messages, where it has none of its own."""
    signature = inspect.signature(verb)
    if "quiet" in signature.parameters:
        return verb

    @functools.wraps(verb)
    def quietly(*args: Any, quiet: bool = False, **kwargs: Any) -> None:
        if not quiet:
            return verb(*args, **kwargs)
        with no_progress(), open(os.devnull, "w", encoding="utf-8") as nowhere:  # errors are told outside
            with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                return verb(*args, **kwargs)

    option = inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Silent)
    quietly.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    quietly.__annotations__ = verb.__annotations__ | {"quiet": Silent}
    return quietly


_VERBS: dict[str, Callable[..., None]] = {
    "spaces": _spaces.spaces,
    "show": _show.show,
    "enumerate": _tables.enumerate_space,
    "import": _importing.import_file,
    "pairs": _tables.pairs,
    "pretrain-encoding": _pretraining.pretrain_encoding,
    "statistics": _statistics.statistics,
    "encode": _encodings.encode,
    "neighbours": _encodings.neighbours,
    "convert": _encodings.convert,
    "search": _searches.search,
    "compare": _comparisons.compare,
    "evaluate": _comparisons.evaluate,
    "finetune": _finetune.finetune,
    "propose": _propose.propose,
    "models": _hub.models,
    "download": _hub.download,
    "export": _hub.export,
    "cache": _hub.cache,
    "card": _hub.card,
    "publish": _hub.publish,
    "publish-dataset": _hub.publish_dataset,
    "app": _app.app,
    "publish-space": _app.publish_space,
    "doctor": _doctor.doctor,
}

# What `cate doctor` prints is all that it does.
VERBS = {name: verb if name == "doctor" else _with_quiet(verb) for name, verb in _VERBS.items()}
"""Name on the command line -> the function that typer makes a command of, in the order of `cate --help`."""
