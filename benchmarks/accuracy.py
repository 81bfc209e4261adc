"""Accuracy on real screens: every model and baseline, in the same folds, through the workflow.

``python -m benchmarks.accuracy DATA FOLDER`` runs the screens that lie in DATA inside FOLDER and
writes docs/benchmarks.md, whoever wins. Run ``snakemake bench`` first: its times stand there too.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks import batches, speed

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = {"perturbation": "perturbation", "control": "control"}
TOTAL = {"size_factor": "total_counts_all_genes"}
SCREENS: dict[str, dict[str, Any]] = {
    "papalexi": {
        **COLUMNS,
        **TOTAL,
        "path": "papalexi21_thp1_eccite_299g.h5ad",
        "batch": "batch",
        "guide": "guide",
    },
    "tapseq": {**COLUMNS, "path": "schraivogel20_k562_tapseq_72g.h5ad"},
    "norman": {**COLUMNS, **TOTAL, "path": "norman19_k562_crispra_500g.h5ad"},
}
NETS = range(1, 6)
# Which screens run under which splits.
SCHEMES = {
    "leave_one_out": ["papalexi", "tapseq"],
    "kfold": ["ecoli", *(f"dream4_{net}" for net in NETS)],
    "doubles": ["norman"],
}
WORDS = {
    "papalexi": "Papalexi 2021, THP-1 CRISPR knock-out, 299 genes, leave-one-out",
    "tapseq": "Schraivogel 2020, K562 TAP-seq, 72 genes, leave-one-out",
    "norman": "Norman 2019, K562 CRISPR activation, 500 genes, combinations held out",
    "ecoli": "PRECISE-1, *E. coli* knock-outs, 3,923 genes, 5 folds",
    **{f"dream4_{net}": f"DREAM4 size 100 network {net}, knock-outs, 5 folds" for net in NETS},
}
MODELS = [
    {"name": "lgem"},
    {"name": "paper", "preset": "paper"},
    {"name": "paper_on_target", "preset": "paper", "on_target": True},
]


def dream4_table(folder: Path) -> pd.DataFrame:
    """Return the knock-outs of a DREAM4 network, and its wild type, named by what they are."""
    knockouts = pd.read_csv(folder / "knockouts.tsv", sep="\t")
    wildtype = pd.read_csv(folder / "wildtype.tsv", sep="\t")
    knockouts.index = knockouts.columns  # row i is the knock-out of gene i
    wildtype.index = ["wildtype"] * len(wildtype)
    return pd.concat([wildtype, knockouts])


def write_screens(data: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """Write the tables that the screens need into a folder; return their entries in the config."""
    entries = {
        name: {**entry, "path": str(data / entry["path"])} for name, entry in SCREENS.items()
    }
    for net in NETS:
        path = folder / f"dream4_{net}.tsv"
        dream4_table(data / "dream4" / f"net{net}").to_csv(path, sep="\t")
        entries[f"dream4_{net}"] = {
            "path": path.name,
            "kind": "profiles",
            "perturbation": "index",
            "control": "wildtype",
        }
    own = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))["datasets"]
    return {**entries, "ecoli": own["ecoli"]}


def run(data: Path, folder: Path, scheme: str, names: list[str], cores: int = 2) -> None:
    """Run some screens up to their scores, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "dataset": names,
        "datasets": write_screens(data, folder),
        "splits": {"scheme": scheme},
        "models": MODELS,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
        *("--cores", str(cores), *(f"results/{name}/summary.tsv" for name in names)),
        *("--quiet", "all"),
    ]
    subprocess.run(command, cwd=folder, check=True)


def results(folder: Path, name: str) -> pd.DataFrame:
    """Return, per model, the means over the shared perturbations and lgem's lead, paired.

    Combinations are compared where both of their genes were seen alone, since `additive` scores
    only these.
    """
    summary = pd.read_csv(folder / "results" / name / "summary.tsv", sep="\t")
    compared = pd.read_csv(folder / "results" / name / "comparisons.tsv", sep="\t")
    which = "seen_2" if name == "norman" else "shared"
    chosen = summary[(summary["perturbations"] == which) & (summary["n"] > 0)]
    wide = chosen.pivot_table(
        index="model", columns=["gene_set", "metric"], values="mean", sort=False
    )
    table = pd.DataFrame(
        {
            "n": chosen[(chosen["gene_set"] == "top") & (chosen["metric"] == "l2")]
            .set_index("model")["n"]
            .reindex(wide.index),
            "l2": wide[("top", "l2")],
            "l2_off_target": wide[("top_off_target", "l2")],
            "pearson_delta": wide.get(("top", "pearson_delta")),
        }
    )
    if name == "norman":
        compared = compared[:0]  # differences there mix combinations with 2, 1 and 0 genes seen
    own = compared[(compared["gene_set"] == "top") & (compared["metric"] == "l2")]
    own = own[own["model_a"] == "lgem"].set_index("model_b")
    for column in ("difference", "lower", "upper"):
        table[column] = own[column].reindex(table.index)
    return table.sort_values("l2", kind="stable")


def _number(value: Any, sign: bool = False) -> str:
    return "" if pd.isna(value) else f"{value:+.3f}" if sign else f"{value:.3f}"


def _table(found: pd.DataFrame) -> list[str]:
    lines = [
        "| model | n | L2 | L2 off target | Pearson delta | lgem − model, L2 (90 % interval) |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    names = [str(model) for model in found.index]
    for name, row in zip(names, found.to_dict("records"), strict=True):
        lead = "" if pd.isna(row["difference"]) else (
            f"{_number(row['difference'], True)} ({_number(row['lower'], True)} to "
            f"{_number(row['upper'], True)})"
        )  # fmt: skip
        shown = [_number(row[key]) for key in ("l2", "l2_off_target", "pearson_delta")]
        lines.append(f"| {name} | {row['n']:.0f} | {' | '.join(shown)} | {lead} |")
    return lines


def page(folder: Path, bench: Path) -> str:
    """Return docs/benchmarks.md."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks.accuracy DATA FOLDER`; every number comes out of the",
        "workflow, with its defaults but for the splits. Means are over the n perturbations that",
        "all models score; the best mean L2 stands first, whoever has it. Differences in the last",
        "column are paired, over all perturbations that `lgem` and the other model score (also",
        "those whose target is not measured), with intervals from a bootstrap over perturbations;",
        "where they are negative `lgem` is better. `technical_duplicate` is one half of a",
        "perturbation's cells predicting the other: it has twice the noise of a perfect model.",
        "",
        "## Accuracy on held-out perturbations",
    ]
    for scheme, names in SCHEMES.items():
        for name in names:
            where = folder / scheme
            lines += ["", f"### {WORDS[name]}", ""]
            lines += [(where / "results" / name / "headline.txt").read_text("utf-8").strip(), ""]
            lines += _table(results(where, name))
    if (folder / "batches").exists():
        lines += batches.section(batches.compared(folder / "batches"))
    if bench.exists():
        lines += speed.section(bench, bench.with_name("bench_updates.tsv"))
    return "\n".join(lines) + "\n"


def main(data: Path, folder: Path) -> None:
    """Run all screens and write the page."""
    for scheme, names in SCHEMES.items():
        run(data, folder / scheme, scheme, names)
    for seed in batches.SEEDS:
        batches.run(folder / "batches", seed)
    text = page(folder, ROOT / "results" / "bench.tsv")
    (ROOT / "docs" / "benchmarks.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
