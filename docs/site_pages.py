"""Pages of the site that are files of the project: README, results/README.md, the changelog.

None of them is kept twice: their text is taken when the site is built, and links between files of
the project become links between pages.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "results/README.md": "results.md",
    "CHANGELOG.md": "changelog.md",
}
# Linked to by some page, and no page themselves.
AS_THEY_ARE = ("CITATION.cff", "LICENSE", "config.yaml")
LINK = re.compile(r"(\]\()([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the project that the site shows."""
    for path, page in PAGES.items():
        text = (ROOT / path).read_text("utf-8")
        files.append(File.generated(config, page, content=text))
    for path in AS_THEY_ARE:
        name = path if "." in path else f"{path}.txt"
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files of the project lead to their pages."""
    origins = {there: here for here, there in PAGES.items()}
    path = origins.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    folder = (ROOT / path).parent

    def on_site(link: re.Match[str]) -> str:
        return link[1] + _on_site(link[2], folder)

    return LINK.sub(on_site, markdown)


def _on_site(link: str, folder: Path) -> str:
    """Return where a link of a file in a folder of the project leads to on the site."""
    target = (folder / link).resolve()
    if "://" in link or not target.is_relative_to(ROOT):
        return link
    path = target.relative_to(ROOT).as_posix()
    if path in AS_THEY_ARE:
        return path if "." in path else f"{path}.txt"
    return PAGES.get(path, path.removeprefix("docs/"))
