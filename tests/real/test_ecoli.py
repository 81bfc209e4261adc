"""The knock-outs of E. coli that ship inside a Python package, with the project's own config."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import anndata
import pytest

from tests.conftest import lacking
from tests.workflow.running import ROOT, succeed

pytestmark = [pytest.mark.real, pytest.mark.workflow]

PACKAGE = "pymodulon==0.2.1"
LEFT_OUT = {"cbl", "fabR", "fadR", "purR", "entC+menF"}


@pytest.fixture(scope="module")
def ecoli(tmp_path_factory):
    """The dataset of the project's config, up to its result in a sentence."""
    place = tmp_path_factory.mktemp("package")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(place)]
    done = subprocess.run([*pip, PACKAGE], capture_output=True, text=True, check=False)
    if done.returncode:
        lacking(f"pip cannot download {PACKAGE}")
    folder = tmp_path_factory.mktemp("ecoli")
    shutil.copy(ROOT / "config.yaml", folder)
    targets = ["headline.txt", "design.tsv", "network/reference.json"]
    targets = [f"results/ecoli/{name}" for name in targets]
    return succeed(folder, *targets, "--config", "dataset=ecoli")


def test_knock_outs_connected_to_a_wild_type_are_estimated_and_the_others_named(ecoli):
    design = ecoli.table("ecoli/design.tsv").iloc[0]
    assert design[["rows", "columns", "rank"]].tolist() == [104, 43, 43]
    obs = anndata.read_h5ad(ecoli.folder / "results" / "ecoli" / "effects.h5ad").obs
    assert (obs["status"] == "estimated").sum() == 22
    left_out = obs[obs["status"] == "left_out"]
    assert left_out["reason"].to_dict() == {
        **dict.fromkeys(LEFT_OUT, "not connected with control through batch"),
        "pgi": "1 sample, all removed by keep",  # knocked out in an evolved strain alone
    }
    for name in LEFT_OUT:
        assert name in design["explanation"]
    metrics = ecoli.table("ecoli/metrics.tsv")
    gone = metrics[metrics["status"] == "left_out"].groupby("model")["perturbation"].agg(set)
    # A single profile has no two halves.
    assert gone.pop("technical_duplicate") == {*LEFT_OUT, "pgi", "mntR"}
    assert all(names == {*LEFT_OUT, "pgi"} for names in gone)


def test_targets_are_found_by_symbol_among_locus_tags(ecoli):
    effects = anndata.read_h5ad(ecoli.folder / "results" / "ecoli" / "effects.h5ad")
    assert effects.n_vars == 3923
    assert effects.var.loc["b0002", "symbol"] == "thrA"
    assert effects.obs["embeddable"].sum() > 20
    headline = (ecoli.folder / "results" / "ecoli" / "headline.txt").read_text("utf-8")
    assert "held-out L2" in headline
    assert " of 28 perturbations" in headline


def test_every_row_of_the_reference_is_accounted_for(ecoli):
    path = ecoli.folder / "results" / "ecoli" / "network" / "reference.json"
    counts = json.loads(path.read_text("utf-8"))
    assert counts.pop("rows") == 7918
    assert sum(counts.values()) == 7918
    assert counts["edges"] > 0
    network = anndata.read_h5ad(ecoli.folder / "results" / "ecoli" / "control_cells.h5ad")
    assert network.shape == (278, 500)
