"""What a simulated screen promises: raw data as a user brings them, in accord with the truth."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from lgem.config_dataset import Simulation
from lgem.errors import InputError
from lgem.h5ad import write_h5ad
from lgem.screen.simulate import CONTROL, _draw_batches, draw_library, simulate_screen
from lgem.screen.truth import log_normalise

SMALL = {
    "seed": 1,
    "genes": 40,
    "modules": 3,
    "module_share": 0.8,
    "partners": 4.0,
    "coupling": 0.8,
    "crosstalk": 3,
    "latent_noise": 0.2,
    "perturbations": 12,
    "doubles": 4,
    "guides": 3,
    "knockdown": 1.5,
    "weak_share": 0.2,
    "control_guides": 5,
    "control_cells": 900,
    "cells_per_perturbation": 70,
    "batches": 3,
    "batch_shift": 0.2,
    "depth": 1500.0,
    "depth_spread": 0.3,
    "dispersion": 0.1,
    "batch_imbalance": 0.0,
    "truth_draws": 4000,
}


@pytest.fixture(scope="module")
def screen():
    return simulate_screen(**SMALL)


def assert_same(one, other):
    pd.testing.assert_frame_equal(one.obs, other.obs)
    pd.testing.assert_frame_equal(one.var, other.var)
    dense = [d.X.toarray() if sparse.issparse(d.X) else d.X for d in (one, other)]
    np.testing.assert_array_equal(*dense)
    assert set(one.layers) == set(other.layers)
    for layer in one.layers:
        np.testing.assert_array_equal(one.layers[layer], other.layers[layer])


# Seeds


def test_a_seed_fixes_the_screen_to_the_last_bit(screen):
    again = simulate_screen(**SMALL)
    assert_same(screen.cells, again.cells)
    assert_same(screen.effects, again.effects)
    pd.testing.assert_frame_equal(screen.network, again.network)
    assert screen.cells.uns["source"] == again.cells.uns["source"]


def test_another_seed_is_another_screen(screen):
    other = simulate_screen(**{**SMALL, "seed": 2, "truth_draws": 2})
    assert not screen.network.equals(other.network)
    assert set(screen.effects.obs_names) != set(other.effects.obs_names)
    assert set(screen.cells.obs_names).isdisjoint(other.cells.obs_names)


def test_the_number_of_truth_draws_changes_no_cell(screen):
    other = simulate_screen(**{**SMALL, "truth_draws": 10})
    assert_same(screen.cells, other.cells)
    assert not np.array_equal(screen.effects.X, other.effects.X)


@pytest.mark.parametrize(
    "change",
    [
        {"perturbations": 5, "doubles": 0, "guides": 1},
        {"control_cells": 50},
        {"depth": 300.0, "batches": 1},
    ],
)
def test_the_library_and_the_cells_do_not_change_the_network(screen, change):
    other = simulate_screen(**{**SMALL, "truth_draws": 2, **change})
    pd.testing.assert_frame_equal(screen.network, other.network)


# The cells


def test_counts_are_non_negative_integers_of_the_stated_depth(screen):
    X = screen.cells.X
    assert sparse.issparse(X)
    assert X.format == "csr"
    assert X.dtype == np.int32
    assert X.data.min() > 0
    sizes = np.asarray(X.sum(axis=1)).ravel()
    assert sizes.mean() == pytest.approx(1500, rel=0.03)
    assert np.log(sizes).std() == pytest.approx(0.3, rel=0.15)


def test_cells_look_like_what_a_user_brings(screen, tmp_path):
    cells = screen.cells
    assert cells.n_obs == 900 + 70 * 16
    assert list(cells.obs.columns) == ["perturbation", "guide", "batch"]
    assert cells.obs_names.is_unique
    assert cells.var_names.is_unique
    assert cells.obs["batch"].nunique() == 3
    assert (cells.obs["perturbation"] == CONTROL).sum() == 900
    assert set(cells.obs["perturbation"]) - {CONTROL} == set(screen.effects.obs_names)
    assert json.loads(cells.uns["source"])["simulated with"] == SMALL
    for name, part in {"cells": cells, "effects": screen.effects}.items():
        write_h5ad(part.copy(), tmp_path / f"{name}.h5ad")
        assert_same(part, anndata.read_h5ad(tmp_path / f"{name}.h5ad"))


def test_each_guide_names_its_targets(screen):
    obs = screen.cells.obs[["perturbation", "guide"]].astype(str).drop_duplicates()
    assert obs["guide"].is_unique
    for label, guide in obs.to_numpy():
        assert "+".join(part.rpartition("_")[0] for part in guide.split("+")) == label
    per_label = obs.groupby("perturbation")["guide"].nunique()
    assert per_label[CONTROL] == 5
    assert (per_label.drop(CONTROL) == 3).all()


def test_doubles_pair_perturbed_genes_half_of_them_within_a_module(screen):
    labels = screen.effects.obs_names
    doubles = [label.split("+") for label in labels if "+" in label]
    module = screen.effects.var["module"]
    assert len(labels) == 16
    assert len(doubles) == 4
    assert all(a < b and {a, b} <= set(labels) for a, b in doubles)
    assert sum(module[a] == module[b] for a, b in doubles) == 2


@pytest.mark.parametrize(("perturbations", "doubles"), [(1, 0), (4, 6)])
def test_the_smallest_and_the_fullest_set_of_doubles_can_be_drawn(perturbations, doubles):
    library = draw_library(
        np.random.default_rng(0),
        pd.Index(list("abcdefghi")),
        np.zeros(9, int),
        perturbations,
        doubles,
        2,
        1,
        0,
    )
    assert len({one.label for one in library}) == perturbations + doubles
    assert len(library[-1].targets) == (2 if doubles else 1)


# The cells against the truth


def test_batches_leave_no_trace_in_the_truth(screen):
    shifted = simulate_screen(**{**SMALL, "batch_shift": 1.0, "batches": 2})
    assert_same(screen.effects, shifted.effects)
    assert not np.array_equal(screen.cells.X.sum(axis=0), shifted.cells.X.sum(axis=0))


def adjusted_effects(cells, labels):
    """Least squares of log-normalised cells on [perturbation, batch], with standard errors."""
    y = log_normalise(cells.X.toarray())
    design = pd.get_dummies(
        cells.obs.astype({"perturbation": str, "batch": str})[["perturbation", "batch"]]
    ).drop(columns=[f"perturbation_{CONTROL}", "batch_batch_1"])
    design.insert(0, "intercept", 1)
    X = design.to_numpy(float)
    inverse = np.linalg.inv(X.T @ X)
    beta = inverse @ X.T @ y
    rows = design.columns.get_indexer([f"perturbation_{label}" for label in labels])
    residual = ((y - X @ beta) ** 2).sum(axis=0) / (len(X) - X.shape[1])
    return beta[rows], np.sqrt(np.diag(inverse)[rows, None] * residual)


def test_batch_adjusted_effects_agree_with_the_truth_within_their_errors(screen):
    estimate, error = adjusted_effects(screen.cells, screen.effects.obs_names)
    z = (estimate - screen.effects.X) / np.sqrt(error**2 + screen.effects.layers["se"] ** 2)
    assert 0.8 < np.mean(z**2) < 1.25
    assert np.mean((estimate / error) ** 2) > 5  # there is something to agree about


def test_guides_that_hardly_work_make_weak_perturbations():
    weak, strong = (
        simulate_screen(**{**SMALL, "weak_share": share, "truth_draws": 300}).effects
        for share in (1.0, 0.0)
    )
    np.testing.assert_array_equal(weak.obs_names, strong.obs_names)
    assert weak.obs["clamp"].max() < 0.5 * strong.obs["clamp"].min()
    singles = [label for label in weak.obs_names if "+" not in label]
    own = np.array([[part[label, label].X.item() for label in singles] for part in (weak, strong)])
    assert (own < 0).all()
    assert (own[0] > own[1]).all()
    assert own[0].mean() > 0.4 * own[1].mean()


# Batches


def shares(screen):
    """Shares of the batches in every perturbation (perturbations × batches), without control's."""
    counts = pd.crosstab(screen.cells.obs["perturbation"], screen.cells.obs["batch"])
    table = counts.div(counts.sum(axis=1), axis=0)
    return table.drop(index=CONTROL), table.loc[CONTROL]


