"""A folder to the Hub, in one commit."""

from collections.abc import Sequence
from pathlib import Path

from cate_hf.hub.download import bars_on_terminals
from cate_hf.hub.errors import hub_errors

__all__ = ["upload_folder"]


def upload_folder(
    folder: Path,
    repo_id: str,
    own_files: Sequence[str],
    kind: str = "model",
    private: bool = False,
    revision: str | None = None,
) -> tuple[str, str, bool]:
    """Commit a folder's files to a repository, which is made where it does not exist.

    Args:
        folder: all its files go.
        repo_id: "owner/name".
        own_files: patterns of files of the repository that go when the folder does not have them.
        kind: "model", "dataset" or "space", one of Gradio.
        private: of the repository, when it is made.
        revision: branch to commit to, made where it does not exist.

    Returns:
        The address of the repository at its revision, the last commit, and whether that is a new one: without changes
        none is made.

    Raises:
        HubError: the Hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with hub_errors(repo_id, kind=kind), bars_on_terminals():
        sdk = "gradio" if kind == "space" else None
        url = api.create_repo(repo_id, repo_type=kind, private=private or None, exist_ok=True, space_sdk=sdk)
        if revision is not None:
            api.create_branch(repo_id, branch=revision, repo_type=kind, exist_ok=True)
        before = api.repo_info(repo_id, repo_type=kind, revision=revision).sha
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            repo_type=kind,
            revision=revision,
            commit_message=f"{kind} by cate_hf",
            delete_patterns=list(own_files),  # what an earlier one had and this one has not
        )
    at = f"/tree/{revision}" if revision else ""
    return f"{url}{at}", commit.oid, commit.oid != before
