"""Fitted mixed forms in use: codes of samples, transforms, covariances, variance by part."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import linalg

from lgem.errors import InputError
from lgem.prediction.mixed_fit import fit_forms
from lgem.prediction.mixed_forms import Forms, Modalities, objective
from lgem.prediction.mixed_use import (
    FIXED,
    MODALITIES,
    OVERLAP,
    PARTS,
    RANDOM,
    RESIDUAL,
    MixedForms,
    subspace_distance,
)

RHO = 0.05


def blocks(seed, random=4, noise=0.3, n=30, genes=12, fixed=5, k=3):
    rng = np.random.default_rng(seed)
    K, H = rng.normal(size=(2, n, k))
    alpha, beta, u = (rng.normal(size=(rows, k)) for rows in (genes, fixed, random))
    made = ((K + H * bool(random)) @ alpha.T, K @ beta.T, H @ u.T)
    return Modalities(*(M + noise * rng.normal(size=M.shape) for M in made))


def fitted(data, rho=RHO, **how):
    return MixedForms(fit_forms(data, 3, rho, **how).forms, rho)


@pytest.fixture(scope="module", params=[4, 0], ids=["random", "no random"])
def case(request):
    data = blocks(1, random=request.param)
    return data, fitted(data, tolerance=1e-14)


def test_the_blocks_that_were_fitted_encode_to_the_fitted_codes(case):
    data, forms = case
    K, H = forms.encode(Y=data.Y, X=data.X, Z=data.Z)
    np.testing.assert_allclose(K, forms.forms.K, atol=2e-4)
    np.testing.assert_allclose(H, forms.forms.H, atol=2e-4)
    encoded = replace(forms.forms, K=K, H=H)
    fit, best = objective(data, forms.forms, RHO), objective(data, encoded, RHO)
    assert best <= fit * (1 + 1e-13)
    assert best == pytest.approx(fit, rel=1e-7)


@pytest.mark.parametrize("known", ["Y", "X", "Z", "YX", "YZ", "XZ", "YXZ"])
def test_codes_of_new_samples_are_the_ridge_solution(known):
    forms = fitted(blocks(1))
    new = blocks(2, n=7)
    K, H = forms.encode(**{name: getattr(new, name) for name in known})
    none = np.zeros((7, 3))
    designs = {
        "Y": np.hstack([forms.forms.alpha, forms.forms.alpha]),
        "X": np.hstack([forms.forms.beta, np.zeros((5, 3))]),
        "Z": np.hstack([np.zeros((4, 3)), forms.forms.u]),
    }
    system = np.vstack([*(designs[name] for name in known), np.sqrt(RHO) * np.eye(6)])
    target = np.vstack([*(getattr(new, name).T for name in known), none.T, none.T])
    slow = np.linalg.lstsq(system, target)[0].T
    np.testing.assert_allclose(np.hstack([K, H]), slow, atol=1e-10)
    if known == "Y":
        np.testing.assert_allclose(K, H, atol=1e-10)
    if known == "X":
        assert not H.any()
    if known == "Z":
        assert not K.any()


def test_without_noise_every_modality_is_reached_from_those_that_tell_of_it():
    data = blocks(3, noise=0.0)
    forms = fitted(data, 1e-6, tolerance=1e-13, sweeps=5000)
    K, H = forms.encode(X=data.X, Z=data.Z)
    decoded = forms.decode(K, H)
    for name in MODALITIES:
        block = getattr(data, name)
        assert linalg.norm(decoded[name] - block) <= 1e-3 * linalg.norm(block), name
    for name in MODALITIES:
        block = getattr(data, name)
        found = forms.transform(block, name, name)
        assert linalg.norm(found - block) <= 1e-3 * linalg.norm(block), name
    np.testing.assert_array_equal(
        forms.transform(data.X, "X", "Y"), forms.decode(*forms.encode(X=data.X))["Y"]
    )


def test_the_blocks_come_back_as_the_codes_decode_them(case):
    data, forms = case
    parts = forms.forms
    rebuilt = forms.reconstruct()
    np.testing.assert_array_equal(rebuilt["Y"], (parts.K + parts.H) @ parts.alpha.T)
    np.testing.assert_array_equal(rebuilt["X"], parts.K @ parts.beta.T)
    np.testing.assert_array_equal(rebuilt["Z"], parts.H @ parts.u.T)
    assert {name: block.shape for name, block in rebuilt.items()} == {
        name: getattr(data, name).shape for name in MODALITIES
    }


def test_without_random_features_nothing_is_random():
    data = blocks(4, random=0)
    forms = fitted(data)
    assert not forms.forms.H.any()
    for known in ({"Y": data.Y}, {"X": data.X}, {"Y": data.Y, "X": data.X, "Z": data.Z}):
        K, H = forms.encode(**known)
        assert K.any()
        assert not H.any()
    assert forms.decode(*forms.encode(Y=data.Y))["Z"].shape == (30, 0)
    assert forms.implied_covariance("Y", "Z").shape == (12, 0)
    shares = forms.variance_by_part(data.Y)
    assert shares[RANDOM] == shares[OVERLAP] == 0.0
    assert [system.system for system in forms.systems()] == [
        "mixed forms: α",
        "mixed forms: β",
        "mixed forms: K",
    ]


@pytest.mark.parametrize("first", MODALITIES)
@pytest.mark.parametrize("second", MODALITIES)
def test_the_implied_covariance_is_that_of_the_decoded_features(case, first, second):
    _, forms = case
    decoded = forms.reconstruct()
    one, other = decoded[first], decoded[second]
    whole = np.cov(np.hstack([one, other]), rowvar=False)
    slow = whole[: one.shape[1], one.shape[1] :]
    np.testing.assert_allclose(forms.implied_covariance(first, second), slow, atol=1e-11)


def test_loading_products_are_gram_matrices(case):
    _, forms = case
    products = forms.loading_products()
    np.testing.assert_array_equal(products["Y"], forms.forms.alpha.T @ forms.forms.alpha)
    np.testing.assert_array_equal(products["X"], forms.forms.beta.T @ forms.forms.beta)
    np.testing.assert_array_equal(products["Z"], forms.forms.u.T @ forms.forms.u)


@pytest.mark.parametrize("name", MODALITIES)
def test_the_covariance_of_loadings_is_that_over_many_data_with_these_codes(name):
    """20,000 draws: entries of a covariance are known to about 1 %, tested to 4 %."""
    rng = np.random.default_rng(5)
    K, H = rng.normal(size=(2, 25, 3))
    code = {"Y": K + H, "X": K, "Z": H}[name]
    truth, deviation, rho, draws = rng.normal(size=3), 0.7, 2.0, 20_000
    drawn = (code @ truth)[:, None] + deviation * rng.normal(size=(25, draws))
    system = np.vstack([code, np.sqrt(rho) * np.eye(3)])
    found = np.linalg.lstsq(system, np.vstack([drawn, np.zeros((3, draws))]))[0]
    feature = found[:, :1].T
    nothing = np.zeros((1, 3))
    loaded = {part: feature if part == name else nothing for part in MODALITIES}
    forms = MixedForms(Forms(K, H, loaded["Y"], loaded["X"], loaded["Z"]), rho)
    data = Modalities(*(drawn[:, :1] if part == name else np.zeros((25, 1)) for part in MODALITIES))
    variance, shape = forms.loading_covariance(data, name)
    resampled = np.cov(found)
    assert linalg.norm(deviation**2 * shape - resampled) <= 0.04 * linalg.norm(resampled)
    assert variance[0] == pytest.approx(deviation**2, rel=0.5)


def test_the_residual_variance_is_right_on_average():
    """2,000 features of deviation 0.7 with little penalty: the mean is known to 0.7 %."""
    rng = np.random.default_rng(6)
    code = rng.normal(size=(25, 3))
    Y = code @ rng.normal(size=(3, 2000)) + 0.7 * rng.normal(size=(25, 2000))
    nothing = np.zeros((25, 0))
    data = Modalities(Y, nothing, nothing)
    alpha = np.linalg.lstsq(code, Y)[0].T
    empty = np.zeros((0, 3))
    forms = MixedForms(Forms(code, np.zeros((25, 3)), alpha, empty, empty), 1e-9)
    variance, _ = forms.loading_covariance(data, "Y")
    assert variance.mean() == pytest.approx(0.49, rel=0.025)


def test_as_many_codes_as_samples_leave_no_residual_variance_to_tell():
    rng = np.random.default_rng(7)
    codes, alpha = rng.normal(size=(3, 3)), rng.normal(size=(4, 3))
    none = np.zeros((0, 3))
    forms = MixedForms(Forms(codes, 0 * codes, alpha, none, none), 1e-300)
    data = Modalities(codes @ alpha.T, np.zeros((3, 0)), np.zeros((3, 0)))
    assert np.isnan(forms.loading_covariance(data, "Y")[0]).all()


def test_shares_of_variance_add_up(case):
    data, forms = case
    shares = forms.variance_by_part(data.Y)
    assert list(shares) == list(PARTS)
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-12)
    total = np.sum(data.Y**2)
    parts = forms.forms
    fixed, random = parts.K @ parts.alpha.T, parts.H @ parts.alpha.T
    assert shares[FIXED] == pytest.approx(np.sum(fixed**2) / total, rel=1e-10)
    assert shares[RANDOM] == pytest.approx(np.sum(random**2) / total, rel=1e-10)
    assert 1 - shares[RESIDUAL] == pytest.approx(np.sum((fixed + random) ** 2) / total, rel=1e-10)


@pytest.mark.parametrize(("sign", "expected"), [(1.0, 4 / 9), (-1.0, -4.0)])
def test_the_overlap_is_negative_where_the_parts_work_against_each_other(sign, expected):
    rng = np.random.default_rng(8)
    K, alpha = rng.normal(size=(20, 2)), rng.normal(size=(6, 2))
    forms = Forms(2 * K, sign * K, alpha, np.zeros((1, 2)), np.zeros((1, 2)))
    shares = MixedForms(forms, RHO).variance_by_part((2 + sign) * K @ alpha.T)
    assert shares[OVERLAP] == pytest.approx(expected)
    assert shares[RESIDUAL] == pytest.approx(0.0, abs=1e-12)


def test_arrays_hold_all_there_is(case):
    data, forms = case
    other = MixedForms.from_arrays(forms.arrays())
    assert other.penalty == forms.penalty
    assert all(
        one.tobytes() == two.tobytes()
        for one, two in zip(other.encode(Y=data.Y), forms.encode(Y=data.Y), strict=True)
    )
    for part, array in forms.arrays().items():
        assert np.array_equal(other.arrays()[part], array), part


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"W": np.zeros((2, 3))}, "modality: found 'W'; expected one of Y, X, Z"),
        ({"X": np.zeros((2, 3))}, "modality X: found 3 features; expected 5"),
        ({"Y": np.zeros((2, 12)), "Z": np.zeros((2, 5))}, "modality Z: found 5 features"),
        ({}, "modality: found none; expected at least one of Y, X, Z"),
        (
            {"Y": np.zeros((2, 12)), "X": np.zeros((1, 5))},
            "modality X: found 1 sample; expected 2",
        ),
    ],
)
def test_what_cannot_be_encoded_is_refused(known, words):
    with pytest.raises(InputError, match=words):
        fitted(blocks(9)).encode(**known)


def test_systems_tell_the_shape_and_rank_of_every_step():
    data = blocks(10)
    systems = fitted(data).systems()
    assert [(one.system[-1], one.rows, one.columns, one.rank) for one in systems] == [
        ("α", 30, 3, 3),
        ("β", 30, 3, 3),
        ("u", 30, 3, 3),
        ("K", 17, 3, 3),
        ("H", 16, 3, 3),
    ]
    assert all(one.verdict == "unique" and "penalty 0.05" in one.explanation for one in systems)
    singular = fitted(replace(data, Y=data.Y[:, :1] @ np.ones((1, 12)))).systems()[0]
    assert (singular.rank, singular.verdict) == (1, "infinite")
    assert "which alone decides 2 of 3 axes" in singular.explanation


def test_the_distance_of_subspaces_is_the_sine_of_their_largest_angle():
    rng = np.random.default_rng(11)
    basis = linalg.qr(rng.normal(size=(6, 3)), mode="economic")[0]
    first, second, third = basis.T[:, :, None]
    tilted = np.cos(0.3) * second + np.sin(0.3) * third
    plane, other = np.hstack([first, second]), np.hstack([3 * first, first - tilted])
    assert subspace_distance(plane, other) == pytest.approx(np.sin(0.3), rel=1e-12)
    assert subspace_distance(plane, plane @ rng.normal(size=(2, 2))) <= 1e-14
    assert subspace_distance(plane, first) == 1.0
    assert subspace_distance(first, second) == pytest.approx(1.0)
    assert subspace_distance(np.zeros((6, 2)), np.zeros((6, 1))) == 0.0
