"""Small result files for the page: a screen whose names are as bad as names can be."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pandas as pd

from lgem.files import write_table, write_text
from lgem.report.answers import Scoring

HOSTILE = "</script><script>hacked=1</script>"
NAMES = (HOSTILE, "A&B", 'C"d')
SCORING = Scoring(("mine",), ("no_change", "additive"), ("random",), 200, 0.9, 1)
PROVENANCE = {
    "dataset": "x",
    "config_digest": "0123456789abcdef",
    "seed": 7,
    "versions": {"a": "1"},
}
CONFIG = f"dataset: [x]  # {HOSTILE}\n"


def png(text: str | None = None) -> bytes:
    """One white pixel, with a description if one is given."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checked = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checked

    described = chunk(b"tEXt", b"Description\0" + text.encode("latin-1")) if text else b""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0\xff"))
    return b"\x89PNG\r\n\x1a\n" + head + described + body + chunk(b"IEND", b"")


def metrics(values: dict[str, list[float]], names=NAMES) -> pd.DataFrame:
    """Scores of models: one L2 per name, missing where the value is."""
    rows = [
        ("l2", "top", model, name, value, "predicted" if value == value else "left_out")
        for model, scores in values.items()
        for name, value in zip(names, scores, strict=True)
    ]
    columns = ["metric", "gene_set", "model", "perturbation", "value", "status"]
    table = pd.DataFrame(rows, columns=columns).assign(repeat=1, fold=1)
    return table.assign(reason=table["status"].map({"left_out": "3 cells, fewer than 10"}))


def qc() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "perturbation": NAMES,
            "on_target_gene": ["G1", "G2", None],
            "on_target_z": [-5.0, 0.5, None],
            "status": ["kept", "kept", "left_out"],
            "reason": [None, None, "3 cells, fewer than min_cells 10"],
        }
    )


def summary() -> pd.DataFrame:
    row = ("mine", "top", "shared", "l2", 1.0, 3, 0.25, None)
    columns = ["model", "gene_set", "perturbations", "metric", "mean", "n"]
    columns += ["calibrated", "calibrated_reason"]
    return pd.DataFrame([row], columns=columns)


def edges() -> pd.DataFrame:
    """A chain of four genes, of which the last edge appears with the updates."""
    rows = [(HOSTILE, "A&B", 0.5, 0.5), ("A&B", "G3", -0.3, -0.2), ("G3", "G4", 0.0, 0.1)]
    table = pd.DataFrame(rows, columns=["gene_a", "gene_b", "before", "after"])
    change = table["after"].abs() - table["before"].abs()
    return table.assign(change=change, selected_by="top", q_value=0.5)


def changes() -> pd.DataFrame:
    all_of_them = edges().tail(2).assign(update="all updates", rank=[1, 2])
    alone = edges().head(1).assign(gene_b="G9", update="A&B", rank=1)
    return pd.concat([all_of_them, alone])


def genes() -> pd.DataFrame:
    names = [HOSTILE, "A&B", "G3", "G4"]
    return pd.DataFrame({"gene": names, "module": [1, 1, 2, None], "target": [True] + 3 * [False]})


def statistics() -> pd.DataFrame:
    rows = [("genes", 4, 4), ("strong_edges", 1, 2), ("shrinkage", 0.9, None)]
    return pd.DataFrame(rows, columns=["metric", "before", "after"])


def updates(number: int = 1) -> pd.DataFrame:
    return pd.DataFrame({"order": range(number), "source": "predicted responses"})


def network_files(folder: Path) -> dict[str, Path]:
    """What a dataset has that names no perturbation."""
    tables = {"strongest": edges(), "changes": changes(), "genes": genes(), "updates": updates()}
    tables["statistics"] = statistics()
    for name, table in tables.items():
        write_table(table, folder / "network" / f"{name}.tsv")
    write_text(CONFIG, folder / "config.yaml")
    (folder / "figures").mkdir()
    (folder / "figures" / "network_graph.png").write_bytes(png(json.dumps(PROVENANCE)))
    return found(folder)


def screen_files(folder: Path) -> dict[str, Path]:
    """What a screen has, and no more of it than the page reads."""
    network_files(folder)
    scores = {"mine": [1.0, 1.1, 1.2], "no_change": [2.0, 2.2, 2.1], "random": [3.0, 3.1, 3.2]}
    tables = {"qc": qc(), "metrics": metrics(scores), "summary": summary()}
    tables["screen"] = pd.DataFrame({"target": NAMES, "effect_size": [0.5, 12.25, 3.0]})
    tables["screen"]["basis"] = "mean"
    for name, table in tables.items():
        write_table(table, folder / f"{name}.tsv")
    write_text(f"The model {HOSTILE} wins.\n", folder / "headline.txt")
    write_text(json.dumps({"provenance": PROVENANCE}), folder / "qc.json")
    return found(folder)


def found(folder: Path) -> dict[str, Path]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in paths}
