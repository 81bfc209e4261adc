"""What is wrong with the network's settings, or with its tables, ends the run in words."""

from __future__ import annotations

import shutil

import anndata
import pytest
import yaml

from tests.workflow.network_screens import ENTRY, network_config, result, simulated
from tests.workflow.running import ended_in_words, files, snakemake, write_config

pytestmark = pytest.mark.workflow

HEADING = "gene\tpathway\tloading\n"


@pytest.fixture(scope="module")
def copied(network_run, tmp_path_factory):
    """A run up to the network's covariance, in a folder whose tables and config may change."""
    folder = tmp_path_factory.mktemp("input") / "run"
    shutil.copytree(network_run.folder, folder)
    return folder


def outside_of(run):
    """Return measured genes that are not in the panel."""
    panel = anndata.read_h5ad(run.folder / "results/mine/control_cells.h5ad").var_names
    return [gene for gene in simulated(1).cells.var_names if gene not in panel]


# The table (OUTSIDE is a measured gene that is not in the panel), and what is told of it.
PATHWAYS = {
    "no_column": (
        "gene\tpathways\tloading\nG02\tP1\t1\n",
        [
            "pathways.tsv: found no column 'pathway'; there are: gene, pathways, loading; ",
            "did you mean 'pathways'?",
        ],
    ),
    "unknown_gene": (
        HEADING + "G02\tP1\t1\nG02x\tP1\t1\n",
        [
            "pathways.tsv: column 'gene': found 1 gene not measured: G02x; ",
            "expected ids or symbols of measured genes; did you mean 'G02'?",
        ],
    ),
    "twice": (
        HEADING + "G02\tP1\t1\nG03\tP1\t1\nENSG01\tP1\t0.5\n",
        ["pathways.tsv: row 4: found a second loading of gene 'ENSG01' on pathway 'P1'; "],
    ),
    "no_number": (
        HEADING + "G02\tP1\t1\nG03\tP1\tstrong\n",
        ["pathways.tsv: row 3: found gene 'G03', pathway 'P1', loading 'strong'; expected names"],
    ),
    "outside": (
        HEADING + "OUTSIDE\tP1\t1\n",
        ["pathways.tsv: found no gene of the panel (1 rows outside, 0 with an ambiguous symbol); "],
    ),
}


@pytest.mark.parametrize("case", PATHWAYS)
def test_a_table_of_pathways_that_cannot_be_used_ends_the_run(network_run, copied, case):
    text, told = PATHWAYS[case]
    text = text.replace("OUTSIDE", outside_of(network_run)[0])
    (copied / "pathways.tsv").write_text(text, "utf-8")
    network_config(copied, pathways="pathways.tsv")
    refused(copied, told)


def refused(folder, told, table="precision.npz"):
    """Require that the network is not updated, for a reason in words, and nothing is left."""
    run = snakemake(folder, *result(table))
    ended_in_words(run)
    assert len(run.errors) == 1
    for words in told:
        assert words in run.errors[0]
    assert "network_estimate" not in run.jobs
    left = files(folder / "results/mine")
    assert "network/precision.npz" not in left
    assert [name for name in left if "/." in name] == []
    return run


def test_what_is_no_part_of_the_covariance_cannot_be_taken_out(copied):
    (copied / "removed.tsv").write_text(HEADING + "G02\tP1\t3\nG03\tP1\t3\n", "utf-8")
    network_config(copied, removed_pathways="removed.tsv")
    told = [
        "network update 'removed pathways': found a removal after which the covariance is not "
        "positive definite",
        "expected loadings that are part of the covariance, as those of an update before",
    ]
    refused(copied, told)


def test_new_cells_that_lack_genes_of_the_panel_are_refused(network_run, copied):
    cells = anndata.read_h5ad(copied / "other.h5ad")
    panel = anndata.read_h5ad(network_run.folder / "results/mine/control_cells.h5ad").var_names
    lacking = panel[:2].tolist()
    cells[:, ~cells.var_names.isin(lacking)].copy().write_h5ad(copied / "lacking.h5ad")
    network_config(copied)
    config = yaml.safe_load((copied / "config.yaml").read_text("utf-8"))
    config["datasets"]["lacking"] = {**ENTRY, "path": "lacking.h5ad"}
    config["network"]["new_cells"] = "lacking"
    write_config(copied, **config)
    told = [
        f"network.new_cells: found 2 of the panel's 30 genes not measured: {', '.join(lacking)}; ",
        "expected all of them, under the same ids; a table in network.panel can name shared genes",
    ]
    assert "network" in refused(copied, told).jobs


