"""`cate app`, and `cate publish-space`."""

from typing import Annotated

import typer

from cate_hf.commands._hub import DryRun, Private, RepoId, Revision, tell


def app(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines reach it.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port.", show_default="7860, or the next free one")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser", help="Open a browser on it.")] = False,
) -> None:
    """Open the app: architectures, encodings, predictors and searches in a browser.

    It needs the extra app: pip install "cate_hf[app]". It works offline, on the checkpoints and results that come with
    the package; nothing is sent anywhere.

    Examples:

      cate app --browser

      cate app --host 0.0.0.0 --port 8080
    """
    from cate_hf.app import launch

    launch(host, port, browser)


def publish_space(
    repo_id: RepoId,
    title: Annotated[str, typer.Option(help="Title of the Space.")] = "Neural architectures as vectors",
    package: Annotated[
        str | None,
        typer.Option(
            help='How pip installs this package there, such as "cate_hf[app] @ git+https://...".',
            show_default="this version, by its name",
        ),
    ] = None,
    private: Private = False,
    revision: Revision = None,
    dry_run: DryRun = False,
) -> None:
    """Publish the app as a Space of the Hub: app.py, requirements.txt and README.md, in one commit.

    It needs a token: `hf auth login`, or HF_TOKEN.

    Examples:

      cate publish-space someone/architectures --dry-run

      cate publish-space someone/architectures --package "cate_hf[app] @ git+https://github.com/someone/cate_hf"
    """
    from cate_hf.publishing.space import publish_space as publish

    tell("the app", publish(repo_id, title, package, private, revision, dry_run))
