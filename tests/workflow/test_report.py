"""The report, used in a browser as a reader would: looked at, searched, sorted, saved, printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from lgem.files import write_table
from lgem.report.columns import meaning
from lgem.report.page import nothing_drawn, render
from lgem.report.sections import SECTIONS, Figure, Table
from tests.unit import report_cases

pytestmark = [pytest.mark.workflow, pytest.mark.browser]

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PAPER = {"width": 718, "height": 1047}  # A4 within its margins, at 96 dots per inch
# Text on what is behind it, as the guidelines for accessible pages ask (WCAG 2, AA).
CONTRAST = 4.5
FAINT_TEXTS = """least => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parts(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll("body *:not(script, style, svg *, :disabled)")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility()) continue;
    const [a, b] = [light(parts(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least) found.push(`${e.tagName} ${e.textContent.slice(0, 30)} ${ratio}`);
  }
  return found;
}"""


@dataclass
class Opened:
    """A page in the browser, what it complained of, and what it asked for besides itself."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def note(self, address: str) -> None:
        if not address.startswith(("data:", "blob:", "file:")):
            self.requests.append(address)

    def table(self, file: str) -> Locator:
        return self.page.locator(f'.table[data-file="{file}"]')

    def column(self, file: str, name: str) -> list[str]:
        """The cells of a column as they are shown now, with all their digits."""
        table = self.table(file)
        names = [text.rstrip(" ↕↑↓") for text in table.locator("thead th").all_inner_texts()]
        cells = table.locator(f"tbody td:nth-child({names.index(name) + 1})")
        return cells.evaluate_all("cells => cells.map((c) => c.title || c.textContent)")


def open_page(browser: Browser, path: Path, **options: object) -> Opened:
    """Open a page in a window of its own, and listen to it from the start."""
    page = browser.new_context(**{"viewport": WIDE, **options}).new_page()
    opened = Opened(page)
    page.on("console", lambda message: opened.messages.append(message.text))
    page.on("pageerror", lambda error: opened.messages.append(str(error)))
    page.on("request", lambda request: opened.note(request.url))
    page.goto(path.as_uri())
    return opened


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Of root, Chromium asks for --no-sandbox.
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def results(whole_run) -> Path:
    return whole_run.folder / "results" / "tiny"


@pytest.fixture
def report(browser, results) -> Iterator[Opened]:
    opened = open_page(browser, results / "report.html")
    yield opened
    assert opened.messages == []
    assert opened.requests == []
    opened.page.context.close()


# What is on the page


def test_the_report_opens_with_the_answers_and_the_result_in_sentences(report, results):
    text = " ".join(report.page.locator("#answers").inner_text().split())
    asked = report.page.locator(".card h2").all_inner_texts()
    assert asked[:2] == ["Which perturbations count?", "Does the model beat the baselines?"]
    assert "Is the truth recovered?" in asked
    for name in ("headline.txt", "network/responses_headline.txt", "network/headline.txt"):
        assert " ".join((results / name).read_text("utf-8").split()) in text
    headline = (results / "headline.txt").read_text("utf-8")
    card = report.page.locator(".card").nth(1).inner_text()
    means, difference, interval = re.search(
        r"L2 (\S+) for .*difference (\S+), (90 % interval \S+ to [^,]+),", card
    ).groups()
    for number in (means, difference, interval):
        assert number in headline


def test_every_figure_and_table_is_in_its_section_and_every_picture_loads(report, results):
    made = (results / "figures").glob("*.png")
    drawn = {path.name for path in made if not nothing_drawn(path.with_suffix(".tsv"))}
    for section in SECTIONS:
        place = report.page.locator(f"section#{section.key}")
        for part in section.parts:
            if isinstance(part, Figure):
                name = part.name
                assert place.locator(f"#figure-{name} img").count() == (f"{name}.png" in drawn)
            elif isinstance(part, Table):
                assert place.locator(f'.table[data-file="{part.file}"]').count() == 1
    images = report.page.locator("img")
    assert set(images.evaluate_all("all => all.map((i) => i.dataset.name)")) == drawn
    assert images.evaluate_all("all => all.filter((i) => !i.naturalWidth).length") == 0
    assert min(map(len, images.evaluate_all("all => all.map((i) => i.alt)"))) > 20


