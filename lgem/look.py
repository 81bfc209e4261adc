"""What a file of cells holds, and the config entry that it most likely needs.

``python -m lgem.look screen.h5ad`` lists the columns with examples and proposes an entry for
`datasets`. It is a proposal to be checked: a run itself guesses nothing.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from lgem.errors import InputError, clipped
from lgem.screen.counting import check_matrix
from lgem.screen.labels import SEPARATOR
from lgem.screen.matrices import count_matrix, layers_of
from lgem.screen.stores import Store, is_zarr, open_store

# What columns and labels are commonly called, in lower case.
PERTURBATION = re.compile(r"perturbation|gene|target|target_gene|gene_target|condition")
CONTROL = re.compile(
    r"(control|ctrl|non[-_ ]?targeting|nt|ntc|neg(ative)?|scrambled?|unperturbed"
    r"|safe[-_ ]?(targeting|harbor)|aavs1)([-_ (].*|\d*)"
)
BATCH = re.compile(r"batch|lane|replicate|rep|gem_?group|sample|channel|library|donor|run")
GUIDE = re.compile(r".*(guide|sgrna|grna).*")
TOTAL = re.compile(r"total_counts.*|n_?counts?(_rna)?|ncount_rna|n_umis?|umi_counts?|total_umis?")
SYMBOLS = re.compile(r"(gene_)?(symbols?|names?|short_name)|feature_name")
STABLE_ID = re.compile(r"ENS[A-Z]*G\d+")
SEPARATORS = (SEPARATOR, "_", ",", ";", "|", "&")

EXAMPLES = 4
MOST_BATCHES = 500
# Of cells at the start of the file, to compare their totals with a column.
FIRST_VALUES = 50_000
# A panel of genes holds less than the total by more than filtered genes explain.
PANEL = 1.05


@dataclass(frozen=True)
class Content:
    """What the file holds: cells and genes, and which of its matrices are raw counts.

    `counts` maps ``X`` and the layers to nothing, or to why they are no raw counts. `sums` are
    those of the counts of the first cells, where they can be read at once.
    """

    path: str
    obs: pd.DataFrame
    var: pd.DataFrame
    counts: dict[str, str]
    sums: np.ndarray

    @property
    def matrix(self) -> str | None:
        """The first matrix of raw counts."""
        return next((name for name, problem in self.counts.items() if not problem), None)


def read_content(path: str) -> Content:
    """Read what a file says of its cells and genes, and the beginning of its counts.

    Raises
    ------
    InputError
        Where it is no AnnData file, or a broken one.
    """
    if not (path.endswith(".h5ad") or is_zarr(path)):
        raise InputError(
            path, "another kind of file", "an .h5ad or .zarr; docs/datasets.md has 10x and tables"
        )
    with open_store(path) as store:
        obs, var = store.frame("obs"), store.frame("var")
        names: list[str | None] = [None] if "X" in store.root else []
        names += layers_of(store)
        counts = {name or "X": _problem(store, name, len(obs), len(var)) for name in names}
        good = [name for name in names if not counts[name or "X"]]
        return Content(path, obs, var, counts, _first_sums(store, *good[:1]))


def _problem(store: Store, layer: str | None, cells: int, genes: int) -> str:
    """Return why a matrix holds no raw counts, or nothing where its beginning does."""
    try:
        check_matrix(count_matrix(store, layer), cells, genes)
    except InputError as error:
        return str(error).partition("found ")[2].partition(";")[0]
    return ""


def _first_sums(store: Store, *layer: str | None) -> np.ndarray:
    """Return the sums of the first cells of a matrix that is stored by rows; else none."""
    for name in layer:
        matrix = count_matrix(store, name)
        if matrix.format != "csc":
            first = next(matrix.blocks(FIRST_VALUES), None)
            return np.zeros(0) if first is None else np.asarray(first[1].sum(axis=1)).ravel()
    return np.zeros(0)


def described(content: Content) -> str:
    """Return what the file holds, in lines."""
    cells, genes = len(content.obs), len(content.var)
    lines = [f"{content.path}: {cells:,} cells × {genes:,} genes"]
    lines += [f"  {name}: {why or 'raw counts'}" for name, why in content.counts.items()]
    for title, frame in (("cells", content.obs), ("genes", content.var)):
        lines += ["", f"Names of {title}: {_listed(map(str, frame.index[:EXAMPLES]))}, …"]
        lines += [f"Columns of {title}:" if len(frame.columns) else f"No columns of {title}."]
        width = max((len(_shown(str(name))) for name in frame), default=0)
        lines += [f"  {_shown(str(name)):<{width}}  {_column(frame[name])}" for name in frame]
    return "\n".join(lines)


def _column(values: pd.Series) -> str:
    """Describe a column: the range of its numbers, or its most frequent values."""
    values = values.dropna()
    if values.empty:
        return "no values"
    if pd.api.types.is_float_dtype(values) or (_numbers(values) and values.nunique() > 20):
        return f"numbers from {values.min():,.6g} to {values.max():,.6g}"
    found = values.astype(str).value_counts()
    most = found.head(EXAMPLES)
    shown = [f"{clipped(_shown(str(name)))} ({count:,})" for name, count in most.items()]
    more = ", …" if len(found) > EXAMPLES else ""
    return f"{len(found):,} {'value' if len(found) == 1 else 'values'}: {', '.join(shown)}{more}"


def _numbers(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _listed(names: Any) -> str:
    return ", ".join(clipped(_shown(name)) for name in names)


def _shown(text: str) -> str:
    """Spell out what would break a line, or command the terminal."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def proposed(content: Content) -> dict[str, Any]:
    """Return the entry that the file most likely needs; None where a key must be filled in."""
    obs = content.obs
    entry: dict[str, Any] = {"path": content.path}
    if content.matrix not in (None, "X"):
        entry["layer"] = content.matrix
    column = _perturbation(obs)
    entry["perturbation"] = column
    entry["control"] = None if column is None else _controls(obs[column])
    if column is not None:
        separator = _separator(set(obs[column].astype(str)), set(entry["control"]))
        entry |= {} if separator == SEPARATOR else {"combination_separator": separator}
    batches = _named(obs, BATCH, lambda values: 1 < values.nunique() <= MOST_BATCHES)
    guides = _named(obs.drop(columns=[column or ""], errors="ignore"), GUIDE, _text)
    totals = _named(obs, TOTAL, lambda values: _beyond(values, content.sums))
    found = {"batch": batches[:1], "guide": guides[:1], "size_factor": totals[:1]}
    entry |= {key: names[0] for key, names in found.items() if names}
    symbols = _named(content.var, SYMBOLS, _text)
    if symbols and all(STABLE_ID.match(str(name)) for name in content.var.index[:EXAMPLES]):
        entry["gene_symbols"] = symbols[0]
        if content.var[symbols[0]].duplicated().any():
            entry["duplicates"] = "keep_ids"
    return entry


