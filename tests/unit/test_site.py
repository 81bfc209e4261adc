"""The documentation as a site: built without a warning, whole in itself, its examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What a page fetches by itself, and where a reader may follow it to.
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Addresses(HTMLParser):
    """The addresses that a page fetches, those that it links to, and its anchors."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.linked: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self.anchors |= {value for key in ("id", "name") if (value := named.get(key))}
        if (address := named.get(FETCHED.get(tag, ""))) is not None:
            self.fetched.append(address)
        elif tag == "a" and (address := named.get("href")) is not None:
            self.linked.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site; any warning ends the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Addresses]:
    return {page: Addresses(page) for page in site.rglob("*.html")}


def test_pages_and_their_styles_fetch_nothing_from_elsewhere(site, pages):
    fetched = {address for page in pages.values() for address in page.fetched}
    styles = " ".join(style.read_text("utf-8") for style in site.rglob("*.css"))
    fetched |= {url.strip("'\" ") for url in re.findall(r"(?:url\(|@import )([^);]*)", styles)}
    assert "css/theme.css" in fetched
    assert [url for url in fetched if re.match(r"(https?:)?//", url)] == []


def test_every_link_within_the_site_leads_somewhere(site, pages):
    lost = []
    for page, addresses in pages.items():
        for address in {*addresses.linked, *addresses.fetched}:
            path, anchor = urldefrag(unquote(address))
            if re.match(r"[a-z]+:", path) or page.name == "404.html":
                continue
            target = (page.parent / path).resolve() if path else page
            known = pages[target].anchors if target in pages else {anchor}
            if not target.exists() or (anchor and anchor not in known):
                lost.append(f"{page.name}: {address}")
    assert lost == []
    assert (site / "index.html") in pages
    assert (site / "CITATION.cff").read_bytes() == (ROOT / "CITATION.cff").read_bytes()


def test_files_of_the_project_are_pages(site):
    for page, word in {
        "index": "make demo",
        "results": "differential_expression.parquet",
        "changelog": "0.1.0",
    }.items():
        assert word in (site / f"{page}.html").read_text("utf-8")


@pytest.mark.parametrize("name", ["Training", "fit_predictor", "UpdatedPrecision", "fit_forms"])
def test_the_api_page_shows_what_docstrings_say_of_parameters(site, name):
    page = (site / "api.html").read_text("utf-8")
    place = re.search(rf'id="lgem\.[a-z_.]+\.{name}"', page)
    assert place is not None
    following = page[place.end() :].partition('<h3 id="')[0]
    assert "Parameters" in following
    assert "(genes" in following or "Returns" in following


@pytest.mark.parametrize("number", range(2))
def test_the_examples_of_the_api_page_run(number):
    example = PYTHON.findall((ROOT / "docs" / "api.md").read_text("utf-8"))[number]
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=ROOT, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.split()
    if number == 0:
        correlation, covered = map(float, last[-2:])
        assert correlation > 0.7
        assert covered > 0.6
    else:
        assert last[-2] == "True"
        assert float(last[-1]) == pytest.approx(0.5, abs=0.1)