def test_every_column_of_every_table_is_explained(results):
    tables = [part for section in SECTIONS for part in section.parts if isinstance(part, Table)]
    columns = [
        (table.file, column)
        for table in tables
        for column in (results / table.file).open(encoding="utf-8").readline().split()
    ]
    assert len(columns) > 100
    assert [both for both in columns if not meaning(*both)] == []


def test_settings_provenance_and_the_way_to_repeat_are_told(report, results):
    page = report.page
    assert page.locator("#repeat pre").last.inner_text().strip() == (
        (results / "config.yaml").read_text("utf-8").strip()
    )
    page.locator("#methods summary", has_text="pseudobulk").click()
    chosen = page.locator("#methods details[open] .chosen-row")
    assert chosen.all_inner_texts() == [
        "min_cells\t25\tcells that a perturbation needs (kind cells)"
    ]
    assert "numpy" in page.locator("#provenance").inner_text()


# Tables


def test_the_screen_is_searched_by_words(report, results):
    screen = pd.read_csv(results / "screen.tsv", sep="\t", dtype=str)
    gene = screen["target"].iloc[-1]
    table = report.table("screen.tsv")
    table.get_by_label("Search in Predicted perturbations").fill(f"{gene.lower()} false")
    named = (screen["target"] == gene) | screen["top_genes"].str.contains(gene)
    expected = screen[named & (screen["in_training"] == "False")]
    assert 0 < len(expected) < len(screen)
    assert report.column("screen.tsv", "target") == list(expected["target"].head(15))
    table.get_by_role("searchbox").fill("no such gene")
    assert "nothing found" in table.inner_text()


def test_columns_of_numbers_are_sorted_as_numbers_both_ways_with_blanks_last(report, results):
    qc = pd.read_csv(results / "qc.tsv", sep="\t")
    report.page.locator("summary", has_text="qc.tsv").click()
    for direction, ascending in (("ascending", True), ("descending", False)):
        report.table("qc.tsv").get_by_role("button", name="on_target_z").click()
        sorted_ = qc["on_target_z"].sort_values(ascending=ascending, kind="stable").head(15)
        shown = [float(cell or "nan") for cell in report.column("qc.tsv", "on_target_z")]
        assert shown == pytest.approx(list(sorted_), nan_ok=True)
        head = report.table("qc.tsv").locator('th[aria-sort]:not([aria-sort="none"])')
        assert head.get_attribute("aria-sort") == direction


def test_pages_go_on_where_the_last_one_ended(report, results):
    screen = pd.read_csv(results / "screen.tsv", sep="\t")
    table = report.table("screen.tsv")
    shown = report.column("screen.tsv", "target")
    assert table.get_by_role("button", name="Previous").is_disabled()
    while table.get_by_role("button", name="Next").is_enabled():
        table.get_by_role("button", name="Next").click()
        shown += report.column("screen.tsv", "target")
    assert shown == list(screen["target"])
    assert f"of {len(screen)}" in table.inner_text()


@pytest.mark.parametrize("file", ["screen.tsv", "design.tsv", "network/strongest.tsv"])
def test_a_table_that_is_saved_is_the_file_itself(report, results, file):
    with report.page.expect_download() as saved:
        report.table(file).get_by_role("button", name="Save as TSV").click()
    assert saved.value.suggested_filename == Path(file).name
    assert Path(saved.value.path()).read_bytes() == (results / file).read_bytes()


def test_pictures_and_the_graph_are_saved_as_the_files_that_they_are(report, results):
    figure = report.page.locator("#figure-held_out_error")
    extra = report.page.locator('.extra[data-file="network/network.graphml"]')
    for place, name in ((figure, "figures/held_out_error.png"), (extra, "network/network.graphml")):
        with report.page.expect_download() as saved:
            place.get_by_role("button", name="Save").click()
        assert Path(saved.value.path()).read_bytes() == (results / name).read_bytes()


