"""The report, opened in a browser."""

from __future__ import annotations

import html
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.browser]

# The report's style sheets are compiled in the page, which its library advises against.
KNOWN_WARNING = "cdn.tailwindcss.com should not be used in production"


@dataclass(frozen=True)
class Page:
    """A page as the browser has it after running its scripts."""

    text: str
    messages: list[str]
    requests: list[str]


def open_page(chromium: str, page: Path, place: Path) -> Page:
    """Open a page in a fresh browser, and return what it shows, complains of and asks for."""
    log = place / "net_log.json"
    command = [
        *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", f"--user-data-dir={place / 'profile'}", "--virtual-time-budget=8000"),
        *("--enable-logging=stderr", f"--log-net-log={log}", "--dump-dom", page.as_uri()),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=True, timeout=120
    )
    shown = re.sub(r"<(script|style|noscript)\b.*?</\1>", " ", done.stdout, flags=re.DOTALL)
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", shown)).split())
    messages = re.findall(r"CONSOLE[^\]]*\] (.*)", done.stderr)
    return Page(text, messages, requests_of_pages(log))


def requests_of_pages(log: Path) -> list[str]:
    """Return the network addresses that a page asked for.

    The browser has business of its own (updates, accounts). What it asks for itself has no
    initiator; what a page asks for, by script, image, style sheet or font, has the page.
    """
    content = json.loads(log.read_text("utf-8"))
    start = content["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    entries = [e.get("params", {}) for e in content["events"] if e["type"] == start]
    return [
        entry["url"]
        for entry in entries
        if entry.get("initiator", "not an origin") != "not an origin"
        and re.match("(https?|wss?|ftp):", entry.get("url", ""))
    ]


@pytest.fixture(scope="module")
def report(whole_run, chromium, tmp_path_factory):
    page = whole_run.folder / "results" / "tiny" / "report.html"
    return open_page(chromium, page, tmp_path_factory.mktemp("browser"))


def test_the_report_opens_with_the_result_in_a_sentence(whole_run, report):
    results = whole_run.folder / "results" / "tiny"
    for name in ("headline.txt", "network/headline.txt"):
        assert " ".join((results / name).read_text("utf-8").split()) in report.text
    assert report.text.index("held-out L2") < report.text.index("Start with")


def test_the_report_has_a_category_for_every_part_of_the_chain(report):
    menu = report.text[: report.text.index("tiny.")]
    for category in ("Screen", "Prediction", "Network"):
        assert category in menu.split()


def test_every_table_and_figure_is_in_its_category(whole_run):
    page = (whole_run.folder / "results" / "tiny" / "report.html").read_text("utf-8")
    written = re.search(r"var categories = (\{.*?\});\n", page)
    found = {
        name: {path.removeprefix("results/tiny/") for part in parts.values() for path in part}
        for name, parts in json.loads(written[1]).items()
    }
    assert found.keys() == {"Screen", "Prediction", "Network"}
    tables = {"qc.tsv", "design.tsv", "differential_expression.tsv"}
    tables |= {"mixed_forms/variance.tsv", "mixed_forms/codes.tsv"}
    drawn = {f"figures/{name}.png" for name in ("on_target", "linear_systems", "mixed_forms")}
    assert tables | drawn <= found["Screen"]
    scores = {"metrics.tsv", "summary.tsv", "comparisons.tsv", "figures/held_out_error.png"}
    drawn = {"error_by_genes", "embedding_swaps", "doubles", "calibration"}
    drawn |= {"observed_against_predicted", "predicted_against_truth"}
    scores |= {"screen.tsv", *(f"figures/{name}.png" for name in drawn)}
    assert scores <= found["Prediction"]
    tables = {"updates.tsv", "statistics.tsv", "changes.tsv", "scores.tsv", "network.graphml"}
    tables |= {"strongest.tsv", "estimators.tsv", "genes.tsv", "responses_summary.tsv"}
    tables |= {"responses_comparisons.tsv"}
    assert {f"network/{name}" for name in tables} <= found["Network"]
    drawn = (whole_run.folder / "results" / "tiny" / "figures").glob("*.png")
    assert {f"figures/{path.name}" for path in drawn} <= set.union(*found.values())


def test_the_report_asks_the_network_for_nothing_and_has_no_errors(report):
    assert report.requests == []
    assert [line for line in report.messages if KNOWN_WARNING not in line] == []


def test_a_page_that_asks_the_network_or_fails_would_be_noticed(chromium, tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<img src="http://localhost:9/picture.png"><script>missing()</script>Hello')
    found = open_page(chromium, page, tmp_path)
    assert found.text == "Hello"
    assert found.requests == ["http://localhost:9/picture.png"]
    assert any("missing is not defined" in line for line in found.messages)
