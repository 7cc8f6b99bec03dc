"""The page in a browser: each tab's main action, bad input, two visitors at once, a phone."""

import base64
import re

import pytest

from cate_hf import get_space
from cate_hf.app import _table
from cate_hf.app._page import EXAMPLES
from cate_hf.app._serving import MAX_UPLOAD
from tests.app.conftest import CELL

pytest.importorskip("gradio", reason="no Gradio: pip install 'cate_hf[app]'")
httpx = pytest.importorskip("httpx")
PHONE = 390


def open_tab(page, *names):
    for name in names:
        page.get_by_role("tab", name=name, exact=True).click()


def act(page, button, shown):
    page.locator(button).click()
    page.wait_for_selector(shown)


def check_width(page):
    """Nothing is wider than a phone."""
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE


def upload(page, path):
    """Give a file to the tab of tables, and wait until the page holds it."""
    page.locator("#table-file input[type=file]").set_input_files(path)
    # Its name as text is shown while it travels alone: the page's list of files has it in two pieces.
    page.locator(f'#table-file td.filename[aria-label="{path.name}"]').wait_for()


def test_look(visitor):
    page = visitor()
    act(page, "#look-go", "#look-shown img")
    cell = get_space("nasbench201").parse(CELL)
    assert get_space("nasbench201").hash(cell) in page.locator("#look-shown").inner_text()
    assert page.locator("#look-shown img").evaluate("image => image.complete && image.naturalWidth > 100")
    assert "space.parse" in page.locator(".cate-code:visible").first.inner_text()
    assert "cate show" in page.locator(".cate-code:visible").last.inner_text()
    assert page.hosts == {page.url.split("/")[2]}  # no fonts, no analytics
    assert page.errors == []


def test_the_examples(visitor):
    page = visitor()
    for example, space in (("NAS-Bench-101's matrix and operations", "nasbench101"), ("DARTS' genotype", "darts")):
        page.get_by_role("button", name=example, exact=True).click()
        page.wait_for_function(
            "text => document.querySelector('#given-text textarea').value === text", arg=EXAMPLES[example]
        )
        page.locator("#look-go").click()
        page.locator("#look-shown", has_text=space).wait_for()


@pytest.mark.long
def test_bad_input_is_a_line_in_place_and_goes_again(visitor):
    page = visitor()
    for text, said in (("rubbish", "expected JSON"), ("|none~0|+|nor", "expected |op~0|"), ("{", "not valid JSON")):
        page.locator("#given-text textarea").fill(text)
        page.locator("#look-go").click()
        page.locator("#look-problem .cate-problem", has_text=said).wait_for()
        assert len(page.locator("#look-problem").inner_text().splitlines()) == 1
    page.locator("#given-text textarea").fill(CELL)
    act(page, "#look-go", "#look-shown img")
    page.locator("#look-problem").wait_for(state="hidden")


def test_the_canvas(visitor):
    page = visitor()
    page.get_by_text("or draw one").click()
    svg = page.locator("#canvas svg")
    svg.click(position={"x": 120, "y": 40})
    nodes = page.locator("#canvas .node")
    assert nodes.count() == 3
    for node, other in ((0, 2), (2, 1)):
        nodes.nth(node).click()
        nodes.nth(other).click()
    page.wait_for_function("document.querySelector('#given-text textarea').value.includes('[0,0,1]')")
    act(page, "#look-go", "#look-shown img")
    assert "3 nodes, 2 edges" in page.locator("#look-shown").inner_text()
    assert "nasbench201" in page.locator("#look-shown").inner_text()


@pytest.mark.long
def test_neighbours_map_and_prediction_on_a_phone(visitor):
    page = visitor(PHONE)
    act(page, "#look-go", "#look-shown img")
    check_width(page)
    open_tab(page, "Neighbours")
    act(page, "#near-go", "#near-shown .cate-card")
    check_width(page)
    assert page.locator("#near-shown .cate-card").count() == 6
    open_tab(page, "Map")
    act(page, "#map-go", "#map-plot .js-plotly-plot")
    assert "400 architectures" in page.locator("#map-note").inner_text()
    check_width(page)
    open_tab(page, "Predict")
    act(page, "#predict-go", "#predict-shown .cate-bars")
    assert "90 % interval" in page.locator("#predict-shown").inner_text()
    check_width(page)
    assert page.errors == []


