"""Every kind of model in one run, with combinations held out: all are scored in the same folds."""

from __future__ import annotations

import importlib.util
import json
import shutil
from itertools import combinations

import anndata
import numpy as np
import pandas as pd
import pytest

from lgem.config import BASELINES, CONTROLS
from lgem.prediction.training import ANSWERED
from tests.conftest import lacking
from tests.workflow.broken_screens import PROFILES
from tests.workflow.running import SHORT, Run, ended_in_words, snakemake, succeed, write_config
from tests.workflow.screens import CELLS, GENES, cells_of, profiles_of

pytestmark = pytest.mark.workflow

SINGLES = GENES[:8]
# GENE9 is never perturbed alone, so that training sees one gene of its pair at most.
PAIRS = ("GENE1+GENE2", "GENE3+GENE4", "GENE1+GENE5", "GENE6+GENE9")
TARGETS = ["GENE10", "GENE9+GENE2", "GENE1"]
# Nothing is left to be chosen, so that the bilinear part stays on.
FIXED = {"dimensions": 3, "penalty": 0.1, "mean_weight": 0.5}
MODELS = [
    {"name": "lgem"},
    {"name": "genes", "gene_embedding": "genes.tsv", **FIXED},
    {"name": "perturbations", "perturbation_embedding": "perturbations.csv"},
    {"name": "random", "gene_embedding": "random", "perturbation_embedding": "random"},
    {"name": "identity", "gene_embedding": "identity", "perturbation_embedding": "pca"},
    {"name": "transfer", "perturbation_embedding": "other"},
    {"name": "kronecker", "solver": "kronecker", "on_target": False},
    {"name": "pinv", "solver": "pinv", "on_target": False},
    {"name": "ridge", "solver": "ridge"},
    {"name": "unadjusted", "gene_embedding": "pca_unadjusted", **FIXED},
    {"name": "lmf", "gene_embedding": "lmf", **FIXED},
]
# Tables that are no embeddings, and what is told of them.
TABLES = {
    "text": (
        "gene\ta\tb\nGENE1\t1\t2\nGENE2\t3\thigh\n",
        ["text.tsv: column 'b': found 'high' for 'GENE2'; expected finite numbers"],
    ),
    "twice": (
        "gene\ta\nGENE1\t1\nGENE1\t2\n",
        ["twice.tsv: found more than one row for 'GENE1'; expected one row each"],
    ),
    "commas": (
        "gene,a\nGENE1,1\n",
        ["commas.tsv: found a first line without the tab of its kind: 'gene,a'"],
    ),
    "other_genes": (
        "gene\ta\nGENE1\t1\nTP53\t2\nMYC\t3\n",
        [
            "other_genes.tsv: found no row for 11 of 12 genes: GENE2, ",
            "expected rows for at least half of the genes; there are: GENE1, TP53, MYC",
        ],
    ),
}


