"""The model behind a simulated screen, each formula against the slow and obvious way."""

import numpy as np
import pandas as pd
import pytest

from lgem.screen.simulate import _draw_cells, draw_library
from lgem.screen.truth import (
    Expression,
    Perturbation,
    clamp_response,
    draw_network,
    log_normalise,
    perturb,
    true_effects,
    true_network,
)


def small_network(seed=0, genes=24, modules=2):
    return draw_network(
        np.random.default_rng(seed),
        genes,
        modules,
        module_share=0.8,
        partners=3,
        coupling=0.8,
        crosstalk=3,
        latent_noise=0.2,
    )


def gene_names(number):
    return pd.Index([f"G{i}" for i in range(number)])


# The latent model


@pytest.mark.parametrize("targets", [[0], [7], [23], [3, 11], [5, 6]])
def test_the_clamp_formula_solves_the_clamped_system(targets):
    network = small_network()
    A = network.total_effects
    change = np.linspace(-1.5, -0.5, len(targets))
    # Held targets listen to nobody: their rows of B are 0 and their equations read x_T = change.
    B = network.B.copy()
    B[targets] = 0
    force = np.zeros(len(B))
    force[targets] = change
    solved = np.linalg.solve(np.eye(len(B)) - B, force)
    np.testing.assert_allclose(clamp_response(A, np.array(targets), change), solved, atol=1e-12)


@pytest.mark.parametrize("target", range(0, 24, 5))
def test_one_target_moves_the_others_by_its_relative_effect(target):
    A = small_network().total_effects
    response = clamp_response(A, np.array([target]), np.array([-2.0]))
    np.testing.assert_allclose(response, -2 * A[:, target] / A[target, target], atol=1e-12)


