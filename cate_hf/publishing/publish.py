"""Folders to the Hub: checked, staged beside nothing else, and uploaded in one commit.

What is published of a checkpoint is its own files, with the code of this package as remote code: code that was in the
folder is neither run nor published.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cate_hf.core._progress import progress_bar
from cate_hf.graphs.io import read_parquet
from cate_hf.hub._checks_code import foreign_code
from cate_hf.hub._checks_files import pickled_weights
from cate_hf.hub._layout import PUBLISHED_FILES, add_remote_code
from cate_hf.hub.checks import check_checkpoint_folder
from cate_hf.hub.download import is_repo_id
from cate_hf.hub.errors import without_secrets
from cate_hf.hub.save import copy_files
from cate_hf.hub.upload import upload_folder
from cate_hf.publishing.card_files import CARD, check_card, is_as_rendered, render_checkpoint_card, render_pairs_card

__all__ = ["publish_checkpoint", "publish_pairs"]

_TOLERANCE = 1e-4  # between encodings by the package and by the remote code, both in float32
_PROBE_SECONDS = 600


@dataclass(frozen=True)
class Published:
    """What was, or with `dry_run` would be, published.

    Attributes:
        files: name → bytes.
        left_out: entries of the folder that are not published, as not being part of such a repository, or code that is
            not this package's.
        url: of the repository, at its revision; commit: its last; changed: whether that is a new one. None when dry.
    """

    repo_id: str
    files: dict[str, int]
    left_out: tuple[str, ...]
    url: str | None = None
    commit: str | None = None
    changed: bool | None = None


def publish_checkpoint(
    folder: str | os.PathLike, repo_id: str, private: bool = False, revision: str | None = None, dry_run: bool = False
) -> Published:
    """Publish a checkpoint's folder: checked, loaded in a process of its own from its remote code alone, one commit.

    Without changes no commit is made. A card that is as it was rendered is rendered anew with the repository's name.

    Args:
        folder: of the checkpoint.
        repo_id: "owner/name"; made where it does not exist.
        private: when it is made.
        revision: branch to commit to, made where it does not exist.
        dry_run: all checks, and nothing is sent.

    Raises:
        ValueError: the folder is not a complete checkpoint of CATE, a pickle is in it, its remote code does not load or
            encodes differently, its card is not valid; or the Hub refuses (HubError).
    """
    folder = Path(folder)
    check_repo_id(repo_id)
    check_checkpoint_folder(folder)
    if pickles := pickled_weights(folder):
        raise ValueError(f"{folder / pickles[0]}: a pickle is not published; move it out of the folder")
    foreign = foreign_code(folder)
    card = _card(folder, render_checkpoint_card(folder), lambda: render_checkpoint_card(folder, repo_id))
    check_card(card, "model", str(folder / CARD))
    with _staged(folder, PUBLISHED_FILES, card) as (staged, left_out):
        add_remote_code(staged)
        left_out = tuple(n for n in left_out if n in foreign or not (staged / n).exists())
        check_remote_code(staged, folder)
        return _upload(staged, left_out, repo_id, "model", PUBLISHED_FILES, private, revision, dry_run)


def publish_pairs(
    folder: str | os.PathLike, repo_id: str, private: bool = False, revision: str | None = None, dry_run: bool = False
) -> Published:
    """Publish a folder that `cate pairs` wrote, architectures and pairs, as a data set; as `publish_checkpoint`."""
    from cate_hf.data.pairs import OWN_FILES, check_pairs

    folder = Path(folder)
    check_repo_id(repo_id)
    rendered = render_pairs_card(folder)
    check_pairs(folder)
    read_parquet(folder / "architectures.parquet")
    card = _card(folder, rendered, lambda: render_pairs_card(folder, repo_id))
    check_card(card, "dataset", str(folder / CARD))
    with _staged(folder, OWN_FILES, card) as (staged, left_out):
        return _upload(staged, left_out, repo_id, "dataset", OWN_FILES, private, revision, dry_run)


def check_repo_id(repo_id: str) -> None:
    """Raise ValueError for what is no owner/name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
        good = is_repo_id(repo_id)
    except HFValidationError:
        good = False
    if not good:
        raise ValueError(f"repository {repo_id!r}: expected owner/name, of letters, digits, dashes, dots, underscores")


