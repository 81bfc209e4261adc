"""A cell line held out at a time: what happens in it changes nothing that is said of it before."""

from __future__ import annotations

import shutil

import anndata
import numpy as np
import pytest
from scipy import sparse

from lgem.config import BASELINES, CONTROLS
from tests.workflow.running import SHORT, Run, ended_in_words, snakemake, succeed, write_config
from tests.workflow.screens import CELLS, CONTROL, GENES, in_contexts

pytestmark = pytest.mark.workflow

LINES = ("alpha", "beta", "gamma")
ASKED = (*GENES[:6], "GENE1+GENE2")
SCRAMBLED = "beta"
# Scored with everything else, and predicted again from scrambled values.
AGAIN = ("lgem", "paper", "same_effect")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A screen in three lines, as measured and with the perturbed cells of one line scrambled."""
    folder = tmp_path_factory.mktemp("contexts")
    rng = np.random.default_rng(5)
    cells = in_contexts(LINES, ASKED)
    # One perturbation was made in two of the lines alone.
    gone = (cells.obs["gene"] == "GENE6") & (cells.obs["line"] == "gamma")
    cells = cells[~gone.to_numpy()].copy()
    cells.write_h5ad(folder / "measured.h5ad")
    counts = cells.X.toarray()
    rows = ((cells.obs["line"] == SCRAMBLED) & (cells.obs["gene"] != CONTROL)).to_numpy()
    counts[rows] = rng.permuted(counts[rows] + rng.poisson(3, (rows.sum(), len(GENES))), axis=1)
    cells.X = sparse.csr_matrix(counts)
    cells.write_h5ad(folder / "scrambled.h5ad")
    datasets = {
        name: {**CELLS, "path": f"{name}.h5ad", "context": "line"}
        for name in ("measured", "scrambled")
    }
    write_config(
        folder,
        dataset=list(datasets),
        datasets=datasets,
        splits={"scheme": "context"},
        evaluation={**SHORT["evaluation"], "interval": 0.6},  # for which few residuals do
    )
    again = (f"results/scrambled/predictions/{name}.h5ad" for name in AGAIN)
    return succeed(folder, "results/measured/metrics.tsv", *again)


def predictions(run, name, dataset="measured"):
    return anndata.read_h5ad(run.folder / "results" / dataset / "predictions" / f"{name}.h5ad")


def test_every_line_is_held_out_in_turn_and_tested_on_what_was_made_there(run):
    splits = run.table("measured/splits.tsv")
    assert set(splits["scheme"]) == {"context"}
    for fold, (context, part) in enumerate(splits.groupby("context"), 1):
        assert set(part["fold"]) == {fold}
        made = set(ASKED) - ({"GENE6"} if context == "gamma" else set())
        assert set(part.loc[part["set"] == "test", "perturbation"]) == made
        assert set(part.loc[part["set"] == "train", "perturbation"]) == set(ASKED)
        assert part["seen"].dropna().tolist() == [2]
    obs = predictions(run, "lgem").obs
    assert obs.groupby("context", observed=True)["fold"].unique().map(list).to_dict() == {
        "alpha": [1], "beta": [2], "gamma": [3],
    }  # fmt: skip


def test_the_line_is_adjusted_for_beside_the_batch(run):
    effects = anndata.read_h5ad(run.folder / "results" / "measured" / "effects.h5ad")
    assert list(effects.uns["factors"]) == ["batch", "line"]


def test_what_was_observed_is_the_effect_in_the_line_that_is_held_out(run):
    effects = anndata.read_h5ad(run.folder / "results" / "measured" / "effects.h5ad")
    data = predictions(run, "lgem")
    control = effects.var["control"].to_numpy()
    pooled = effects[data.obs["perturbation"].to_list()].X
    differ = np.abs(data.layers["observed"] - control - pooled).max(axis=1)
    assert (differ > 1e-3).all()
    pseudobulk = anndata.read_h5ad(run.folder / "results" / "measured" / "pseudobulk.h5ad")
    for context, rows in data.obs.groupby("context", observed=True).indices.items():
        groups = pseudobulk[(pseudobulk.obs["line"] == context).to_numpy()]
        known = groups.obs["perturbation"].astype(str).to_numpy()
        n, mean = groups.obs["n_cells"].to_numpy(), groups.layers["mean"]
        alone = {
            name: np.average(mean[known == name], axis=0, weights=n[known == name])
            for name in set(known)
        }
        for row in rows:
            # The lanes of a line are balanced: adjusting for them changes next to nothing.
            expected = alone[data.obs["perturbation"].iloc[row]] - alone["control"]
            np.testing.assert_allclose(
                data.layers["observed"][row] - control, expected, rtol=0, atol=1e-6
            )


def test_the_same_effect_in_the_other_lines_is_a_baseline(run):
    metrics = run.table("measured/metrics.tsv")
    names = {"lgem", "paper", *BASELINES, *CONTROLS, "same_effect", "technical_duplicate"}
    assert set(metrics["model"]) == names
    data = predictions(run, "same_effect")
    assert set(data.obs["status"]) == {"predicted"}
    assert np.isfinite(data.X).all()
    assert np.isnan(data.layers["lower"]).all()
    mine = metrics[(metrics["model"] == "same_effect") & metrics["fold"].notna()]
    l2 = mine[(mine["metric"] == "l2") & (mine["gene_set"] == "top")]
    assert len(l2) == 3 * len(ASKED) - 1
    assert np.isfinite(l2["value"]).all()
    additive = predictions(run, "additive").obs
    pair = additive["perturbation"] == "GENE1+GENE2"
    assert (additive["status"] == "predicted").equals(pair)


@pytest.mark.parametrize("name", AGAIN)
def test_perturbed_cells_of_a_held_out_line_change_no_prediction_of_it(run, name):
    true, scrambled = (predictions(run, name, which) for which in ("measured", "scrambled"))
    assert true.obs.equals(scrambled.obs)
    np.testing.assert_array_equal(true.var["control"], scrambled.var["control"])
    held_out = (true.obs["context"] == SCRAMBLED).to_numpy()
    assert held_out.sum() == len(ASKED)

    def parts(data, rows):
        return [np.asarray(x)[rows] for x in (data.X, data.layers["lower"], data.layers["upper"])]

    assert np.isfinite(true.layers["lower"]).all() == (name != "same_effect")
    for one, other in zip(parts(true, held_out), parts(scrambled, held_out), strict=True):
        assert one.tobytes() == other.tobytes()
    # Where the line is in training, and in what was observed in it, the change is seen.
    (before, *_), (after, *_) = parts(true, ~held_out), parts(scrambled, ~held_out)
    assert np.abs(before - after).max() > 0.01
    changed = np.abs(true.layers["observed"] - scrambled.layers["observed"]).max(axis=1)
    assert (changed[held_out] > 0.1).all()
    assert (changed[~held_out] == 0).all()


def test_a_line_that_the_screen_does_not_have_is_told(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "run")
    datasets = {"measured": {**CELLS, "path": "measured.h5ad", "context": "line"}}
    splits = {"scheme": "context", "contexts": ["gama"]}
    write_config(tmp_path / "run", dataset="measured", datasets=datasets, splits=splits)
    failed = snakemake(tmp_path / "run", "results/measured/splits.tsv")
    ended_in_words(failed)
    assert failed.jobs == {"splits": 1}
    assert failed.errors == [
        "splits.contexts: found 'gama'; expected contexts of the dataset: alpha, beta, gamma; did "
        "you mean 'gamma'?"
    ]
