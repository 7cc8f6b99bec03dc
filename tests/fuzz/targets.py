"""What is fuzzed: for each reader of files that others make, sound files, a way to damage them and what must hold then.

A reader may accept an input, or refuse it by a ValueError whose message is one printable line. Anything else is a find:
another error, several lines, an input that takes seconds or gigabytes, a crash.
"""

import random
import shutil
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz import mutation


@dataclass
class Target:
    """`read` gets a file with an input in it. `seeds`: sound inputs."""

    name: str
    suffix: str
    seeds: list[bytes]
    mutate: mutation.Mutator
    read: Callable[[Path], Any]


MAKERS: dict[str, Callable[[Path], Target]] = {}


def target(suffix: str):
    """Register a function that makes a target in a scratch folder of its own."""

    def register(make: Callable[[Path], tuple]) -> Callable:
        name = make.__name__.strip("_")

        def made(scratch: Path) -> Target:
            scratch.mkdir(parents=True, exist_ok=True)
            return Target(name, suffix, *make(scratch))

        MAKERS[name] = made
        return make

    return register


def outcome(target: Target, path: Path) -> str | None:
    """Read one input: None where it was accepted, else what the refusal says. Raises for anything that is a find."""
    try:
        target.read(path)
    except ValueError as error:
        if type(error) not in _REFUSALS and type(error).__name__ not in ("CheckpointError",):
            raise AssertionError(f"refused by {type(error).__name__}: {error}") from error
        message = str(error)
        if not message.isprintable() or not message:
            raise AssertionError(f"a message that is not one printable line: {message!r:.400}") from error
        return message
    return None


_REFUSALS = (ValueError,)


def _checkpoint(scratch: Path) -> Path:
    from tests.tiny import save_tiny

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    folder = scratch / "checkpoint"
    shutil.rmtree(folder, ignore_errors=True)
    return save_tiny(folder, cross_intermediate_size=8, **sizes)


def _check_and_load(folder: Path) -> None:
    """What passes the checks also loads, and encodes to finite numbers."""
    import numpy as np

    from cate_hf.encodings.cate import load_encoder
    from cate_hf.hub.checks import check_checkpoint_folder
    from tests.tiny import CELLS

    config = check_checkpoint_folder(folder).config
    encoder = load_encoder(folder)
    known = [cell for cell in CELLS if set(cell.operations) <= set(config.operations)]
    known = [cell for cell in known if len(cell.operations) <= config.max_nodes]
    if known and config.hidden_size <= 64:
        vectors = encoder.encode(known)
        assert vectors.shape[0] == len(known)
        assert np.isfinite(vectors).all() or _overflows(folder), "encodings are not finite"


def _overflows(folder: Path) -> bool:
    """Finite weights may still be so large that products of them are not."""
    import numpy as np
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors").values()
    return any(np.abs(tensor.astype(np.float64)).max(initial=0) > 1e6 for tensor in tensors)


def _replace(folder: Path, name: str, path: Path, read: Callable[[Path], Any]) -> Any:
    original = (folder / name).read_bytes() if (folder / name).exists() else None
    try:
        (folder / name).write_bytes(path.read_bytes())
        return read(folder)
    finally:
        if original is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(original)


@target(".safetensors")
def safetensors(scratch: Path):
    folder = _checkpoint(scratch)
    sound = (folder / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", sound[:8])[0]

    def mutate(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
        if rng.random() < 0.5:
            return mutation.mutate_bytes(rng, corpus, within=(0, 8 + length))
        content = mutation.pick(rng, corpus)
        size = struct.unpack("<Q", content[:8].ljust(8, b"\0"))[0]
        size = size if size < len(content) else length
        header = mutation.mutate_json(rng, [content[8 : 8 + size]])
        return struct.pack("<Q", len(header)) + header + content[8 + size :]

    def read(path: Path) -> None:
        _replace(folder, "model.safetensors", path, _check_and_load)

    return [sound], mutate, read


@target(".json")
def config(scratch: Path):
    folder = _checkpoint(scratch)
    return (
        [(folder / "config.json").read_bytes()],
        mutation.mutate_json,
        lambda path: _replace(folder, "config.json", path, _check_and_load),
    )


@target(".json")
def tokenizer(scratch: Path):
    """The first line names the file that the rest is of."""
    folder = _checkpoint(scratch)
    names = ["tokenizer_config.json", "vocab.json", "added_tokens.json", "special_tokens_map.json"]
    contents = [(folder / name).read_bytes() for name in names[:2]]
    contents += [b'{"[PAD]": 0, "output": 6}', b'{"pad_token": "[PAD]", "mask_token": {"content": "[MASK]"}}']
    seeds = [name.encode() + b"\n" + content for name, content in zip(names, contents, strict=True)]

    def mutate(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
        name, _, content = mutation.pick(rng, corpus).partition(b"\n")
        return name + b"\n" + mutation.mutate_json(rng, [content])

    def load(folder: Path) -> None:
        from cate_hf.hub.load import load_tokenizer
        from tests.tiny import CELLS

        tokenizer = load_tokenizer(folder)
        assert tokenizer.vocab_size == 7
        assert tokenizer(CELLS, return_tensors="np")["input_ids"].max() == 6

    def read(path: Path) -> None:
        name, _, content = path.read_bytes().partition(b"\n")
        part = path.with_suffix(".part")
        part.write_bytes(content)
        _replace(folder, name.decode(), part, load)

    return seeds, mutate, read


@target(".json")
def learned_encoding(scratch: Path):
    """config.json of a folder of D-VAE or arch2vec."""
    from cate_hf import get_space
    from cate_hf.autoencoders._files import bundled_model
    from cate_hf.encodings.registry import get_encoding

    space = get_space("nasbench201")
    cells = space.sample(3, seed=0)
    folder = scratch / "arch2vec"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bundled_model("arch2vec", space), folder)

    def load(folder: Path) -> None:
        assert get_encoding(folder, space).transform(cells).shape[0] == 3

    return (
        [(folder / "config.json").read_bytes()],
        mutation.mutate_json,
        lambda path: _replace(folder, "config.json", path, load),
    )


def makers() -> dict[str, Callable[[Path], Target]]:
    """Those of all modules."""
    from tests.fuzz import targets_readers  # noqa: F401  (it registers its own)

    return MAKERS


def make(name: str, scratch: Path | None = None) -> Target:
    """The target of a name, in a scratch folder."""
    return makers()[name](Path(tempfile.mkdtemp()) if scratch is None else scratch / name)
