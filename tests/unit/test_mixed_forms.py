"""The free form: steps that never raise the objective, what they find, and what the print does."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from lgem.errors import InputError
from lgem.prediction import mixed_fit
from lgem.prediction.mixed_fit import (
    ACCELERATED,
    CYCLIC,
    MONOTONE,
    fit_forms,
    largest_dimensions,
    projected_objective,
)
from lgem.prediction.mixed_forms import (
    Forms,
    Modalities,
    fixed_code,
    loadings,
    monotone_sweep,
    objective,
    random_code,
    start_of,
    with_loadings,
)
from lgem.prediction.mixed_use import MixedForms, subspace_distance

# Share of the objective that a step may rise by rounding.
ROUNDING = 1e-14


def blocks(seed, n, genes, fixed, random, k, noise=0.0):
    """Return blocks made from forms, and these."""
    rng = np.random.default_rng(seed)
    shapes = [(n, k), (n, k), (genes, k), (fixed, k), (random, k)]
    truth = Forms(*(rng.normal(size=shape) for shape in shapes))
    if not random:
        truth = replace(truth, H=np.zeros((n, k)))
    made = (truth.code @ truth.alpha.T, truth.K @ truth.beta.T, truth.H @ truth.u.T)
    return Modalities(*(M + noise * rng.normal(size=M.shape) for M in made)), truth


@st.composite
def problems(draw):
    """Return any blocks, k, ρ and a seed to start from (or None)."""
    seed, n, genes = (
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(2, 9)),
        draw(st.integers(2, 9)),
    )
    data, _ = blocks(
        seed,
        n,
        genes,
        draw(st.integers(1, 4)),
        draw(st.integers(0, 4)),
        draw(st.integers(1, 4)),
        draw(st.sampled_from([0.0, 0.1, 1.0])),
    )
    oddity = draw(st.sampled_from(["", "zero column", "same columns", "same samples"]))
    if oddity == "zero column":
        data.X[:, 0] = 0.0
    if oddity == "same columns":
        data = replace(data, X=np.hstack([data.X, data.X]), Z=np.hstack([data.Z, data.Z]))
    if oddity == "same samples":
        data = Modalities(*(M[np.arange(n) // 2] for M in (data.Y, data.X, data.Z)))
    scale = 10.0 ** draw(st.integers(-3, 3))
    data = Modalities(scale * data.Y, scale * data.X, scale * data.Z)
    k = draw(st.integers(1, largest_dimensions(data, min(n, genes))))
    return data, k, 10.0 ** draw(st.integers(-6, 1)), draw(st.one_of(st.none(), st.integers(0, 9)))


def block_steps(data, forms, rho):
    """Yield the forms after every single step of one monotone sweep."""
    for name, block, code in (("alpha", "Y", "code"), ("beta", "X", "K"), ("u", "Z", "H")):
        best = loadings(getattr(data, block), getattr(forms, code), rho)
        forms = replace(forms, **{name: best})
        yield forms
    forms = replace(forms, K=fixed_code(data, forms, rho))
    yield forms
    forms = replace(forms, H=random_code(data, forms, rho))
    yield forms
    yield forms.canonical()


def assert_never_rises(values, data):
    """No value is above the one before it by more than rounding, of it or of the data's squares."""
    rises = np.diff(values) / np.maximum(values[:-1], data.squares())
    assert rises.max() <= ROUNDING


@settings(deadline=None, max_examples=200, derandomize=True)
@given(problem=problems())
def test_no_step_raises_the_objective(problem):
    data, k, rho, seed = problem
    forms = start_of(data, k, seed)
    values = [objective(data, forms, rho)]
    for _ in range(3):
        *_, whole = steps = list(block_steps(data, forms, rho))
        assert np.array_equal(whole.K, monotone_sweep(data, forms, rho).K)
        values += [objective(data, step, rho) for step in steps]
        forms = whole
    assert_never_rises(np.array(values), data)
    for schedule, sweeps in ((MONOTONE, 12), (ACCELERATED, 40)):
        fitted = fit_forms(data, k, rho, schedule=schedule, sweeps=sweeps, seed=seed)
        assert_never_rises(fitted.objectives, data)
        assert fitted.objectives[-1] == pytest.approx(
            objective(data, fitted.forms, rho), rel=1e-10, abs=1e-12 * data.squares()
        )