def _card(folder: Path, rendered: str, render_for_repository) -> str:
    """The folder's card: the user's own text where there is one, else rendered for the repository."""
    path = folder / CARD
    if not path.is_file():
        return render_for_repository()
    try:
        own = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as text ({error})") from None
    return render_for_repository() if is_as_rendered(folder, own, rendered) else own


@contextmanager
def _staged(folder: Path, own_files: tuple[str, ...], card: str) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield a temporary copy of what is published of a folder, code aside, and the names of what is not."""
    with tempfile.TemporaryDirectory(prefix="cate-publish-") as temporary:
        staged = Path(temporary) / "repository"
        left_out = copy_files(folder, staged, own_files)
        (staged / CARD).write_text(card, encoding="utf-8")
        yield staged, tuple(left_out)


# Where neither this package nor the network is, as at a user's. It prints {Auto class: encodings or null}.
_PROBE = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "cate_hf":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import torch
import transformers

folder, cells = sys.argv[1], json.loads(sys.argv[2])
torch.set_num_threads(1)
auto_map = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=True).auto_map
tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
batch = tokenizer(cells, return_tensors="pt")
found = {}
for name in sorted(auto_map):
    if name not in ("AutoConfig", "AutoTokenizer"):
        model = getattr(transformers, name).from_pretrained(folder, trust_remote_code=True).eval()
        with torch.inference_mode():
            found[name] = model(**batch).pooler_output.tolist() if name == "AutoModel" else None
print(json.dumps(found))
"""


def check_remote_code(staged: Path, folder: Path) -> None:
    """Check that a staged checkpoint loads by each of its Auto classes in a fresh process, by its own code, without
    this package and without network, and that it encodes as this package does.

    Raises:
        ValueError: it does not.
    """
    from cate_hf.encodings.cate import load_encoder

    encoder = load_encoder(staged, device="cpu")
    cells = _probe_cells(encoder)
    checking = progress_bar("loading it where this package is not", None)
    with tempfile.TemporaryDirectory(prefix="cate-publish-") as home, checking:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "PYTHON", "TRANSFORMERS_"))}
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PROBE, str(staged), json.dumps(cells)],
            env=kept | {"HF_HOME": home, "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"},
            cwd=home,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_PROBE_SECONDS,
        )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise ValueError(f"{folder}: does not load from its own remote code ({without_secrets(reason)[:300]})")
    found = json.loads(done.stdout.splitlines()[-1])
    difference = np.abs(np.array(found["AutoModel"]) - encoder.encode(cells)).max()
    if not difference <= _TOLERANCE * max(1.0, np.abs(found["AutoModel"]).max()):
        raise ValueError(f"{folder}: its remote code encodes differently, by up to {difference:.2g}")


def _probe_cells(encoder) -> list[dict]:
    """Some architectures over the model's operations: chains, as small ones and as long as may be."""
    operations = list(encoder.model.config.operations)
    longest = min(encoder.model.config.max_nodes, 16)
    cells = []
    for nodes in sorted({2, min(3, longest), longest}):
        inner = [operations[1 + i % max(len(operations) - 2, 1)] for i in range(nodes - 2)]
        adjacency = np.eye(nodes, k=1, dtype=int)
        adjacency[0, nodes - 1] = 1
        cells.append({"operations": [operations[0], *inner, operations[-1]], "adjacency": adjacency.tolist()})
    return cells


def _upload(
    staged: Path,
    left_out: tuple[str, ...],
    repo_id: str,
    kind: str,
    own_files: tuple[str, ...],
    private: bool,
    revision: str | None,
    dry_run: bool,
) -> Published:
    files = {path.name: path.stat().st_size for path in sorted(staged.iterdir())}
    if dry_run:
        return Published(repo_id, files, left_out)
    return Published(repo_id, files, left_out, *upload_folder(staged, repo_id, own_files, kind, private, revision))
