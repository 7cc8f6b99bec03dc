"""Registration of CATE with transformers' Auto classes, at the moment when those are imported and not before.

Registering takes the model classes, and those take torch and most of transformers: seconds that `import cate_hf` and
`cate --help` should not cost. So a finder watches the imports of transformers; once a module that holds Auto classes
has been executed, and no module of transformers or cate_hf is half-way through its own import in this thread
(`transformers.modeling_layers` imports AutoModel, and our model imports `modeling_layers`), the public `register`
functions are called. Both orders of import work: Auto classes that are already there are registered at once.
"""

import copy
import sys
import threading

from cate_hf.hub._layout import MODEL_CLASSES

__all__ = ["register_when_imported"]


def _register_config() -> None:
    from transformers.models.auto.configuration_auto import AutoConfig

    from cate_hf.modeling.configuration_cate import CateConfig

    AutoConfig.register(CateConfig.model_type, CateConfig, exist_ok=True)
    CateConfig.register_for_auto_class("AutoConfig")  # save_pretrained and push_to_hub then store the code as well


def _register_models() -> None:
    from transformers.models.auto import modeling_auto

    from cate_hf.modeling import modeling_cate
    from cate_hf.modeling.configuration_cate import CateConfig

    for auto_class, name in MODEL_CLASSES.items():
        model_class = getattr(modeling_cate, name)
        getattr(modeling_auto, auto_class).register(CateConfig, model_class, exist_ok=True)
        model_class.register_for_auto_class(auto_class)


def _register_tokenizer() -> None:
    from transformers.models.auto.tokenization_auto import AutoTokenizer

    from cate_hf.modeling.configuration_cate import CateConfig
    from cate_hf.tokenization.tokenization_cate import CateTokenizer

    AutoTokenizer.register(CateConfig, tokenizer_class=CateTokenizer, exist_ok=True)


_REGISTRARS = {
    "transformers.models.auto.configuration_auto": _register_config,
    "transformers.models.auto.modeling_auto": _register_models,
    "transformers.models.auto.tokenization_auto": _register_tokenizer,
}


class _AfterImport:
    """A meta path finder that runs what is pending after the imports it waits for."""

    def __init__(self, pending: dict) -> None:
        self.pending = dict(pending)
        self.thread = threading.local()  # .depth: watched modules being executed; .executed: awaited ones that are done

    def find_spec(self, fullname: str, path=None, target=None):
        if fullname.partition(".")[0] not in ("transformers", "cate_hf") or self not in sys.meta_path:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target) if hasattr(finder, "find_spec") else None
            if spec is not None:
                break
        else:
            return None
        if spec.loader is not None:
            # A loader may serve several modules; and keeping its type keeps inspect and pkgutil working.
            loader, execute = copy.copy(spec.loader), spec.loader.exec_module
            loader.exec_module = lambda module: self.execute(execute, module, fullname)  # type: ignore[method-assign]
            spec.loader = loader
        return spec

    def execute(self, execute, module, fullname: str) -> None:
        thread = self.thread
        thread.depth = getattr(thread, "depth", 0) + 1
        try:
            execute(module)
        finally:
            thread.depth -= 1
        thread.executed = [*getattr(thread, "executed", []), *([fullname] if fullname in self.pending else [])]
        if thread.depth == 0:
            executed, thread.executed = thread.executed, []
            self.run(executed)

    def run(self, names) -> None:
        for name in names:
            register = self.pending.pop(name, None)
            if register is not None:
                try:
                    register()
                except BaseException:
                    self.pending[name] = register  # the import fails with this error; another try starts afresh
                    raise
        if not self.pending and self in sys.meta_path:
            sys.meta_path.remove(self)


def register_when_imported() -> None:
    """Register CATE's classes for model type "cate", now for Auto classes already imported, else when they are."""
    finder = _AfterImport(_REGISTRARS)
    sys.meta_path.insert(0, finder)
    finder.run([name for name in _REGISTRARS if name in sys.modules])