PANELS = {
    "unknown_gene": (
        "gene\nG02\nG03\nG04x\n",
        ["'G04x' (target not measured: G04x); expected ids or unique symbols of measured genes"],
        "did you mean 'G04'?",
    ),
    "one_gene": ("gene\nG02\nG02\n", ["found 1 gene; expected at least two genes"], ""),
}


@pytest.mark.parametrize("case", PANELS)
def test_a_panel_that_cannot_be_used_ends_the_run(network_run, tmp_path, case):
    text, told, spelled = PANELS[case]
    folder = tmp_path / "run"
    shutil.copytree(network_run.folder, folder)
    (folder / "panel.tsv").write_text(text, "utf-8")
    network_config(folder, panel="panel.tsv")
    run = snakemake(folder, *result("precision.npz"))
    ended_in_words(run)
    assert len(run.errors) == 1
    for words in ["network.panel: panel.tsv: found ", *told, spelled]:
        assert words in run.errors[0]


def test_files_and_datasets_that_are_not_there_are_told_at_once_before_anything_runs(copied):
    (copied / "pathways.tsv").write_text(HEADING, "utf-8")
    given = {"panel": "panels.tsv", "pathways": "pathway.tsv", "removed_pathways": "lists/r.tsv"}
    network_config(copied, **given, new_cells="othre")
    run = snakemake(copied, "--dry-run")
    ended_in_words(run)
    assert "config: 4 problems\n" in run.output
    for words in (
        "network.panel: found no file 'panels.tsv'; expected an existing file; there are: ",
        "network.pathways: found no file 'pathway.tsv'; ",
        "did you mean 'pathways.tsv'?",
        "network.removed_pathways: found no folder 'lists'; expected the path of an existing file",
        "network.new_cells: found 'othre'; expected ",
        "did you mean 'other'?",
    ):
        assert words in run.output
    assert run.jobs == {}


def test_the_dataset_itself_is_no_source_of_new_cells(copied):
    network_config(copied, new_cells="mine")
    run = snakemake(copied, "--dry-run")
    ended_in_words(run)
    told = "network.new_cells: found 'mine'; expected another dataset than those that are run"
    assert "config: 1 problem\n" in run.output
    assert told in run.output


def test_profiles_are_no_source_of_new_cells(copied):
    network_config(copied, new_cells="other")
    config = yaml.safe_load((copied / "config.yaml").read_text("utf-8"))
    config["datasets"]["other"]["kind"] = "profiles"
    write_config(copied, **config)
    run = snakemake(copied, "--dry-run")
    ended_in_words(run)
    told = "network.new_cells: found 'other', and profiles; expected datasets of cells alone"
    assert told in run.output


def test_settings_of_the_network_that_cannot_be_are_told_at_once(copied):
    mistyped = {"estimator": "ledoit_wolff", "form": "sparse", "mean_shift": "perhaps"}
    network_config(copied, **mistyped, top_edges=10, max_edges=5, permutations=-1)
    run = snakemake(copied, "--dry-run")
    ended_in_words(run)
    for words in (
        "network.estimator: found 'ledoit_wolff'; expected ",
        "did you mean 'ledoit_wolf'?",
        "network.form: found 'sparse'; expected ",
        "network.mean_shift: found 'perhaps'; expected ",
        "network.permutations: found -1; expected ",
        "network.max_edges: found 5; expected at least top_edges, 10",
    ):
        assert words in run.output
    assert "config: 5 problems\n" in run.output


def test_the_graphical_lasso_has_no_implicit_form(copied):
    network_config(copied, estimator="graphical_lasso", form="implicit")
    run = snakemake(copied, "--dry-run")
    ended_in_words(run)
    told = "network.form: found 'implicit'; expected auto or dense with graphical_lasso, which has"
    assert told in run.output