def test_without_imbalance_batches_are_drawn_as_whole_numbers_and_nothing_else_is():
    ours, theirs = np.random.default_rng(3), np.random.default_rng(3)
    owner = np.random.default_rng(4).integers(5, size=1000)
    batch = _draw_batches(ours, owner, 5, 3, 0.0)
    np.testing.assert_array_equal(batch, theirs.integers(3, size=1000))
    assert ours.bit_generator.state == theirs.bit_generator.state  # later draws are the same too


def test_without_imbalance_shares_differ_by_chance_alone(screen):
    perturbed, control = shares(screen)
    assert np.abs(perturbed - 1 / 3).max(axis=None) < 0.2
    assert np.abs(control - 1 / 3).max() < 0.06


def test_the_default_has_no_imbalance():
    assert Simulation().batch_imbalance == 0


def test_with_imbalance_shares_of_perturbations_differ_and_those_of_control_do_not(screen):
    uneven = simulate_screen(**{**SMALL, "batch_imbalance": 2.0, "truth_draws": 2})
    perturbed, control = shares(uneven)
    assert np.abs(control - 1 / 3).max() < 0.06
    # Of Dirichlet(½, ½, ½) a share has the standard deviation √(2/9 / 2.5) = 0.298.
    spread = np.sqrt(np.mean((perturbed.to_numpy() - 1 / 3) ** 2))
    assert spread == pytest.approx(0.298, abs=0.09)
    assert (perturbed.max(axis=1) > 0.8).any()
    assert set(uneven.cells.obs["batch"]) == {"batch_1", "batch_2", "batch_3"}
    # The library, its guides and their numbers of cells are those of the even screen.
    for column in ("perturbation", "guide"):
        assert (
            uneven.cells.obs[column].astype(str).tolist()
            == screen.cells.obs[column].astype(str).tolist()
        )
    pd.testing.assert_frame_equal(uneven.network, screen.network)


