"""Effects of a real screen, adjusted for its batches, against least squares on all of its cells."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests

from lgem.files import read_json
from lgem.systems import systems_from, systems_table
from tests.workflow.running import ended_in_words, snakemake, succeed, write_config

pytestmark = [pytest.mark.real, pytest.mark.workflow]

FILE = "papalexi21_thp1_eccite_299g.h5ad"
ENTRY = {
    "perturbation": "perturbation",
    "control": "control",
    "batch": "batch",
    "guide": "guide",
    "size_factor": "total_counts_all_genes",
}
MOVED = "STAT1"
UNCONNECTED = "not connected with control through batch"
SENTENCE = (
    "batch alone holds only STAT1 cells, and STAT1 has no others: the effects of STAT1 and of "
    "alone cannot be separated"
)
REMEDY = (
    "put control cells into alone, or STAT1 cells into a batch with control; or adjust_batch: "
    "false, which counts the batch's difference as STAT1's effect"
)


@pytest.fixture(scope="module")
def screens(real_data, tmp_path_factory):
    """The screen as it is, and two copies in which cells of one perturbation change their batch.

    In ``island`` all of them lie in a batch of their own; in ``bridge`` those of one replicate
    fill a batch, and the others still share two with control.
    """
    folder = tmp_path_factory.mktemp("adjusted")
    found = {}
    whole = anndata.read_h5ad(real_data / FILE)
    batch = whole.obs["batch"].astype(str)
    mine = whole.obs["perturbation"] == MOVED
    for name, moved in (
        ("papalexi", mine & False),
        ("island", mine),
        ("bridge", mine & (batch == "rep_1")),
    ):
        screen = whole.copy()
        screen.obs["batch"] = batch.mask(moved, "alone")
        found[name] = screen
        screen.write_h5ad(folder / f"{name}.h5ad")
    return folder, found


@pytest.fixture(scope="module")
def config(screens, real_data):
    folder, found = screens
    paths = {name: str(folder / f"{name}.h5ad") for name in found}
    paths["papalexi"] = str(real_data / FILE)
    return {name: {**ENTRY, "path": path} for name, path in paths.items()}


@pytest.fixture(scope="module")
def run(screens, config):
    folder, _ = screens
    write_config(folder, dataset=list(config), datasets=config)
    return succeed(folder, *(f"results/{name}/effects.h5ad" for name in config))


def log_expression(screen):
    """Return log1p(1e4 · x / s) of all cells (cells × genes)."""
    size = screen.obs["total_counts_all_genes"].to_numpy(dtype=float)
    return np.log1p(1e4 * screen.X.toarray().astype(float) / size[:, None])


def design_of(obs):
    """Return an intercept and one column per perturbation and batch but the first of each."""
    marks = pd.get_dummies(obs[["perturbation", "batch"]].astype(str), dtype=float)
    reference = [f"batch_{min(obs['batch'].astype(str))}", "perturbation_control"]
    return sm.add_constant(marks.drop(columns=reference))


def on_cells(X, Y):
    """Return coefficients, errors and p-values of every gene, in the plainest way there is."""
    coefficients, _, rank, _ = np.linalg.lstsq(X.to_numpy(), Y, rcond=None)
    assert rank == X.shape[1]
    freedom = len(X) - rank
    variance = ((Y - X.to_numpy() @ coefficients) ** 2).sum(axis=0) / freedom
    errors = np.sqrt(np.outer(np.diag(np.linalg.inv(X.T.to_numpy() @ X.to_numpy())), variance))
    p = 2 * stats.t.sf(np.abs(coefficients / errors), freedom)
    return (pd.DataFrame(values, index=X.columns) for values in (coefficients, errors, p))


def assert_equals_cells(effects, screen):
    """Compare all effects with least squares on cells; 20 genes with statsmodels' as well."""
    there = effects[(effects.obs["status"] == "estimated").to_numpy()]
    rows = [f"perturbation_{name}" for name in there.obs_names]
    X, Y = design_of(screen.obs), log_expression(screen)
    assert set(rows) == {column for column in X if column.startswith("perturbation_")}
    coefficients, errors, p = on_cells(X, Y)
    np.testing.assert_allclose(there.X, coefficients.loc[rows], atol=1e-8)
    np.testing.assert_allclose(there.layers["se"], errors.loc[rows], atol=1e-8)
    q = [multipletests(values, method="fdr_bh")[1] for values in p.loc[rows].to_numpy()]
    np.testing.assert_allclose(there.layers["q_value"], q, atol=1e-8)
    for gene in np.random.default_rng(0).choice(there.n_vars, 20, replace=False):
        fit = sm.OLS(Y[:, gene], X).fit()
        np.testing.assert_allclose(there.X[:, gene], fit.params[rows], atol=1e-8)
        np.testing.assert_allclose(there.layers["se"][:, gene], fit.bse[rows], atol=1e-8)
        np.testing.assert_allclose(p.loc[rows, gene], fit.pvalues[rows], atol=1e-8)


def effects_of(run, name):
    return anndata.read_h5ad(run.folder / "results" / name / "effects.h5ad")


def effects_system(run, name):
    """The row that the stage of effects hands on to design.tsv."""
    content = read_json(run.folder / "results" / name / "work" / "systems_effects.json")
    return systems_table(systems_from(content)).iloc[0].replace("", np.nan)