def table_of(names, seed, width):
    values = np.random.default_rng(seed).normal(size=(len(names), width))
    return pd.DataFrame(values, index=pd.Index(names, name="name"))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A screen with pairs of genes, and another screen that one of the models learns from."""
    folder = tmp_path_factory.mktemp("models")
    cells_of((*SINGLES, *PAIRS)).write_h5ad(folder / "screen.h5ad")
    # The other screen has all but two of the genes, and one pair as such.
    table, metadata = profiles_of((*GENES[2:9], "GENE1+GENE2"), seed=3)
    table.to_csv(folder / "other.tsv", sep="\t")
    metadata.to_csv(folder / "metadata.tsv", sep="\t")
    table_of(GENES[:10], 1, 3).to_csv(folder / "genes.tsv", sep="\t")
    table_of([*GENES[:6], "GENE9"], 2, 2).to_csv(folder / "perturbations.csv")
    datasets = {
        "pairs": {**CELLS, "path": "screen.h5ad"},
        "other": {**PROFILES, "path": "other.tsv"},
    }
    write_config(
        folder,
        dataset="pairs",
        datasets=datasets,
        splits={"scheme": "doubles"},
        models=MODELS,
        screen={"targets": TARGETS},
    )
    targets = ("metrics.tsv", "screen.tsv", "figures/doubles.tsv")
    return succeed(folder, *(f"results/pairs/{name}" for name in targets))


@pytest.fixture(scope="module")
def predictions(run):
    place = run.folder / "results" / "pairs" / "predictions"
    return {path.stem: anndata.read_h5ad(path) for path in place.glob("*.h5ad")}


def entries(data):
    return data.obs[["perturbation", "repeat", "fold"]].astype(str)


def test_every_model_is_scored_in_the_same_folds(run, predictions):
    names = {*(model["name"] for model in MODELS), *BASELINES, *CONTROLS}
    assert predictions.keys() == names
    first = predictions["lgem"]
    metrics = run.table("pairs/metrics.tsv")
    assert names | {"technical_duplicate"} == set(metrics["model"])
    for name, data in predictions.items():
        pd.testing.assert_frame_equal(entries(data), entries(first))
        np.testing.assert_array_equal(data.layers["observed"], first.layers["observed"])
        np.testing.assert_array_equal(data.layers["observed_se"], first.layers["observed_se"])
        mine = metrics[(metrics["model"] == name) & metrics["fold"].notna()]
        made = data.obs["status"].isin(ANSWERED).to_numpy()
        l2 = mine[(mine["metric"] == "l2") & (mine["gene_set"] == "top")]
        assert len(l2) == data.n_obs
        assert l2["value"].notna().sum() == made.sum()
        assert np.isfinite(data.X[made]).all()


def test_baselines_are_four_different_predictions(predictions):
    names = ("no_change", "mean", "no_change_on_target", "mean_on_target")
    for one, other in combinations(names, 2):
        assert not np.allclose(predictions[one].X, predictions[other].X)


def test_kronecker_and_pinv_choose_and_predict_the_same(predictions):
    one, other = (predictions[name] for name in ("kronecker", "pinv"))
    for layer in (None, "lower", "upper"):
        values = [data.X if layer is None else data.layers[layer] for data in (one, other)]
        np.testing.assert_allclose(*values, rtol=0, atol=1e-9)
    assert one.obs.equals(other.obs)


def test_what_the_other_screen_does_not_have_is_predicted_by_the_mean_and_says_so(predictions):
    """It has the pair GENE1+GENE2 as such, and neither of these genes alone."""
    obs = predictions["transfer"].obs
    unknown = obs["perturbation"] == "GENE1+GENE5"
    assert set(obs.loc[unknown, "status"]) == {"mean_only"}
    assert set(obs.loc[unknown, "reason"]) == {"not in the perturbation embedding: GENE1"}
    assert set(obs.loc[~unknown, "status"]) == {"predicted"}


@pytest.mark.parametrize(
    "name", ["lgem", "genes", "perturbations", "random", "identity", "unadjusted", "lmf"]
)
def test_what_can_be_embedded_is_predicted(predictions, name):
    assert set(predictions[name].obs["status"]) == {"predicted"}


def test_what_a_model_learns_from_is_made_where_it_is_missing(run):
    assert run.jobs["profile_pseudobulk"] == 1
    assert run.jobs["effects"] == 2
    made = {path.name for path in (run.folder / "results" / "other").iterdir()}
    assert "effects.h5ad" in made
    assert not {"models", "predictions", "metrics.tsv"} & made


def test_embeddings_from_elsewhere_are_in_the_fitted_model(run):
    place = run.folder / "results" / "pairs" / "models"
    given = pd.read_csv(run.folder / "genes.tsv", sep="\t", index_col=0)
    content = json.loads((place / "genes" / "repeat1_fold1.json").read_text("utf-8"))
    assert content["genes"] == "genes.tsv"
    arrays = np.load(place / "genes" / "repeat1_fold1.npz")
    expected = np.zeros((len(GENES), 3))
    expected[:10] = given
    np.testing.assert_allclose(arrays["gene_embedding"], expected, rtol=0, atol=1e-12)
    for fold in range(1, 4):
        arrays = np.load(place / "transfer" / f"repeat1_fold{fold}.npz")
        names = {*GENES[2:9], "GENE1+GENE2"}
        assert set(arrays["embedding_names"]) == names
        assert str(arrays["embedding_source"]) == "dataset"


# Scheme doubles


def test_combinations_alone_are_tested_and_seen_counts_their_singles_in_training(run, predictions):
    splits = run.table("pairs/splits.tsv")
    tested = splits[splits["set"] == "test"]
    assert set(tested["perturbation"]) == set(PAIRS)
    assert splits["context"].isna().all()
    assert splits.loc[splits["set"] != "test", "seen"].isna().all()
    for (_, _), fold in splits.groupby(["repeat", "fold"]):
        train = set(fold.loc[fold["set"] == "train", "perturbation"])
        for row in fold[fold["set"] == "test"].itertuples():
            assert row.seen == len(set(row.perturbation.split("+")) & train)
    assert set(tested["seen"]) == {0, 1, 2}
    obs = predictions["lgem"].obs.set_index(["perturbation", "fold"])["seen"]
    expected = tested.set_index(["perturbation", "fold"])["seen"].astype(int).astype(str)
    assert obs.astype(str).sort_index().to_dict() == expected.sort_index().to_dict()


def test_the_sum_of_effects_applies_where_both_genes_are_seen_alone(predictions):
    for name in ("additive", "additive_on_target"):
        obs = predictions[name].obs
        assert ((obs["seen"] == "2") == (obs["status"] == "predicted")).all()
        assert obs.loc[obs["seen"] != "2", "reason"].str.startswith("not seen alone in").all()


def test_means_are_told_by_how_much_was_seen(run):
    summary = run.table("pairs/summary.tsv")
    l2 = summary[(summary["metric"] == "l2") & (summary["gene_set"] == "top")]
    parts = l2[l2["model"] == "lgem"].set_index("perturbations")["n"]
    assert {"scored", "shared", "seen_0", "seen_1", "seen_2"} == set(parts.index)
    assert parts["seen_2"] == parts["seen_1"] - 1 == 3  # GENE9 is never seen alone
    additive = l2[l2["model"] == "additive"].set_index("perturbations")["n"]
    assert additive["seen_2"] == 3
    assert additive["seen_0"] == additive["seen_1"] == 0
    assert len(run.table("pairs/figures/doubles.tsv")) > 0


# The virtual screen


def test_the_targets_that_were_asked_for_are_predicted_and_no_others(run):
    screen = run.table("pairs/screen.tsv")
    assert set(screen["target"]) == {"GENE10", "GENE2+GENE9", "GENE1"}
    assert screen.set_index("target")["in_training"].to_dict() == {
        "GENE10": False,
        "GENE2+GENE9": False,
        "GENE1": True,
    }
    assert screen["effect_size"].is_monotonic_decreasing
    content = json.loads((run.folder / "results/pairs/screen_model.json").read_text("utf-8"))
    assert sorted(content["training"]) == sorted((*SINGLES, *PAIRS))
    assert set(screen["basis"]) == {content["fitted"]["parts"]}


# What cannot be


@pytest.fixture(scope="module")
def refused(run, tmp_path_factory) -> Run:
    """The same screen with tables that are no embeddings, and a target that nobody knows."""
    folder = tmp_path_factory.mktemp("refused") / "run"
    shutil.copytree(run.folder, folder)
    models = []
    for name, (text, _) in TABLES.items():
        (folder / f"{name}.tsv").write_text(text, "utf-8")
        models.append({"name": name, "gene_embedding": f"{name}.tsv"})
    models += [
        {"name": "unknown_rows", "perturbation_embedding": "commas.csv", "on_target": False},
        {"name": "wide", "gene_embedding": "genes.tsv", "dimensions": 9},
    ]
    (folder / "commas.csv").write_text("name,a\nTP53,1\n", "utf-8")
    config = {
        "dataset": "pairs",
        "datasets": {"pairs": {**CELLS, "path": "screen.h5ad"}},
        "splits": {"scheme": "doubles"},
        "models": [{"name": "lgem"}, *models],
        "screen": {"targets": ["GENE1", "GEEN2"]},
    }
    write_config(folder, **config)
    wanted = [f"results/pairs/predictions/{model['name']}.h5ad" for model in models]
    return snakemake(folder, "--keep-going", *wanted, "results/pairs/screen.tsv")


def test_tables_that_are_no_embeddings_end_the_run_without_a_traceback(refused):
    ended_in_words(refused)
    assert len(refused.errors) == len(TABLES) + 3
    assert not {"plan_cells", "pseudobulk", "effects", "splits"} & refused.jobs.keys()


@pytest.mark.parametrize("name", TABLES)
def test_problems_of_a_table_are_told_with_the_place(refused, name):
    told = (refused.folder / "logs" / "pairs" / f"fit_{name}.log").read_text("utf-8")
    [line] = [line for line in told.splitlines() if "error" in line]
    for words in TABLES[name][1]:
        assert words in line
    assert not (refused.folder / "results" / "pairs" / "models" / name).exists()


def test_more_dimensions_than_a_table_has_are_refused(refused):
    told = (refused.folder / "logs" / "pairs" / "fit_wide.log").read_text("utf-8")
    assert "models: wide: dimensions: found 9; expected at most 3, the columns of the " in told


def test_a_target_that_is_not_measured_is_told_with_its_nearest_spelling(refused):
    told = (refused.folder / "logs" / "pairs" / "screen.log").read_text("utf-8")
    assert (
        "lgem: error: screen.targets: GEEN2: found target not measured: GEEN2; expected genes, or "
        "combinations as A+B; did you mean 'GENE2'?"
    ) in told


def test_a_table_that_names_none_of_the_perturbations_is_refused(refused):
    told = (refused.folder / "logs" / "pairs" / "fit_unknown_rows.log").read_text("utf-8")
    assert "commas.csv: found none of the screen's perturbations; there are: TP53" in told


def test_the_linear_layer_fitted_by_gradients_predicts_what_pinv_does(run, tmp_path):
    if importlib.util.find_spec("torch") is None:
        lacking("PyTorch is not installed")
    shutil.copytree(run.folder, tmp_path / "run")
    fixed = {"dimensions": 2, "mean_weight": 0.5, "on_target": False}
    write_config(
        tmp_path / "run",
        dataset="pairs",
        datasets={"pairs": {**CELLS, "path": "screen.h5ad"}},
        splits={"scheme": "doubles"},
        models=[{"name": solver, "solver": solver, **fixed} for solver in ("gradient", "pinv")],
    )
    place = "results/pairs/predictions"
    succeed(tmp_path / "run", f"{place}/gradient.h5ad", f"{place}/pinv.h5ad")
    ours, theirs = (
        anndata.read_h5ad(tmp_path / "run" / place / f"{name}.h5ad").X
        for name in ("pinv", "gradient")
    )
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-6)


def test_exchange_asks_for_a_pair_of_every_model_of_every_screen(run, tmp_path):
    table, metadata = profiles_of()
    table.to_csv(tmp_path / "bulk.tsv", sep="\t")
    metadata.to_csv(tmp_path / "metadata.tsv", sep="\t")
    cells_of().write_h5ad(tmp_path / "screen.h5ad")
    datasets = {
        "one": {**CELLS, "path": "screen.h5ad"},
        "two": {**PROFILES, **CELLS, "path": "bulk.tsv"},
        "bulk": {"kind": "profiles", "path": "bulk.tsv"},  # no perturbations
    }
    write_config(tmp_path, **{**SHORT, "dataset": list(datasets), "datasets": datasets})
    jobs = succeed(tmp_path, "exchange", "--dry-run").jobs
    models = len(BASELINES) + len(CONTROLS) + 2
    assert jobs["exchange_pair"] == jobs["predict"] == 2 * models
    assert "evaluate" not in jobs
