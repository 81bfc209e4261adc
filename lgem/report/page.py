"""The page itself: result files put into words, pictures and tables, and into one HTML file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from lgem.files import read_table
from lgem.report import graph, tables, words
from lgem.report.answers import Scoring, cards, nothing_specific
from lgem.report.sections import EXTRAS, SECTIONS, Figure, Graph, Section, Table

HERE = Path(__file__).parent
# How much of what a picture says below itself goes into its description.
LONGEST_ALT = 400


def render(
    files: Mapping[str, Path],
    dataset: str,
    settings: Sequence[Mapping[str, Any]],
    scoring: Scoring,
) -> str:
    """Return the page of a dataset; the same files and settings give the same bytes.

    Parameters
    ----------
    files
        Result files by their path within the folder of results, with ``config.yaml``.
    dataset
        Its name.
    settings
        What the run was told, see `lgem.settings.described_settings`.
    scoring
        How predictions were scored.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    environment.filters["marked"] = marked
    origin = provenance(files)
    return environment.get_template("page.html.j2").render(
        dataset=dataset,
        headlines=[files[name].read_text("utf-8").strip() for name in HEADLINES if name in files],
        size=size(files, settings),
        cards=cards(files, scoring),
        words=_words(files, scoring, settings),
        sections=[_section(section, files) for section in SECTIONS],
        extras=[_extra(name, what, files) for name, what in EXTRAS.items() if name in files],
        settings=settings,
        config=files["config.yaml"].read_text("utf-8"),
        origin=origin,
        digests=[_digest(name, path) for name, path in sorted(files.items())],
        modes={"before": "before updates", "after": "after updates", "change": "change"},
        drawing={"width": graph.WIDTH, "height": graph.HEIGHT, "radius": graph.RADIUS},
        # Their marks of HTML must not be escaped; neither file has anything of the user's in it.
        style=(HERE / "page.css").read_text("utf-8"),
        script=(HERE / "page.js").read_text("utf-8"),
    )


HEADLINES = ("headline.txt", "network/responses_headline.txt", "network/headline.txt")


def size(files: Mapping[str, Path], settings: Sequence[Mapping[str, Any]]) -> str:
    """Return how much was measured, in a line below the title; blank where no screen was."""
    if "qc.json" not in files:
        return ""
    known = json.loads(files["qc.json"].read_text("utf-8"))
    rows = [row for group in settings for row in group["rows"]]
    bulk = any((row["key"], row["value"]) == ("kind", "profiles") for row in rows)
    told = []
    if {"cells", "control_cells"} <= set(known):
        kind = "profiles" if bulk else "cells"
        told.append(f"{known['cells']:,} {kind}, {known['control_cells']:,} of them control")
    for key, one, many in COUNTED:
        if key in known:
            told.append(f"{known[key]:,} {one if known[key] == 1 else many}")
    return " · ".join(told)


COUNTED = (
    ("batches", "batch", "batches"),
    ("perturbations_asked", "perturbation asked for", "perturbations asked for"),
)