def test_adjusted_effects_are_those_of_least_squares_on_the_cells(run, screens):
    effects = effects_of(run, "papalexi")
    assert (effects.obs["status"] == "estimated").all()
    assert effects.shape == (25, 299)
    assert_equals_cells(effects, screens[1]["papalexi"])
    system = effects_system(run, "papalexi")
    assert system[["system", "rows", "columns", "rank", "verdict"]].tolist() == [
        *("effects", 20729, 28, 28, "unique")
    ]
    assert system["explanation"] == "25 effects estimated, adjusted for batch"
    assert system[["aliased", "cause", "remedy"]].isna().all()


def test_every_gene_is_tested_and_the_file_agrees_with_the_effects(run, screens):
    place = run.folder / "results" / "papalexi" / "differential_expression.parquet"
    effects, file = effects_of(run, "papalexi"), pq.ParquetFile(place)
    assert file.num_row_groups == 25
    _, _, p = on_cells(
        design_of(screens[1]["papalexi"].obs), log_expression(screens[1]["papalexi"])
    )
    for row, name in enumerate(effects.obs_names):
        table = file.read_row_group(row).to_pandas()
        assert set(table["perturbation"]) == {name}
        assert table["gene"].tolist() == effects.var_names.tolist()
        np.testing.assert_array_equal(table["control"], effects.var["control"])
        np.testing.assert_array_equal(table["effect"], effects.X[row])
        np.testing.assert_array_equal(table["se"], effects.layers["se"][row])
        np.testing.assert_array_equal(table["q_value"], effects.layers["q_value"][row])
        np.testing.assert_allclose(table["p_value"], p.loc[f"perturbation_{name}"], atol=1e-8)
        np.testing.assert_allclose(table["t"], effects.X[row] / effects.layers["se"][row])


def test_the_strongest_genes_of_the_interferon_pathway_are_its_known_ones(run):
    strongest = run.table("papalexi/differential_expression.tsv")
    assert len(strongest) == 25 * 10
    counts = strongest.groupby("perturbation")["significant"].first()
    # Without receptor or kinase, the response to interferon is gone; these are not in doubt.
    assert set(counts.nlargest(6).index) >= {"IFNGR1", "IFNGR2", "JAK2", "STAT1"}
    own = strongest[strongest["own"]]
    assert (own["perturbation"] == own["gene"]).all()
    assert own["effect"].lt(0).mean() > 0.5  # knock-outs, but for what cells make up for


def test_a_perturbation_alone_in_its_batch_is_named_and_the_others_go_on(run, screens):
    effects = effects_of(run, "island")
    left_out = effects.obs.loc[effects.obs["status"] == "left_out", "reason"]
    assert left_out.to_dict() == {MOVED: UNCONNECTED}
    assert np.isnan(effects[MOVED].X).all()
    screen = screens[1]["island"]
    assert_equals_cells(effects, screen[(screen.obs["perturbation"] != MOVED).to_numpy()])
    system = effects_system(run, "island")
    assert system["aliased"] == f"{MOVED} = alone"
    assert (system["cause"], system["remedy"]) == ("confounded batch", REMEDY)
    assert system[["columns", "rank", "verdict"]].tolist() == [27, 27, "unique"]
    assert system["explanation"] == (
        f"24 effects estimated, adjusted for batch; 1 left out, {UNCONNECTED}: {MOVED}; "
        "the design asked for has 29 columns of rank 28"
    )
    log = (run.folder / "logs" / "island" / "effects.log").read_text("utf-8")
    assert SENTENCE in log
    names = pq.read_table(run.folder / "results/island/differential_expression.parquet")
    assert MOVED not in set(names["perturbation"].to_pylist())


def test_the_run_stops_with_the_same_words_if_told_to(config, tmp_path):
    island = {"island": config["island"]}
    write_config(tmp_path, dataset="island", datasets=island, pseudobulk={"adjust_batch": True})
    run = snakemake(tmp_path, "results/island/effects.h5ad")
    ended_in_words(run)
    (error,) = set(run.errors)
    assert error == (
        f"effects under adjust_batch: true: found 1 perturbation {UNCONNECTED}: {MOVED} "
        f"({SENTENCE}); expected a design that connects them: {REMEDY}; or adjust_batch: auto, "
        "which leaves them out"
    )
    # Without adjustment it is estimated: the difference of the means of all cells.
    write_config(tmp_path, dataset="island", datasets=island, pseudobulk={"adjust_batch": False})
    run = succeed(tmp_path, "results/island/effects.h5ad")
    effects = effects_of(run, "island")
    assert (effects.obs["status"] == "estimated").all()
    screen = anndata.read_h5ad(config["island"]["path"])
    means = pd.DataFrame(log_expression(screen)).groupby(screen.obs["perturbation"].to_numpy())
    expected = means.mean().loc[effects.obs_names] - means.mean().loc["control"]
    np.testing.assert_allclose(effects.X, expected, atol=1e-8)
    system = effects_system(run, "island")
    assert system["explanation"] == (
        "25 effects estimated, not adjusted for batch, whose differences count as effects where "
        f"{MOVED} = alone"
    )
    assert system["aliased"] == f"{MOVED} = alone"


def test_a_perturbation_that_fills_a_batch_is_estimated_through_its_other_cells(run, screens):
    obs = screens[1]["bridge"].obs
    assert set(obs.loc[obs["batch"] == "alone", "perturbation"]) == {MOVED}
    effects = effects_of(run, "bridge")
    assert (effects.obs["status"] == "estimated").all()
    assert_equals_cells(effects, screens[1]["bridge"])
    system = effects_system(run, "bridge")
    assert system[["columns", "rank", "verdict"]].tolist() == [29, 29, "unique"]
    assert pd.isna(system["aliased"])