def test_little_imbalance_is_almost_even():
    rng, owner = np.random.default_rng(1), np.repeat(np.arange(40), 500)
    spreads = []
    for imbalance in (0.001, 0.1, 10.0):
        batch = _draw_batches(rng, owner, 40, 4, imbalance)
        counts = np.array([np.bincount(batch[owner == one], minlength=4) for one in range(40)])
        assert counts.sum(axis=1).tolist() == [500] * 40
        np.testing.assert_allclose(counts[0] / 500, 0.25, atol=0.08)  # control
        spreads.append(np.std(counts[1:] / 500))
    assert spreads[0] < 0.03 < spreads[1] < 0.2 < spreads[2]


def test_a_seed_fixes_uneven_batches_too():
    uneven = {**SMALL, "batch_imbalance": 1.5, "truth_draws": 2}
    one, other = (simulate_screen(**uneven) for _ in range(2))
    assert_same(one.cells, other.cells)


def test_batches_do_not_depend_on_the_imbalance_where_there_is_one_alone():
    one = {**SMALL, "batches": 1, "batch_imbalance": 3.0, "truth_draws": 2}
    assert set(simulate_screen(**one).cells.obs["batch"]) == {"batch_1"}


# Contradictions


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"perturbations": 41}, "perturbations"),
        ({"doubles": 67}, "doubles"),
        ({"modules": 11}, "modules"),
        ({"partners": 10.0}, "modules"),
    ],
)
def test_arguments_that_contradict_one_another_are_refused(change, key):
    with pytest.raises(InputError, match=f"simulate: {key}"):
        simulate_screen(**{**SMALL, **change})