def by_least_squares(rho, *parts):
    """Return M (rows × k) that minimises Σ ‖target − M designᵀ‖² + ρ‖M‖², entry by entry of M."""
    rows, k = len(parts[0][1]), parts[0][0].shape[1]
    design = [np.kron(np.eye(rows), design) for design, _ in parts]
    target = [target.ravel() for _, target in parts]
    system = np.vstack([*design, np.sqrt(rho) * np.eye(rows * k)])
    right = np.concatenate([*target, np.zeros(rows * k)])
    return np.linalg.lstsq(system, right)[0].reshape(rows, k)


@pytest.mark.parametrize("rho", [1e-3, 1.0])
@pytest.mark.parametrize("shape", [(6, 4, 2, 3, 2), (4, 7, 3, 2, 3), (5, 5, 1, 1, 1)])
def test_every_step_is_the_least_squares_minimum_of_its_block(shape, rho):
    data, _ = blocks(1, *shape, noise=0.5)
    _, other = blocks(2, *shape)
    found = with_loadings(data, other, rho)
    close = {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(found.alpha, by_least_squares(rho, (other.code, data.Y.T)), **close)
    np.testing.assert_allclose(found.beta, by_least_squares(rho, (other.K, data.X.T)), **close)
    np.testing.assert_allclose(found.u, by_least_squares(rho, (other.H, data.Z.T)), **close)
    without_random = data.Y - other.H @ other.alpha.T
    slow = by_least_squares(rho, (other.alpha, without_random), (other.beta, data.X))
    np.testing.assert_allclose(fixed_code(data, other, rho), slow, **close)
    without_fixed = data.Y - other.K @ other.alpha.T
    slow = by_least_squares(rho, (other.alpha, without_fixed), (other.u, data.Z))
    np.testing.assert_allclose(random_code(data, other, rho), slow, **close)


@pytest.mark.parametrize("random", [0, 3])
def test_projected_objective_is_the_objective_at_the_best_loadings_with_its_gradient(random):
    data, forms = blocks(3, 6, 5, 2, random, 2, noise=0.3)
    _, codes = blocks(4, 6, 5, 2, random, 2)
    parts = np.stack([codes.K, codes.H][: 2 if random else 1])

    def value(at):
        return projected_objective(data, at[0], at[1] if random else None, 0.2)

    best = with_loadings(data, replace(forms, K=codes.K, H=codes.H), 0.2)
    found, gradient = value(parts)
    assert found == pytest.approx(objective(data, best, 0.2), rel=1e-13)
    numeric = np.zeros_like(parts)
    for place in np.ndindex(*parts.shape):
        step = np.zeros_like(parts)
        step[place] = 1e-5
        numeric[place] = (value(parts + step)[0] - value(parts - step)[0]) / 2e-5
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n", "genes"), [(40, 15), (15, 40)])
def test_without_noise_the_column_space_of_alpha_and_all_blocks_come_back(seed, n, genes):
    data, truth = blocks(seed, n, genes, 5, 4, 3)
    fitted = fit_forms(data, 3, 1e-5, tolerance=1e-12, sweeps=5000)
    assert subspace_distance(fitted.forms.alpha, truth.alpha) <= 1e-6
    rebuilt = MixedForms(fitted.forms, 1e-5).reconstruct()
    for name, block in rebuilt.items():
        error = linalg.norm(block - getattr(data, name)) / linalg.norm(getattr(data, name))
        assert error <= 1e-4, name


@pytest.mark.parametrize("case", [(0, 20, 12, 4, 3, 3), (1, 10, 25, 3, 4, 2), (2, 25, 15, 5, 0, 3)])
def test_accelerated_gets_as_low_as_twenty_thousand_sweeps(case):
    data, _ = blocks(*case, noise=0.5)
    k = case[-1]
    slow = fit_forms(data, k, 0.1, schedule=MONOTONE, sweeps=20_000, tolerance=0.0)
    quick = fit_forms(data, k, 0.1)
    assert quick.converged
    assert len(quick.objectives) < 500
    assert quick.objectives[-1] <= slow.objectives[-1] * (1 + 1e-6)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_units_do_not_decide_when_a_fit_has_settled(scale):
    data, _ = blocks(1, 30, 20, 4, 3, 3, noise=0.3)
    scaled = Modalities(scale * data.Y, scale * data.X, scale * data.Z)
    plain, other = fit_forms(data, 3, 0.1), fit_forms(scaled, 3, 0.1 * scale)
    assert other.objectives[-1] / scale**2 == pytest.approx(plain.objectives[-1], rel=1e-7)


def test_wide_data_are_fitted_as_in_gene_space(monkeypatch):
    data, _ = blocks(5, 400, 5000, 20, 6, 10, noise=1.0)
    few = {"sweeps": 12}
    compressed = fit_forms(data, 10, 0.5, **few)
    monkeypatch.setattr(mixed_fit, "_compressed", lambda data: (data, None))
    whole = fit_forms(data, 10, 0.5, **few)
    assert compressed.forms.alpha.shape == (5000, 10)
    np.testing.assert_allclose(compressed.objectives, whole.objectives, rtol=1e-11)
    for part in ("K", "H", "alpha", "beta", "u"):
        one, other = getattr(compressed.forms, part), getattr(whole.forms, part)
        assert linalg.norm(one - other) <= 1e-7 * linalg.norm(other), part


@pytest.mark.parametrize("random", [0, 3])
def test_wide_data_reach_the_same_minimum_as_in_gene_space(monkeypatch, random):
    data, _ = blocks(6, 12, 60, 3, random, 2, noise=0.5)
    compressed = fit_forms(data, 2, 0.2, tolerance=1e-13)
    monkeypatch.setattr(mixed_fit, "_compressed", lambda data: (data, None))
    whole = fit_forms(data, 2, 0.2, tolerance=1e-13)
    assert compressed.objectives[-1] == pytest.approx(whole.objectives[-1], rel=1e-11)
    assert subspace_distance(compressed.forms.alpha, whole.forms.alpha) <= 1e-5


# What the printed algorithm does: each of the claims that docs/mixed_forms.md makes.


def test_the_printed_update_of_u_does_not_conform():
    data, forms = blocks(7, 12, 9, 4, 3, 2)
    with pytest.raises(ValueError, match="mismatch"):
        np.linalg.inv(forms.H.T @ forms.H) @ forms.H.T @ data.Z.T


@pytest.mark.parametrize("seed", [7, 8])
def test_the_printed_code_updates_blow_up(seed):
    data, forms = blocks(seed, 12, 9, 4, 3, 2, noise=0.3)
    K, H = forms.K, forms.H
    codes, values = [], []
    for t in range(4):
        alpha, beta, u = (
            (np.linalg.inv(code.T @ code) @ code.T @ block).T
            for code, block in ((K + H, data.Y), (K, data.X), (H, data.Z))
        )
        if t % 3 == 0:
            change = data.Y @ alpha @ (alpha.T @ alpha) - (K + H)
            K, H = K + change / 2, H + change / 2
        if t % 3 == 1:
            K = data.X @ beta @ (beta.T @ beta)
        if t % 3 == 2:
            H = data.Z @ u @ (u.T @ u)
        codes.append(linalg.norm(K + H))
        values.append(objective(data, Forms(K, H, alpha, beta, u), 0.0))
    # A code c times as large makes loadings 1/c as large and the next code c⁻³: 1e8 in four steps.
    assert codes[3] > 1e5 * codes[0] > 1e6 * codes[2]
    assert values[3] > 1e15 * values[0] > 1e15 * data.squares()


@pytest.mark.parametrize("seed", range(3))
def test_the_cyclic_order_rises_and_stays_above_the_monotone_one(seed):
    data, _ = blocks(seed, 30, 12, 4, 3, 2, noise=0.3)
    monotone = fit_forms(data, 2, 0.1, schedule=MONOTONE)
    cyclic = fit_forms(data, 2, 0.1, schedule=CYCLIC)
    assert np.isfinite(cyclic.objectives).all()
    assert np.diff(cyclic.objectives).max() > 0.01 * cyclic.objectives[-1]
    assert cyclic.objectives[-3:].min() > 1.05 * monotone.objectives[-1]


@pytest.mark.parametrize("seed", range(3))
def test_orthonormal_codes_between_sweeps_break_monotonicity(seed):
    data, _ = blocks(seed, 30, 12, 4, 3, 2, noise=0.3)
    forms = with_loadings(data, start_of(data, 2), 0.1)
    values = []
    for _ in range(50):
        forms = monotone_sweep(data, forms, 0.1)
        before = objective(data, forms, 0.1)
        # K + H = QR: the same fit, K R⁻¹ + H R⁻¹ orthonormal, and loadings times Rᵀ.
        R = linalg.qr(forms.code, mode="economic")[1]
        K, H = (linalg.solve_triangular(R, M.T, trans="T").T for M in (forms.K, forms.H))
        forms = Forms(K, H, forms.alpha @ R.T, forms.beta @ R.T, forms.u @ R.T)
        assert np.allclose(forms.code.T @ forms.code, np.eye(2))
        values.append(objective(data, forms, 0.1))
        assert values[-1] > before
    settled = fit_forms(data, 2, 0.1, schedule=MONOTONE).objectives[-1]
    assert values[-1] > 1.01 * settled


def test_ridge_on_three_of_five_blocks_has_no_minimum():
    data, forms = blocks(8, 20, 10, 4, 3, 2, noise=0.3)
    forms = with_loadings(data, forms, 0.1)
    misfit = objective(data, forms, 0.0)

    def scaled(c):
        return Forms(c * forms.K, c * forms.H, forms.alpha / c, forms.beta / c, forms.u / c)

    def on_three(some):
        ridge = sum(np.sum(L**2) for L in (some.alpha, some.beta, some.u))
        return objective(data, some, 0.0) + 0.1 * ridge

    lower = [on_three(scaled(2.0**power)) for power in range(12)]
    assert (np.diff(lower) < 0).all()
    assert misfit < lower[-1] < misfit * (1 + 1e-6)
    assert objective(data, scaled(2.0**11), 0.1) > 1e3 * objective(data, forms, 0.1)


# The start, and what of a fit depends on it.


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("schedule", [ACCELERATED, MONOTONE, CYCLIC])
def test_a_fit_is_the_same_bytes_twice(schedule, seed):
    data, _ = blocks(9, 20, 30, 4, 3, 3, noise=0.3)
    one, two = (fit_forms(data, 3, 0.1, schedule=schedule, seed=seed, sweeps=60) for _ in "12")
    for part in ("K", "H", "alpha", "beta", "u"):
        assert getattr(one.forms, part).tobytes() == getattr(two.forms, part).tobytes()


def spread_over_starts(data, k, rho, **how):
    """Return the distances of the spaces of α and the range of the fixed part's share of Y."""
    fits = [fit_forms(data, k, rho, seed=seed, **how).forms for seed in (None, 1, 2, 3)]
    distances = [subspace_distance(fit.alpha, fits[0].alpha) for fit in fits[1:]]
    shares = [np.sum((fit.K @ fit.alpha.T) ** 2) / np.sum(data.Y**2) for fit in fits]
    return max(distances), np.ptp(shares)


def test_the_start_decides_the_split_but_not_the_space_of_alpha():
    starts = [start_of(blocks(1, 40, 15, 1, 1, 3)[0], 3, seed) for seed in (None, 1)]
    np.testing.assert_allclose(starts[0].code, starts[1].code, atol=1e-12)
    assert linalg.norm(starts[0].K - starts[1].K) > 0.1 * linalg.norm(starts[0].K)
    # Fewer features than codes, little penalty: nothing settles the split.
    few, _ = blocks(1, 40, 15, 1, 1, 3, noise=0.3)
    space, share = spread_over_starts(few, 3, 1e-5)
    assert space < 1e-5
    assert share > 0.02
    # As many features as codes, but sweeps that have not settled.
    many, _ = blocks(1, 40, 15, 5, 4, 3, noise=0.3)
    space, share = spread_over_starts(many, 3, 0.1, schedule=MONOTONE, sweeps=200)
    assert space < 1e-3
    assert share > 1e-3


def test_as_many_features_as_codes_settle_the_split_in_a_settled_fit():
    data, _ = blocks(1, 40, 15, 5, 4, 3, noise=0.3)
    space, share = spread_over_starts(data, 3, 0.1)
    assert space < 1e-5
    assert 0 < share < 1e-3


@pytest.mark.parametrize("random", [0, 3])
@pytest.mark.parametrize(
    ("how", "same"), [({"schedule": MONOTONE, "sweeps": 100}, 1e-8), ({"tolerance": 1e-13}, 1e-5)]
)
def test_the_order_of_samples_changes_nothing_but_that_of_the_codes(random, how, same):
    data, _ = blocks(11, 30, 12, 4, random, 3, noise=0.3)
    order = np.random.default_rng(0).permutation(30)
    turned = Modalities(data.Y[order], data.X[order], data.Z[order])
    one, two = (fit_forms(some, 3, 0.1, **how).forms for some in (data, turned))
    np.testing.assert_allclose(two.alpha, one.alpha, rtol=0, atol=same)
    np.testing.assert_allclose(two.K, one.K[order], rtol=0, atol=same)
    np.testing.assert_allclose(two.H, one.H[order], rtol=0, atol=same)


def test_codes_stand_in_principal_axes_with_fixed_signs():
    data, _ = blocks(12, 20, 9, 3, 3, 3, noise=0.3)
    forms = fit_forms(data, 3, 0.1).forms
    gram = forms.code.T @ forms.code
    assert np.abs(gram - np.diag(np.diag(gram))).max() <= 1e-10 * gram.max()
    assert (np.diff(np.diag(gram)) < 0).all()
    largest = np.abs(forms.alpha).argmax(axis=0)
    assert (forms.alpha[largest, np.arange(3)] > 0).all()
    flipped = forms.rotated(np.diag([1.0, -1.0, -1.0])).canonical()
    np.testing.assert_allclose(flipped.alpha, forms.alpha, atol=1e-12)


def test_axes_beyond_the_rank_of_the_responses_stay_empty():
    data, _ = blocks(13, 10, 15, 3, 2, 2)
    assert largest_dimensions(data, 5) == 2
    for schedule in (MONOTONE, ACCELERATED):
        forms = fit_forms(data, 5, 1e-3, schedule=schedule, sweeps=100).forms
        assert np.count_nonzero(np.abs(forms.alpha).max(axis=0) > 1e-12) == 2


def test_without_random_features_the_random_part_is_zero():
    data, _ = blocks(14, 12, 20, 3, 0, 2, noise=0.2)
    for schedule in (ACCELERATED, MONOTONE, CYCLIC):
        forms = fit_forms(data, 2, 0.1, schedule=schedule, sweeps=100).forms
        assert not forms.H.any()
        assert forms.u.shape == (0, 2)


@pytest.mark.parametrize(
    ("k", "rho", "words"),
    [
        (
            0,
            1.0,
            "mixed_forms.dimensions: found 0; expected 1 to 5, the smaller of 8 samples and 5",
        ),
        (6, 1.0, "mixed_forms.dimensions: found 6"),
        (2, 0.0, "mixed_forms.penalty: found 0; expected a number above 0"),
        (2, -1.0, "mixed_forms.penalty: found -1"),
        (2, np.nan, "mixed_forms.penalty: found nan"),
    ],
)
def test_what_cannot_be_fitted_is_refused(k, rho, words):
    data, _ = blocks(15, 8, 5, 3, 2, 2, noise=0.2)
    with pytest.raises(InputError, match=words):
        fit_forms(data, k, rho)