def _named(frame: pd.DataFrame, pattern: re.Pattern[str], suits: Any) -> list[str]:
    """Return the columns whose names match and whose values suit."""
    names = [str(name) for name in frame if pattern.fullmatch(str(name).lower())]
    return [name for name in names if suits(frame[name])]


def _text(values: pd.Series) -> bool:
    return not _numbers(values) and len(values.unique()) > 1


def _beyond(values: pd.Series, sums: np.ndarray) -> bool:
    """Whether a column holds totals beyond what the matrix holds of the same cells."""
    if not (_numbers(values) and len(sums)):
        return False
    return bool(np.median(values.to_numpy(dtype=float)[: len(sums)]) > PANEL * np.median(sums))


def _controls(values: pd.Series) -> list[str]:
    """Return the labels that look like those of control, the most frequent first."""
    labels = values.astype(str).value_counts().index
    return [label for label in labels if CONTROL.fullmatch(label.lower())]


def _perturbation(obs: pd.DataFrame) -> str | None:
    """Return the column whose labels include control; of several one named so, or the coarsest."""
    found = [str(name) for name in obs if _text(obs[name]) and _controls(obs[name])]

    def rank(name: str) -> tuple[bool, int]:
        return not PERTURBATION.fullmatch(name.lower()), obs[name].nunique()

    return min((name for name in found if obs[name].nunique() > 2), key=rank, default=None)


def _separator(labels: set[str], controls: set[str]) -> str | None:
    """Return what joins labels that are labels of their own; None where + would be misread."""
    known = labels | controls
    joined = {
        sign: sum(sign in label and set(label.split(sign)) <= known for label in labels)
        for sign in SEPARATORS
    }
    best = max(joined, key=lambda sign: joined[sign])
    return best if joined[best] else SEPARATOR


def entry_text(name: str, entry: dict[str, Any]) -> str:
    """Return an entry as it stands under `datasets`; keys to be filled in say so."""
    what = {
        "perturbation": "the column that names the perturbed gene",
        "control": "its label, or labels, for control cells",
    }
    lines = [f"  {name}:"]
    for key, value in entry.items():
        one = value[0] if isinstance(value, list) and len(value) == 1 else value
        text = yaml.safe_dump(one, default_flow_style=True, width=10**6, allow_unicode=True)
        text = text.removesuffix("\n").removesuffix("\n...")
        if "\n" in text:
            text = json.dumps(one)  # YAML as well, in one line
        shown = "FILL IN  # " + what[key] if value is None else text
        lines.append(f"    {key}: {shown}")
    return "\n".join(lines)


def _dataset_name(stem: str) -> str:
    """Return the name of a file as that of a dataset, which YAML and Snakemake take for a text."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", stem).strip("_") or "mine"
    try:
        float(name)
    except ValueError:
        return name if yaml.safe_load(name) == name else f"screen_{name}"
    return f"screen_{name}"


def look(path: str) -> str:
    """Return what a file holds, and the entry to check and paste."""
    content = read_content(path)
    stem = _dataset_name(Path(path).stem)
    told = "" if content.matrix else "  # no matrix of raw counts: a run will refuse this file\n"
    return "\n".join(
        [
            described(content),
            "",
            "Check this, and paste it under `datasets` in config.yaml:",
            "",
            told + entry_text(stem, proposed(content)),
            "",
            f"Then: .venv/bin/snakemake --cores all --config dataset={stem}",
        ]
    )


def main(paths: list[str]) -> int:
    """Look at files; return the exit status."""
    if not paths:
        print("usage: python -m lgem.look FILE.h5ad …", file=sys.stderr)
        return 2
    try:
        print("\n\n".join(map(look, paths)))
    except InputError as error:
        print(f"lgem: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