@pytest.mark.parametrize("targets", [[4], [2, 9]])
def test_every_perturbed_cell_solves_its_own_clamped_system(targets):
    network = small_network()
    A = network.total_effects
    rng = np.random.default_rng(3)
    noise = network.noise * rng.standard_normal((6, len(A)))
    clamps = rng.uniform(0, 2, (6, len(targets)))
    states = perturb(noise @ A.T, noise, A, np.array(targets), clamps)
    B = network.B.copy()
    B[targets] = 0
    force = noise.copy()
    force[:, targets] -= clamps
    solved = np.linalg.solve(np.eye(len(B)) - B, force.T).T
    np.testing.assert_allclose(states, solved, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_network_is_as_stable_as_asked_for(seed):
    B = small_network(seed, genes=60, modules=4).B
    assert np.abs(np.linalg.eigvals(B)).max() == pytest.approx(0.8)


@pytest.mark.parametrize("seed", range(3))
def test_modules_are_mostly_reciprocal_and_passive_genes_act_on_nobody(seed):
    network = small_network(seed, genes=60, modules=4)
    edges = network.B != 0
    passive = network.module < 0
    assert passive.sum() == 12
    assert not edges[:, passive].any()
    assert (edges[passive].sum(axis=1) == 1).all()
    within = edges & (network.module[:, None] == network.module) & ~passive
    either = within | within.T
    assert either.sum(axis=1)[~passive].mean() == pytest.approx(3)
    assert (within & within.T).sum() / either.sum() > 0.6


def test_the_support_of_theta_is_that_of_the_inverse_covariance_of_cells():
    network = small_network(genes=20)
    draws = 200_000
    noise = network.noise * np.random.default_rng(5).standard_normal((draws, 20))
    states = noise @ network.total_effects.T
    theta = np.linalg.inv(np.cov(states, rowvar=False))
    d = np.diag(theta)
    z = theta / np.sqrt((np.outer(d, d) + theta**2) / draws)
    table = true_network(network, gene_names(20))
    edge = np.zeros((20, 20), bool)
    pairs = table.loc[table["precision"] == 1, ["gene_a", "gene_b"]]
    for a, b in pairs.to_numpy():
        edge[int(a[1:]), int(b[1:])] = True
    upper = np.triu(np.ones((20, 20), bool), 1)
    assert 0.7 < np.mean(z[upper & ~edge] ** 2) < 1.3
    assert np.abs(z[upper & ~edge]).max() < 4.5 < np.abs(z[edge]).min()


def test_theta_is_the_inverse_covariance():
    network = small_network()
    A = network.total_effects
    covariance = A @ np.diag(network.noise**2) @ A.T
    np.testing.assert_allclose(network.precision @ covariance, np.eye(24), atol=1e-10)


def test_the_network_table_tells_edges_from_common_targets():
    network = small_network()
    names = gene_names(24)
    table = true_network(network, names)
    a, b = names.get_indexer(table["gene_a"]), names.get_indexer(table["gene_b"])
    assert (a < b).all()
    either = (network.B != 0) | (network.B.T != 0)
    assert table["skeleton"].sum() == np.triu(either, 1).sum()
    np.testing.assert_array_equal(table["skeleton"], either[a, b])
    together = ((network.B != 0).T.astype(int) @ (network.B != 0))[a, b] > 0
    moral = (table["precision"] == 1) & (table["skeleton"] == 0)
    assert moral.any()
    assert together[moral].all()


def test_perturbing_a_gene_moves_its_own_module_most():
    network = small_network(genes=60, modules=4)
    A = network.total_effects
    relative = np.abs(A / np.diag(A))
    module = network.module
    same = module[:, None] == module
    active = (module[:, None] >= 0) & (module >= 0) & ~np.eye(60, dtype=bool)
    assert relative[active & same].mean() > 5 * relative[active & ~same].mean()


# Counts


def test_counts_without_latent_noise_are_negative_binomial_around_the_softmax():
    expression = Expression(np.log([1.0, 3.0, 6.0]), depth=50, depth_spread=0, dispersion=0.2)
    rng = np.random.default_rng(0)
    cells = 200_000
    counts = expression.draw_counts(rng, np.zeros((cells, 3)), expression.draw_nuisance(rng, cells))
    mean = np.array([5.0, 15.0, 30.0])
    variance = mean + 0.2 * mean**2
    np.testing.assert_allclose(counts.mean(axis=0), mean, rtol=0.01)
    np.testing.assert_allclose(counts.var(axis=0), variance, rtol=0.03)
    assert np.abs(np.corrcoef(counts.T)[np.triu_indices(3, 1)]).max() < 0.01


def test_library_size_does_not_depend_on_the_state_of_a_cell():
    expression = Expression(np.zeros(3), depth=50, depth_spread=0, dispersion=0.01)
    rng = np.random.default_rng(0)
    states = np.repeat([[0.0, 0.0, 0.0], [4.0, 1.0, -1.0]], 20_000, axis=0)
    counts = expression.draw_counts(rng, states, expression.draw_nuisance(rng, len(states)))
    np.testing.assert_allclose(counts.sum(axis=1).reshape(2, -1).mean(axis=1), 50, rtol=0.01)


# Effects


def cell_by_cell(rng, network, baseline, targets, shares, clamps, cells):
    """From the equations alone: clamped system, softmax, NumPy's own binomial, logarithm."""
    y = np.empty((cells, len(baseline)))
    for cell in range(cells):
        B = network.B.copy()
        force = network.noise * rng.standard_normal(len(baseline))
        guide = rng.choice(len(shares), p=shares)
        for target, clamp in zip(targets, clamps[guide], strict=True):
            B[target] = 0
            force[target] -= clamp
        x = np.linalg.solve(np.eye(len(baseline)) - B, force)
        share = np.exp(baseline + x) / np.exp(baseline + x).sum()
        mean = 800 * rng.lognormal(-(0.4**2) / 2, 0.4) * share
        counts = rng.negative_binomial(1 / 0.15, 1 / (1 + 0.15 * mean))
        y[cell] = np.log1p(1e4 * counts / counts.sum())
    return y


@pytest.fixture
def model():
    """Twelve genes; the most expressed one (4) and another (9) are targets of two guides."""
    baseline = np.random.default_rng(1).normal(size=12)
    baseline[4] = 2
    clamps = np.array([[0.3, 2.0], [1.5, 1.0]])
    abundances = np.array([1.0, 3.0])
    single = Perturbation("G4", np.array([4]), ("a", "b"), clamps[:, :1], abundances)
    double = Perturbation("G4+G9", np.array([4, 9]), ("c", "d"), clamps, abundances)
    expression = Expression(baseline, depth=800, depth_spread=0.4, dispersion=0.15)
    return small_network(genes=12), expression, [single, double]


def test_the_truth_equals_a_simulation_cell_by_cell(model):
    network, expression, library = model
    truth = true_effects(
        np.random.default_rng(2), network, expression, library, 20_000, gene_names(12)
    )
    rng = np.random.default_rng(7)
    control = cell_by_cell(rng, network, expression.baseline, [], [1], [()], 8000)
    z, z_linear = [], []
    for row, one in enumerate(library):
        y = cell_by_cell(
            rng, network, expression.baseline, one.targets, [0.25, 0.75], one.clamps, 8000
        )
        effect = y.mean(axis=0) - control.mean(axis=0)
        variance = (y.var(axis=0) + control.var(axis=0)) / 8000 + truth.layers["se"][row] ** 2
        z.extend((truth.X[row] - effect) / np.sqrt(variance))
        z_linear.extend((truth.layers["linear"][row] - effect) / np.sqrt(variance))
    assert 0.4 < np.mean(np.square(z)) < 1.7
    assert np.abs(z).max() < 4
    assert np.mean(np.square(z_linear)) > 20  # the latent effect alone is not the truth


def test_the_cells_of_each_guide_and_batch_equal_a_simulation_cell_by_cell(model):
    network, expression, library = model
    rng = np.random.default_rng(11)
    shifts = np.vstack([np.zeros(12), 0.5 * rng.standard_normal(12)])
    sizes = np.array([0, 0, 5000, 5000])
    cells = _draw_cells(rng, network, expression, shifts, library, sizes, gene_names(12), 0.0)
    y = log_normalise(cells.X.toarray())
    double, z, ratio = library[1], [], []
    for guide, clamps in zip(double.guides, double.clamps, strict=True):
        for batch, shift in zip(("batch_1", "batch_2"), shifts, strict=True):
            own = y[(cells.obs["guide"] == guide) & (cells.obs["batch"] == batch)]
            other = cell_by_cell(
                rng, network, expression.baseline + shift, double.targets, [1], [clamps], 2500
            )
            variance = own.var(axis=0) / len(own) + other.var(axis=0) / len(other)
            z.append((own.mean(axis=0) - other.mean(axis=0)) / np.sqrt(variance))
            ratio.append(own.var(axis=0) / other.var(axis=0))
    assert 0.4 < np.mean(np.square(z)) < 1.7
    assert np.abs(z).max() < 4
    # Also the target keeps its own noise, and no more than that.
    np.testing.assert_allclose(np.mean(ratio, axis=0)[4], 1, atol=0.08)
    np.testing.assert_allclose(np.mean(ratio), 1, atol=0.04)


def test_the_standard_error_of_the_truth_is_its_spread_over_streams():
    network = small_network(genes=15, modules=2)
    names = gene_names(15)
    rng = np.random.default_rng(4)
    library = draw_library(rng, names, network.module, 4, 1, 3, 1.5, 0)
    expression = Expression(rng.normal(size=15), depth=600, depth_spread=0.3, dispersion=0.1)
    runs = [
        true_effects(np.random.default_rng(s), network, expression, library, 150, names)
        for s in range(120)
    ]
    spread = np.var([run.X for run in runs], axis=0, ddof=1)
    stated = np.mean([run.layers["se"] ** 2 for run in runs], axis=0)
    assert np.mean(spread / stated) == pytest.approx(1, abs=0.1)
