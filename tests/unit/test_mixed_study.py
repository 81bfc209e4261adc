"""Both mixed forms of a screen as tables: what each row says is so of the fits."""

import numpy as np
import pytest

from lgem.prediction.codes import CONSTRAINED, FREE, FormSettings, fit_free
from lgem.prediction.linear_model import unprefixed
from lgem.prediction.mixed_constrained import Constrained, fit_constrained
from lgem.prediction.mixed_fit import ACCELERATED, CYCLIC, MONOTONE, SCHEDULES
from lgem.prediction.mixed_study import study
from lgem.prediction.mixed_use import PARTS, MixedForms, subspace_distance
from lgem.prediction.samples import Samples
from lgem.screen.labels import CONTROL
from tests.unit.model_cases import SINGLES, sampled_statistics

NAMES = [*SINGLES, "X1", "G3+G8"]
SETTINGS = FormSettings(dimensions=3)
STARTS = 3


def samples_of(batches):
    factors = ["batch"] if batches > 1 else []
    return Samples.of(sampled_statistics(16, NAMES, batches, seed=3), factors)


@pytest.fixture(scope="module")
def samples():
    return samples_of(3)


@pytest.fixture(scope="module")
def found(samples):
    return study(samples, SETTINGS, STARTS)


def test_every_schedule_and_every_start_has_its_objectives_from_the_first_on(samples, found):
    table = found.convergence
    assert list(table) == ["schedule", "start", "sweep", "objective"]
    runs = table.groupby(["schedule", "start"], sort=False)
    assert set(runs.groups) == {
        *((ACCELERATED, start) for start in (1, 2, 3)),
        *((schedule, 1) for schedule in (MONOTONE, CYCLIC)),
    }
    for (schedule, _), run in runs:
        assert run["sweep"].tolist() == list(range(len(run)))
        assert run["sweep"].max() <= (2000 if schedule == ACCELERATED else 500)
        if schedule != CYCLIC:  # the printed order alone may rise
            assert (np.diff(run["objective"]) <= 1e-9 * run["objective"].iloc[0]).all()
    expected = fit_free(samples.modalities(), SETTINGS).objectives
    np.testing.assert_array_equal(runs.get_group((ACCELERATED, 1))["objective"], expected)


def test_starts_are_told_with_where_they_ended(samples, found):
    table = found.starts
    assert list(table) == [
        *("start", "objective", "sweeps", "converged", "fixed", "random", "distance")
    ]
    assert table["start"].tolist() == [1, 2, 3]
    data = samples.modalities()
    fits = [fit_free(data, SETTINGS, seed) for seed in (None, 2, 3)]
    total = np.sum(data.Y**2)
    for row, fit in zip(table.itertuples(), fits, strict=True):
        assert row.objective == fit.objectives[-1]
        assert row.sweeps == len(fit.objectives) - 1
        assert row.converged == fit.converged
        for name, code in (("fixed", fit.forms.K), ("random", fit.forms.H)):
            share = np.sum((code @ fit.forms.alpha.T) ** 2) / total
            assert getattr(row, name) == pytest.approx(share)
        distance = subspace_distance(fits[0].forms.alpha, fit.forms.alpha)
        assert row.distance == pytest.approx(distance, abs=1e-12)
    assert table.loc[0, "distance"] == pytest.approx(0, abs=1e-7)
    assert table["fixed"].nunique() == 3  # the split depends on the start


def test_shares_of_the_parts_add_up_for_every_form_and_start(found):
    table = found.variance
    assert list(table) == ["form", "start", "part", "share"]
    parts = table.groupby(["form", "start"])
    assert set(parts.groups) == {*((FREE, start) for start in (1, 2, 3)), (CONSTRAINED, 1)}
    for _, rows in parts:
        assert rows["part"].tolist() == list(PARTS)
        assert rows["share"].sum() == pytest.approx(1)
    free = table[(table["form"] == FREE) & (table["part"] == "fixed")]["share"]
    assert free.tolist() == found.starts["fixed"].tolist()