def test_a_race_is_drawn_while_it_runs_stopped_and_downloaded(visitor):
    page = visitor(PHONE)
    open_tab(page, "Race")
    act(page, "#race-go", "#race-table .cate-download")
    link = page.locator("#race-table .cate-download")
    rows = base64.b64decode(link.get_attribute("href").split(",")[1]).decode().splitlines()
    assert len(rows) == 1 + 3 * 3 * 60
    with page.expect_download() as downloaded:
        link.click()
    assert downloaded.value.suggested_filename == "race.csv"
    check_width(page)
    page.get_by_label("bananas").check()
    page.locator("#race-go").click()
    page.wait_for_function("!document.querySelector('#race-table .cate-download')")
    page.locator("#race-stop").click()
    page.wait_for_selector("#race-table .cate-download")
    assert "Stopped." in page.locator("#race-problem").inner_text()


@pytest.mark.long
def test_two_visitors_at_once(visitor, results):
    """Each sees the answer to what it asked, and nothing of the other's."""
    first, second = visitor(), visitor()
    for page in (first, second):
        open_tab(page, "Your table")
    upload(first, results)
    first.locator("#table-go").click()
    second.locator("#table-go").click()
    second.wait_for_selector("#table-problem .cate-problem")
    assert "upload a table first" in second.locator("#table-problem").inner_text()
    first.wait_for_selector("#table-shown .cate-card")
    assert "40 architectures of nasbench201" in first.locator("#table-shown").inner_text()
    assert "results.csv" not in second.content()
    assert second.locator("#table-shown").inner_text().strip() == ""


def test_bad_tables_are_told_in_a_line(visitor, tmp_path):
    page = visitor(PHONE)
    open_tab(page, "Your table")
    path = tmp_path / "bad.csv"
    path.write_text("architecture,accuracy\n|none~0|,1\n")
    upload(page, path)
    act(page, "#table-go", "#table-problem .cate-problem")
    assert page.locator("#table-problem").inner_text().startswith("bad.csv, row 0: ")
    check_width(page)


# Without a browser: what somebody could ask the server for by hand.


def ask(served, data: list, target: str) -> str:
    """The server's answer to a click on the button of this elem_id, with data of somebody's own."""
    number = next(
        entry["id"]
        for entry in served.config["dependencies"]
        if any(served.blocks[button].elem_id == target for button, _ in entry["targets"])
    )
    url, session = f"{served.local_url}gradio_api/queue", f"test-{number}"
    asked = {"data": data, "fn_index": number, "session_hash": session}
    with httpx.Client(timeout=60) as client:
        if (joined := client.post(f"{url}/join", json=asked)).status_code != 200:
            return joined.text
        with client.stream("GET", f"{url}/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                if '"process_completed"' in line:
                    return line
    return ""


def test_files_of_the_machine_are_not_given_out(served, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text('{"operations": ["input", "topsecret", "output"], "adjacency": [[0,1,0],[0,0,1],[0,0,0]]}')
    for path in ("/etc/passwd", secret, "setup.cfg"):
        answer = httpx.get(f"{served.local_url}gradio_api/file={path}")
        assert answer.status_code in (403, 404)
    sent = {"path": str(secret), "meta": {"_type": "gradio.FileData"}, "orig_name": "secret.json"}
    answer = ask(served, ["", "find it", sent], "look-go")
    assert '"success":false' in answer.replace(" ", "")
    assert "topsecret" not in answer
    good = ask(served, [CELL, "find it", None], "look-go")
    assert "nor_conv_3x3" in good


def test_uploads_are_bounded(served):
    answer = httpx.post(
        f"{served.local_url}gradio_api/upload", files={"files": ("big.csv", b" " * (MAX_UPLOAD + 1))}, timeout=60
    )
    assert answer.status_code == 413
    assert _table.MOST_BYTES <= MAX_UPLOAD


def test_nothing_is_told_to_anybody(served):
    assert served.analytics_enabled is False
    assert served.share is False
    page = httpx.get(served.local_url).text
    assert re.findall(r'(?:src|href)="https?://(?!127\.0\.0\.1)[^"]+\.(?:js|css)"', page) == []
    assert "fonts.googleapis" not in page
    assert "fonts.googleapis" not in httpx.get(f"{served.local_url}theme.css").text