def _words(
    files: Mapping[str, Path], scoring: Scoring, settings: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Return the words of the page with their meanings."""
    published = [
        str(group["title"]).removeprefix("models: ")
        for group in settings
        if any(row["key"] == "preset" and "paper" in row["value"] for row in group["rows"])
    ]
    others = [*scoring.baselines, *scoring.controls]
    told = words.explained(scoring.models, published, others) if "qc.tsv" in files else {}
    network = words.NETWORK_WORDS if "network/statistics.tsv" in files else {}
    return {**told, **network}


def marked(text: str) -> str:
    """Return a caption as HTML: `code` and *names of columns* are marked, all else is escaped."""
    safe = str(jinja2.utils.markupsafe.escape(text))
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    return jinja2.utils.markupsafe.Markup(re.sub(r"\*(\w[^*]*)\*", r"<em>\1</em>", safe))


def _section(section: Section, files: Mapping[str, Path]) -> dict[str, Any]:
    """Return what the template needs of a section; of its parts those whose file is there."""
    parts = [_part(part, files) for part in section.parts if part.file in files]
    return {**section._asdict(), "parts": [part for part in parts if part is not None]}


def _part(part: Figure | Table | Graph, files: Mapping[str, Path]) -> dict[str, Any] | None:
    common = {"title": part.title, "caption": part.caption}
    if isinstance(part, Table):
        data = tables.read_for_page(part.file, files[part.file])
        warning = nothing_specific(files[part.file]) if part.file == "screen.tsv" else ""
        folded = {"unfolded": part.unfolded, "warning": warning}
        return {"kind": "table", **common, **folded, **data._asdict()}
    if isinstance(part, Graph):
        given = [read_table(files[name]) for name in (part.edges, part.changes, part.genes)]
        found = graph.drawing(*given)
        return None if found is None else {"kind": "graph", **common, **found._asdict()}
    content = files[part.file].read_bytes()
    wide, high = struct.unpack(">II", content[16:24])
    drawn = files.get(f"figures/{part.name}.tsv")
    return {
        "kind": "figure",
        **common,
        "name": part.name,
        "nothing": nothing_drawn(drawn),
        "alt": described(part, drawn),
        "width": wide,
        "height": high,
        "png": base64.b64encode(content).decode("ascii"),
    }


def nothing_drawn(drawn: Path | None) -> str:
    """Return why a picture has nothing in it, as its numbers say; blank where it has something."""
    if drawn is None:
        return ""
    table = read_table(drawn)
    if "note" not in table or table.empty or not (table["mark"] == "note").all():
        return ""
    return " ".join(dict.fromkeys(table["note"].dropna().astype(str)))


def described(part: Figure, drawn: Path | None) -> str:
    """Return what a picture shows, with the numbers that it gives in words itself."""
    said: list[str] = []
    if drawn is not None:
        table = read_table(drawn)
        if "note" in table:
            said = list(dict.fromkeys(table["note"].dropna().astype(str)))
    title = part.title if part.title.endswith("?") else f"{part.title}."
    text = " ".join([title, *(said or [part.caption])])
    return text if len(text) <= LONGEST_ALT else text[: LONGEST_ALT - 1] + "…"


def _extra(name: str, what: str, files: Mapping[str, Path]) -> dict[str, Any]:
    """Return a file to be saved from the page, if it is small enough to be in it."""
    small = files[name].stat().st_size <= tables.MOST_BYTES
    return {
        "file": name,
        "what": what,
        "text": files[name].read_text("utf-8") if small else None,
    }


def _digest(name: str, path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"file": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def provenance(files: Mapping[str, Path]) -> dict[str, Any]:
    """Return seed and versions, and digests of config by what was made from it, as files tell."""
    records = {
        name.removeprefix("figures/"): record
        for name, path in sorted(files.items())
        if name.endswith(".png") and (record := png_description(path))
    }
    if "qc.json" in files:
        content = json.loads(files["qc.json"].read_text("utf-8"))
        records["qc.json"] = content["provenance"]
    digests: dict[str, list[str]] = {}
    for name, record in records.items():
        digests.setdefault(record["config_digest"], []).append(name)
    versions = {k: v for record in records.values() for k, v in record["versions"].items()}
    seeds = sorted({record["seed"] for record in records.values()})
    return {"seeds": seeds, "versions": versions, "digests": digests}


def png_description(path: Path) -> dict[str, Any]:
    """Return the provenance that a figure carries in its description, if it does."""
    content, at = path.read_bytes(), 8
    while at + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        body = content[at + 8 : at + 8 + length]
        key, _, text = body.partition(b"\0")
        if kind == b"tEXt" and key == b"Description":
            return dict(json.loads(text.decode("latin-1")))
        at += 12 + length
    return {}