# The network


def test_a_gene_of_the_network_is_found_centred_and_marked_with_its_neighbours(report, results):
    page, edges = report.page, pd.read_csv(results / "network/strongest.tsv", sep="\t")
    gene = edges["gene_a"].mode()[0]
    page.get_by_role("combobox", name="Gene").fill(gene.lower())
    assert page.locator("svg .found").get_attribute("data-gene") == gene
    lines = page.locator("svg line").evaluate_all(
        "all => all.map((l) => [l.dataset.a, l.dataset.b])"
    )
    assert {tuple(pair) for pair in lines} >= set(
        zip(edges["gene_a"], edges["gene_b"], strict=True)
    )
    neighbours = {b if a == gene else a for a, b in lines if gene in (a, b)}
    marked = page.locator("svg .node.near").evaluate_all("all => all.map((n) => n.dataset.gene)")
    assert set(marked) == neighbours
    told = page.locator(".chosen")
    assert told.locator("button").count() == len([pair for pair in lines if gene in pair])
    x, y, width, height = map(float, page.locator("svg").get_attribute("viewBox").split())
    circle = page.locator("svg .found circle")
    at = [float(circle.get_attribute(name)) for name in ("cx", "cy")]
    assert x <= at[0] <= x + width
    assert y <= at[1] <= y + height

    told.locator("button").first.press("Enter")
    assert page.locator("svg .found").get_attribute("data-gene") in neighbours
    page.get_by_role("combobox", name="Gene").fill("nothing of the kind")
    page.get_by_role("combobox", name="Gene").press("Tab")
    assert "is not among the genes" in told.inner_text()


def test_the_graph_shows_before_after_and_change(report):
    page = report.page
    for mode in ("before", "change", "after"):
        page.locator(f'input[name="mode"][value="{mode}"]').check()
        found = page.locator("svg line").evaluate_all(
            """(all, mode) => all.map((l) => [l.getAttribute("stroke-width"),
            l.dataset[mode + "Width"], l.getAttribute("class"), Number(l.dataset[mode])])""",
            mode,
        )
        assert found
        assert all(width == wanted for width, wanted, _, _ in found)
        assert all((kind == "negative") == (value < 0) for _, _, kind, value in found)


def test_the_graph_moves_by_keyboard_wheel_and_mouse(report):
    page = report.page
    svg = page.locator("svg")

    def view():
        return [float(part) for part in svg.get_attribute("viewBox").split()]

    whole = view()
    svg.focus()
    page.keyboard.press("+")
    assert (zoomed := view())[2] < whole[2]
    page.keyboard.press("ArrowRight")
    assert view()[0] > zoomed[0]
    page.keyboard.press("0")
    assert view() == whole
    svg.scroll_into_view_if_needed()
    svg.hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_function(
        "w => document.querySelector('svg').viewBox.baseVal.width < w", arg=whole[2]
    )
    before = view()
    page.mouse.down()
    box = svg.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 40, steps=4)
    page.mouse.up()
    assert view()[0] > before[0]
    page.get_by_role("button", name="Show all").click()
    assert view() == whole


# Every reader


def test_the_keyboard_alone_leads_to_the_results_and_sorts_them(report):
    page = report.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    button = report.table("screen.tsv").get_by_role("button", name="effect_size")
    button.press("Enter")
    shown = [float(cell) for cell in report.column("screen.tsv", "effect_size")]
    assert shown == sorted(shown)
    assert page.evaluate("document.activeElement.textContent") == "effect_size"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_is_wider_than_the_window(browser, results, viewport):
    opened = open_page(browser, results / "report.html", viewport=viewport)
    opened.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert opened.page.locator(".table .tools").count() == opened.page.locator(".table").count()
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.page.locator(".contents").is_visible() == (viewport is WIDE)
    opened.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_by_day_and_by_night(browser, results, scheme):
    opened = open_page(browser, results / "report.html", color_scheme=scheme)
    opened.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert opened.page.evaluate(FAINT_TEXTS, CONTRAST) == []
    assert opened.page.evaluate(FAINT_TEXTS, 21.1)  # which no colours reach
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(13, 17, 23)") == (scheme == "dark")
    opened.page.context.close()


