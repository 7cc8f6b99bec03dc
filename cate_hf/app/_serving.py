"""Starting the app, here or as a Space of the Hub: no network of its own, no analytics, bounded uploads."""

import atexit
import os
import shutil
import tempfile
from typing import Any

MAX_UPLOAD = 10_000_000  # bytes of one file
_MISSING = "the app needs Gradio: pip install 'cate_hf[app]'"
_WAITING = 40  # clicks that may wait in the queue


def build_app() -> Any:
    """The page, a `gradio.Blocks` that has not been launched.

    Raises:
        ValueError: Gradio is not installed.
    """
    # Read by Gradio when it is imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    if "GRADIO_TEMP_DIR" not in os.environ:  # of uploads; readable by this user alone
        os.environ["GRADIO_TEMP_DIR"] = folder = tempfile.mkdtemp(prefix="cate-app-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise ValueError(_MISSING) from None
    from cate_hf.app._page import build

    return build().queue(max_size=_WAITING, default_concurrency_limit=2)


def launch(host: str = "127.0.0.1", port: int | None = None, open_browser: bool = False, wait: bool = True) -> Any:
    """Serve the app until it is interrupted.

    Args:
        host: address to listen on; "0.0.0.0" for other machines too.
        port: 7860, or the next free one, when None.
        open_browser: open a browser on it.
        wait: until Ctrl-C; else the server stays in threads of this process, and what is returned has `close()`.

    Raises:
        ValueError: Gradio is not installed.
        OSError: the port is taken.
    """
    from functools import partial

    page = build_app()
    from cate_hf.app._page import CSS, theme
    from cate_hf.app._shared import warm_up

    start = partial(
        page.launch,
        server_name=host,
        server_port=port,
        inbrowser=open_browser,
        share=False,
        show_error=False,
        quiet=True,
        max_file_size=MAX_UPLOAD,
        footer_links=[],
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=theme(),
        css=CSS,
    )
    _, url, _ = start(prevent_thread_lock=True)
    print(f"cate_hf is at {url} (Ctrl-C ends it)", flush=True)
    warm_up()  # what the first clicks need, in the background
    if wait:
        page.block_thread()
    return page
