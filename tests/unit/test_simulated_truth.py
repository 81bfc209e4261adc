"""What the chain finds on the simulated screen, against the truth that the simulation knows."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest

from lgem.config_dataset import Dataset, Simulation
from lgem.network.covariance import standardise
from lgem.network.estimators import ESTIMATORS
from lgem.network.precision import invert
from lgem.network.reference import score_network
from lgem.screen.annotation import Shard
from lgem.screen.cells import plan_cells
from lgem.screen.counting import count_shard, describe_shards
from lgem.screen.effects import estimate_effects
from lgem.screen.entry import cell_rules
from lgem.screen.io import group_statistics, network_expression, pseudobulk_data
from lgem.screen.network_cells import read_control_cells
from lgem.screen.panel import in_fixed_order
from lgem.screen.simulate import simulate_screen


@pytest.fixture(scope="module")
def screen():
    """The default screen, with fewer draws of its truth."""
    settings = Simulation.model_validate({"truth_draws": 4000})
    return simulate_screen(**settings.model_dump(), seed=3)


@pytest.fixture(scope="module")
def chain(screen, tmp_path_factory):
    """Pseudobulk and control cells of that screen, as the workflow makes them."""
    path = str(tmp_path_factory.mktemp("screen") / "screen.h5ad")
    screen.cells.write_h5ad(path)
    entry = Dataset.model_validate({"simulate": {}}).model_dump(mode="json")
    rules = cell_rules(entry)
    shards, genes = describe_shards([Shard(path)], entry, rules)
    cells, groups = plan_cells(shards, rules, 1, path)
    kept = Path(path).with_name("control.h5")
    sums = count_shard(path, entry, cells, groups=len(groups), target_sum=1e4, control=kept)
    control = in_fixed_order(read_control_cells(kept))
    control.uns["target_sum"] = 1e4
    return pseudobulk_data(sums, groups, genes.set_index("gene"), counts=True), control


def z_scores(found, truth: anndata.AnnData) -> np.ndarray:
    expected = truth[found.perturbations]
    return (found.effect - expected.X) / np.hypot(found.se, expected.layers["se"])


def test_effects_agree_with_the_truth_within_their_sampling_error(screen, chain):
    found = estimate_effects(group_statistics(chain[0]), ["batch"])
    assert sorted(found.perturbations) == sorted(screen.effects.obs_names)
    z = z_scores(found, screen.effects)
    assert 0.85 < np.mean(z**2) < 1.2
    assert abs(z.mean()) < 0.1
    assert np.mean(np.abs(z) > 3) < 0.01


def test_the_effects_of_other_perturbations_do_not_pass_for_them(screen, chain):
    adjusted = z_scores(estimate_effects(group_statistics(chain[0]), ["batch"]), screen.effects)
    shuffled = screen.effects[np.roll(screen.effects.obs_names, 1)].copy()
    shuffled.obs_names = screen.effects.obs_names
    wrong = z_scores(estimate_effects(group_statistics(chain[0]), ["batch"]), shuffled)
    assert np.mean(wrong**2) > 10 * np.mean(adjusted**2)


def test_the_precision_network_beats_chance_clearly(screen, chain):
    control = chain[1]
    panel = standardise(network_expression(control), control.obs["batch"])
    covariance = ESTIMATORS["ledoit_wolf"](panel.values).covariance
    rho = invert(covariance).partial_correlations().matrix()
    true = screen.network[screen.network["precision"] == 1]
    genes = control.var_names[panel.genes_kept].tolist()
    ratio = score_network(rho, genes, true, 200, 0.9, 1).set_index("metric").loc["aupr_ratio"]
    assert ratio["lower"] > 3
    permuted = np.random.default_rng(0).permutation(len(genes))
    shuffled = score_network(rho[np.ix_(permuted, permuted)], genes, true, 200, 0.9, 1)
    assert shuffled.set_index("metric").loc["aupr_ratio", "lower"] < 1.2