def test_without_scripts_headline_figures_and_first_rows_are_there(browser, results):
    opened = open_page(browser, results / "report.html", java_script_enabled=False)
    page = opened.page
    assert "held-out L2" in page.locator("#answers").inner_text()
    assert page.locator("#figure-held_out_error img").is_visible()
    screen = pd.read_csv(results / "screen.tsv", sep="\t")
    first = opened.table("screen.tsv").locator("tbody td:first-child").all_inner_texts()
    assert first == list(screen["target"].head(10))
    assert page.locator("svg .node").count() > 3
    assert not page.locator(".graph .tools").is_visible()
    page.context.close()


def test_on_paper_all_is_whole_and_there_are_no_controls(browser, results):
    opened = open_page(browser, results / "report.html", viewport=PAPER)
    page = opened.page
    assert page.locator("button.copies:visible").count() == 2
    page.emulate_media(media="print")
    controls = ".tools:visible, button.save:visible, button.copies:visible, .contents:visible"
    assert page.locator(controls).count() == 0
    assert page.locator("img").first.is_visible()
    fits = (
        "all => all.map((b) => b.scrollWidth <= b.clientWidth && b.scrollHeight <= b.clientHeight)"
    )
    for what in (".table .scroll:visible", "pre:visible"):
        sizes = page.locator(what).evaluate_all(fits)
        assert sizes
        assert all(sizes), what
    page.context.close()


def test_wide_figures_stay_legible_on_a_phone_and_wide_tables_on_a_desk(browser, results):
    phone = open_page(browser, results / "report.html", viewport=NARROW)
    width = phone.page.locator("#figure-held_out_error img").bounding_box()["width"]
    assert width > 1.5 * NARROW["width"]
    phone.page.context.close()
    desk = open_page(browser, results / "report.html", viewport=WIDE)
    box = desk.page.locator('.table[data-file="screen.tsv"] .scroll')
    assert box.evaluate("b => b.scrollWidth <= b.clientWidth")
    desk.page.context.close()


# Other data


def test_names_that_are_markup_and_thousands_of_rows_do_no_harm(browser, tmp_path):
    files = report_cases.screen_files(tmp_path)
    rows = {"target": [f"G{k}" for k in range(20_000)], "effect_size": range(20_000)}
    screen = pd.concat([pd.read_csv(files["screen.tsv"], sep="\t"), pd.DataFrame(rows)])
    write_table(screen, files["screen.tsv"])
    path = tmp_path / "report.html"
    path.write_text(render(files, "x", [], report_cases.SCORING), "utf-8")

    opened = open_page(browser, path)
    assert opened.page.evaluate("typeof hacked") == "undefined"
    assert opened.column("screen.tsv", "target")[:3] == list(report_cases.NAMES)
    search = opened.table("screen.tsv").get_by_role("searchbox")
    search.fill("</script>")
    assert opened.column("screen.tsv", "target") == [report_cases.HOSTILE]
    search.fill("")
    for _ in range(2):
        opened.table("screen.tsv").get_by_role("button", name="effect_size").click()
    assert opened.column("screen.tsv", "target")[0] == "G19999"
    assert "of 20,003" in opened.table("screen.tsv").inner_text()
    opened.page.get_by_role("combobox", name="Gene").fill(report_cases.HOSTILE)
    assert opened.page.locator(".chosen strong").inner_text() == report_cases.HOSTILE
    assert (opened.messages, opened.requests) == ([], [])
    assert opened.page.evaluate("typeof hacked") == "undefined"
    opened.page.context.close()


def test_a_page_that_asks_the_network_or_fails_would_be_noticed(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text('<img src="http://localhost:9/picture.png"><script>missing()</script>Hello')
    opened = open_page(browser, path)
    assert opened.requests == ["http://localhost:9/picture.png"]
    assert any("missing is not defined" in line for line in opened.messages)
    opened.page.context.close()