@pytest.mark.parametrize("codes", [FREE, CONSTRAINED])
def test_codes_stand_beside_their_samples_without_the_weight_of_cells(samples, codes):
    found = study(samples, FormSettings(dimensions=3, codes=codes), 1)
    table = found.codes
    assert list(table)[:5] == ["sample", "form", "perturbation", "batch", "n_cells"]
    assert (table["form"] == codes).all()
    assert table["sample"].tolist() == list(range(1, len(samples.cells) + 1))
    assert table["perturbation"].tolist() == samples.perturbations.tolist()
    assert table["batch"].tolist() == samples.levels["batch"].tolist()
    assert table["n_cells"].tolist() == samples.cells.tolist()
    if codes == FREE:
        forms = found.free.forms
    else:
        data = samples.with_intercept()
        forms = found.constrained.forms(data)
    for name, code in (("K", forms.K), ("H", forms.H)):
        mine = table[[f"{name}{axis}" for axis in (1, 2, 3)]].to_numpy()
        np.testing.assert_allclose(samples.weights[:, None] * mine, code, atol=1e-12)
    if codes == CONSTRAINED:  # linear in features: samples of a perturbation share their K
        for _, rows in table.groupby("perturbation"):
            K = rows[["K1", "K2", "K3"]].to_numpy()
            np.testing.assert_allclose(K, np.tile(K[0], (len(K), 1)), atol=1e-9)
        for _, rows in table.groupby("batch"):
            H = rows[["H1", "H2", "H3"]].to_numpy()
            np.testing.assert_allclose(H, np.tile(H[0], (len(H), 1)), atol=1e-9)


def test_levels_of_several_factors_are_told_together():
    statistics = sampled_statistics(16, NAMES, 2, seed=3)
    days = np.where(np.arange(len(statistics.groups)) % 3 == 0, "mon", "tue")
    statistics.groups["day"] = days
    found = study(Samples.of(statistics, ["batch", "day"]), SETTINGS, 1)
    expected = [f"{b} | {d}" for b, d in zip(statistics.groups["batch"], days, strict=True)]
    assert found.codes["batch"].tolist() == expected


def test_without_batches_there_is_no_random_part_and_it_says_so():
    found = study(samples_of(1), SETTINGS, 2)
    assert (found.codes["batch"] == "all").all()
    assert (found.codes[["H1", "H2", "H3"]] == 0).all(axis=None)
    assert found.codes.loc[found.codes["perturbation"] != CONTROL, "K1"].abs().min() > 0
    assert (found.starts["random"] == 0).all()
    parts = found.variance.set_index(["form", "part"])["share"].sort_index()
    for form in (FREE, CONSTRAINED):
        assert (parts.loc[form, "random"] == 0).all()
        assert (parts.loc[form, "overlap"] == 0).all()
    assert found.described()["random_part"] is False
    assert found.described()["variance_ratio"] == 0
    assert {one.system for one in found.free.systems()} == {
        f"mixed forms: {name}" for name in ("α", "β", "K")
    }


def test_the_result_in_words_and_numbers_is_that_of_the_tables(samples, found):
    told, starts = found.described(), found.starts
    assert told == {
        "dimensions": 3,
        "random_part": True,
        "split_settled_by_features": found.split_settled,
        "objective": starts.loc[0, "objective"],
        "sweeps": starts.loc[0, "sweeps"],
        "converged": True,
        "variance_ratio": fit_constrained(samples.with_intercept(), 3).ratio,
        "spread_of_fixed_share": pytest.approx(starts["fixed"].max() - starts["fixed"].min()),
        "largest_distance": starts["distance"].max(),
    }
    assert told["spread_of_fixed_share"] > 0


def test_arrays_restore_both_fits(found):
    arrays = found.arrays()
    free = MixedForms.from_arrays(unprefixed(arrays, "free_"))
    constrained = Constrained.from_arrays(unprefixed(arrays, "constrained_"))
    assert free.penalty == 0.01
    for restored, fit in ((free, found.free), (constrained, found.constrained)):
        before, after = fit.arrays(), restored.arrays()
        assert before.keys() == after.keys()
        for name, value in before.items():
            np.testing.assert_array_equal(after[name], value)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_that_config_chooses_is_not_run_again_for_comparison(samples, schedule):
    settings = FormSettings(dimensions=2, schedule=schedule, sweeps=30)
    runs = study(samples, settings, 2).convergence.groupby(["schedule", "start"]).groups
    others = set(SCHEDULES) - {schedule}
    assert set(runs) == {(schedule, 1), (schedule, 2), *((other, 1) for other in others)}


def test_the_same_samples_make_the_same_tables(samples, found):
    again = study(samples, SETTINGS, STARTS)
    for name in ("convergence", "starts", "variance", "codes"):
        assert getattr(again, name).equals(getattr(found, name))
