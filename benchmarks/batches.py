"""Embeddings of genes under strong batch effects, on simulated screens with known true effects.

``python -m benchmarks.batches FOLDER`` simulates screens in FOLDER, with batches that shift genes
as much as perturbations do and hold them unevenly, runs them through the workflow, and prints the
section of docs/benchmarks.md that `benchmarks.accuracy` puts there.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import yaml

from lgem.prediction.against_truth import with_truth

ROOT = Path(__file__).resolve().parents[1]
SEEDS = range(1, 6)
DRAWS, LEVEL = 2000, 0.9
SIMULATED = {"batch_shift": 1.0, "batch_imbalance": 1.0}
# What is run: name → batch adjustment, and models beside the default one.
RUNS: dict[str, dict[str, Any]] = {
    "adjusted": {
        "models": [
            {"name": "lgem"},
            {"name": "unadjusted", "gene_embedding": "pca_unadjusted"},
            {"name": "free", "gene_embedding": "lmf"},
        ],
        "mixed_forms": {"codes": "free"},
    },
    "constrained": {
        "models": [{"name": "constrained", "gene_embedding": "lmf"}],
        "mixed_forms": {"codes": "constrained"},
    },
    "as_they_are": {
        "pseudobulk": {"adjust_batch": False},
        "mixed_forms": {"codes": "free"},
        "models": [{"name": "lgem"}, {"name": "free", "gene_embedding": "lmf"}],
    },
}
WORDS = {
    ("adjusted", "lgem"): "components of adjusted effects (`pca`, the default)",
    ("adjusted", "unadjusted"): "components of unadjusted effects (`pca_unadjusted`)",
    ("adjusted", "free"): "mixed forms, free (`lmf`)",
    ("constrained", "constrained"): "mixed forms, constrained (`lmf`)",
    ("as_they_are", "lgem"): "effects not adjusted: `pca`",
    ("as_they_are", "free"): "effects not adjusted: mixed forms, free (`lmf`)",
}
# What the others are compared with, each by its column.
REFERENCES = {"pca": ("adjusted", "lgem"), "pca_unadjusted": ("adjusted", "unadjusted")}


def run(folder: Path, seed: int) -> None:
    """Simulate the screen of a seed and predict its held-out perturbations in every way."""
    for name, sections in RUNS.items():
        place = folder / f"seed_{seed}" / name
        place.mkdir(parents=True, exist_ok=True)
        config = {
            "dataset": "screen",
            "seed": seed,
            "datasets": {"screen": {"simulate": SIMULATED}},
            **sections,
        }
        (place / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
        wanted = [f"results/screen/predictions/{model['name']}.h5ad" for model in config["models"]]
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
            *("--cores", "2", *wanted, "--quiet", "all"),
        ]
        subprocess.run(command, cwd=place, check=True)


def errors(place: Path, model: str) -> pd.Series:
    """Return the L2 distance of every held-out prediction from the true effect."""
    predictions = anndata.read_h5ad(place / "results" / "screen" / "predictions" / f"{model}.h5ad")
    truth = anndata.read_h5ad(place / "resources" / "screen" / "truth_effects.h5ad")
    effects = np.asarray(predictions.X) - predictions.var["control"].to_numpy()
    names = predictions.obs["perturbation"].astype(str)
    pairs = pd.DataFrame(
        {
            "perturbation": np.repeat(names, predictions.n_vars),
            "gene": np.tile(predictions.var_names, predictions.n_obs),
            "effect": effects.ravel(),
        }
    )
    known = with_truth(pairs, truth)
    squared = (known["effect"] - known["true_effect"]) ** 2
    return squared.groupby(known["perturbation"]).sum() ** 0.5


def compared(folder: Path, seeds: Sequence[int] = SEEDS) -> pd.DataFrame:
    """Return, per way, the mean error, and paired differences from those of the references."""
    found = {
        key: pd.concat(
            {seed: errors(folder / f"seed_{seed}" / key[0], key[1]) for seed in seeds},
            names=["seed"],
        )
        for key in WORDS
    }
    table = pd.DataFrame(found).dropna()
    rng = np.random.default_rng(1)
    draws = rng.integers(len(table), size=(DRAWS, len(table)))
    rows = []
    for key in WORDS:
        row: dict[str, Any] = {"embedding": WORDS[key], "l2": table[key].mean(), "n": len(table)}
        for name, other in REFERENCES.items():
            difference = (table[key] - table[other]).to_numpy()
            means = difference[draws].mean(axis=1)
            low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            paired = f"{difference.mean():+.3f} ({low:+.3f} to {high:+.3f})"
            row[name] = "" if key == other else paired
        rows.append(row)
    return pd.DataFrame(rows).sort_values("l2", kind="stable")


def section(table: pd.DataFrame) -> list[str]:
    """Return the section of docs/benchmarks.md, line by line."""
    return [
        "",
        "## Strong batch effects: which embedding of genes?",
        "",
        f"{len(SEEDS)} simulated screens (`batch_shift` {SIMULATED['batch_shift']:g}, "
        f"`batch_imbalance` {SIMULATED['batch_imbalance']:g}), 5 folds,",
        f"{table['n'].iloc[0]} held-out perturbations; L2 distance from the *true* effects over "
        "all genes,",
        "the best first. Differences are paired, with 90 % intervals from a bootstrap over",
        "perturbations; below 0 is better. All models predict adjusted effects and differ in the",
        'embedding alone, but for those under "effects not adjusted".',
        "",
        "| gene embedding | L2 | difference from `pca` | difference from `pca_unadjusted` |",
        "| --- | ---: | --- | --- |",
        *(
            f"| {row['embedding']} | {row['l2']:.3f} | {row['pca']} | {row['pca_unadjusted']} |"
            for row in table.to_dict("records")
        ),
    ]


if __name__ == "__main__":
    where = Path(sys.argv[1]).resolve()
    for number in SEEDS:
        run(where, number)
    print("\n".join(section(compared(where))))
