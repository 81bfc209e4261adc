"""The technical duplicate: effects measured twice, in disjoint halves of the cells."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from lgem.h5ad import write_h5ad
from lgem.screen.duplicate import (
    duplicate_by_context,
    effects_of_half,
    half_statistics,
    technical_duplicate,
)
from lgem.screen.effects import estimate_effects
from lgem.screen.io import ESTIMATED, LEFT_OUT, effects_data, group_statistics, pseudobulk_data
from lgem.screen.labels import CONTROL
from lgem.screen.pseudobulk import Sums, terms_of

GENES = [f"G{row}" for row in range(6)]


def screen(layout, *, counts=True, seed=1):
    """Return a screen's cells, whatever they are of, with {(perturbation, batch): cells}."""
    rng = np.random.default_rng(seed)
    groups = pd.DataFrame(list(layout), columns=["perturbation", "batch"])
    group = np.repeat(np.arange(len(groups)), list(layout.values()))
    names = sorted(set(groups["perturbation"]))
    level = {name: rng.gamma(3.0, 2.0, size=len(GENES)) for name in names}
    raw = np.array([rng.poisson(level[groups["perturbation"][row]]) for row in group])
    half = np.concatenate([_halves(rng, size) for size in layout.values()])
    sums = Sums.zeros(len(groups), len(GENES))
    if counts:
        block = sparse.csr_matrix(raw.astype(np.int64))
        size = raw.sum(axis=1).astype(float)
        sums.add(terms_of(block, size, group, half, len(sums.counts), 1e4))
        values = np.log1p(1e4 * raw / raw.sum(axis=1, keepdims=True))
    else:
        values = np.log1p(raw)
        sums.add_profiles(values, group, half)
    groups["n_cells"] = list(layout.values())
    for number in (1, 2):
        counted = np.bincount(group[half == number], minlength=len(groups))
        groups[f"n_half_{number}"] = counted
    var = pd.DataFrame(index=GENES)
    return pseudobulk_data(sums, groups, var, counts=counts), values, group, half


def _halves(rng, size):
    """The halves of a group's cells in random order; the first is the larger one."""
    return rng.permutation([1] * (size - size // 2) + [2] * (size // 2))


def effects_of(pseudobulk, factors):
    """The effects file of a screen that keeps every perturbation."""
    statistics = group_statistics(pseudobulk)
    found = estimate_effects(statistics, factors)
    names = sorted(set(statistics.groups["perturbation"]) - {CONTROL})
    qc = pd.DataFrame({"perturbation": names, "n_cells": 1, "status": "kept", "reason": ""})
    data = effects_data(found, qc, pseudobulk.var, statistics.control)
    data.uns["factors"] = list(factors)
    return data


LAYOUT = {
    (name, batch): size
    for batch, sizes in {"a": (30, 7, 5, 12), "b": (21, 9, 4, 0)}.items()
    for name, size in zip([CONTROL, "G0", "G1", "X"], sizes, strict=True)
    if size
}


@pytest.mark.parametrize("factors", [[], ["batch"]], ids=["plain", "batch"])
def test_each_half_gives_the_effects_of_its_own_cells(factors):
    pseudobulk, values, group, half = screen(LAYOUT)
    effects = effects_of(pseudobulk, factors)
    found = technical_duplicate(pseudobulk, effects)
    control = effects.var["control"].to_numpy()
    for number, profiles in ((1, found.X), (2, found.layers["observed"])):
        mine = half == number
        label = pseudobulk.obs["perturbation"].to_numpy()[group[mine]]
        batch = pseudobulk.obs["batch"].to_numpy()[group[mine]]
        columns = [np.ones(mine.sum()), *((label == name) * 1.0 for name in effects.obs_names)]
        columns += [(batch == "b") * 1.0] if factors else []
        fit, *_ = np.linalg.lstsq(np.column_stack(columns), values[mine], rcond=None)
        np.testing.assert_allclose(profiles, control + fit[1:4], atol=1e-8)
    assert found.obs["status"].tolist() == [ESTIMATED] * 3
    assert found.obs["reason"].tolist() == [""] * 3
    assert found.obs["perturbation"].tolist() == effects.obs_names.tolist()


def test_the_halves_share_no_cell_and_add_up_to_the_whole():
    pseudobulk, *_ = screen(LAYOUT)
    whole = group_statistics(pseudobulk)
    parts = [half_statistics(pseudobulk, half) for half in (1, 2)]
    sizes = [part.groups["n_cells"].to_numpy() for part in parts]
    assert (sizes[0] + sizes[1] == whole.groups["n_cells"]).all()
    total = sum(n[:, None] * part.mean for n, part in zip(sizes, parts, strict=True))
    np.testing.assert_allclose(total / (sizes[0] + sizes[1])[:, None], whole.mean, atol=1e-9)


def test_errors_of_a_half_say_how_far_it_is_off():
    # the difference of two halves has twice the variance of one
    rng = np.random.default_rng(1)
    n, genes = 400, 300
    group, half = np.repeat([0, 1], n), np.tile([1, 2], n)
    sums = Sums.zeros(2, genes)
    sums.add_profiles(rng.normal(5, 1, size=(2 * n, genes)), group, half)
    groups = pd.DataFrame({"perturbation": [CONTROL, "A"], "batch": "-", "n_cells": n})
    groups = groups.assign(n_half_1=n // 2, n_half_2=n // 2)
    var = pd.DataFrame(index=[f"G{gene}" for gene in range(genes)])
    pseudobulk = pseudobulk_data(sums, groups, var, counts=False)
    found = technical_duplicate(pseudobulk, effects_of(pseudobulk, []))
    z = (found.X - found.layers["observed"]) / found.layers["observed_se"]
    assert z.var() == pytest.approx(2, rel=0.25)
    np.testing.assert_allclose(found.layers["observed_se"], (2 / 200) ** 0.5, rtol=0.1)


def test_what_one_half_cannot_estimate_is_missing_with_the_reason():
    layout = {**LAYOUT, ("one", "a"): 1, ("three", "a"): 1, ("three", "b"): 1}
    pseudobulk, *_ = screen(layout)
    found = technical_duplicate(pseudobulk, effects_of(pseudobulk, ["batch"]))
    assert found.obs["status"].to_dict() == {
        **dict.fromkeys(["G0", "G1", "X"], ESTIMATED),
        **dict.fromkeys(["one", "three"], LEFT_OUT),
    }
    assert found.obs.loc["one", "reason"] == "1 cell in 1 group, too few to halve"
    assert found.obs.loc["three", "reason"] == "2 cells in 2 groups, too few to halve"
    for values in (found.X, found.layers["observed"], found.layers["observed_se"]):
        assert list(np.isnan(values).all(axis=1)) == [False, False, False, True, True]


def test_profiles_without_replicates_have_no_duplicate_and_say_why():
    layout = {(CONTROL, "a"): 4, ("G0", "a"): 1, ("G1", "a"): 1}
    pseudobulk, *_ = screen(layout, counts=False)
    found = technical_duplicate(pseudobulk, effects_of(pseudobulk, []))
    assert set(found.obs["reason"]) == {"1 profile in 1 group, too few to halve"}
    assert np.isnan(found.X).all()


def test_a_half_that_does_not_reach_control_leaves_out():
    # In half 2, control is in batch a alone: nothing there tells G1 from batch b.
    layout = {(CONTROL, "a"): 6, (CONTROL, "b"): 1, ("G0", "a"): 6, ("G1", "b"): 6}
    pseudobulk, *_ = screen(layout)
    found = technical_duplicate(pseudobulk, effects_of(pseudobulk, ["batch"]))
    assert found.obs.loc["G0", "status"] == ESTIMATED
    reason = "not connected with control through batch in half 2 of the cells"
    assert found.obs.loc["G1", "reason"] == reason


def test_a_half_without_control_or_without_any_estimable_effect_has_none():
    pseudobulk, *_ = screen({(CONTROL, "a"): 1, ("G0", "a"): 6})
    found = technical_duplicate(pseudobulk, effects_of(pseudobulk, []))
    assert found.obs["reason"].tolist() == ["half 2 of the cells has no control"]
    apart, *_ = screen({(CONTROL, "a"): 6, ("G0", "b"): 6})
    effects, left_out = effects_of_half(half_statistics(apart, 1), ["G0"], ["batch"], 1)
    assert effects is None
    assert left_out == {"G0": "not connected with control through batch in half 1 of the cells"}


def test_what_the_screen_left_out_is_not_asked_for(tmp_path):
    pseudobulk, *_ = screen(LAYOUT)
    effects = effects_of(pseudobulk, [])
    effects.obs.loc["G1", ["status", "reason"]] = [LEFT_OUT, "few"]
    files = {"pseudobulk": pseudobulk, "effects": effects}
    for name, data in files.items():
        write_h5ad(data, tmp_path / f"{name}.h5ad")
    read = [anndata.read_h5ad(tmp_path / f"{name}.h5ad") for name in files]
    found = technical_duplicate(*read)
    assert found.obs["perturbation"].tolist() == ["G0", "X"]
    write_h5ad(found, tmp_path / "duplicate.h5ad")
    again = anndata.read_h5ad(tmp_path / "duplicate.h5ad")
    np.testing.assert_array_equal(again.X, found.X)


def test_within_contexts_both_halves_are_those_of_the_context_alone():
    pseudobulk, *_ = screen(LAYOUT)
    effects = effects_of(pseudobulk, ["batch"])
    found = duplicate_by_context(pseudobulk, effects, "batch", 5)
    # G1 has four cells in b, and X none.
    assert found.obs_names.tolist() == ["G0/a", "G1/a", "X/a", "G0/b"]
    for context in ("a", "b"):
        part = pseudobulk[(pseudobulk.obs["batch"] == context).to_numpy()]
        alone = technical_duplicate(part, effects_of(part, []))
        for name in found.obs["perturbation"][found.obs_names.str.endswith(f"/{context}")]:
            mine, its = found[f"{name}/{context}"], alone[name]
            # Both lie on top of a control of their own, which is not compared.
            shift = effects.var["control"] - alone.var["control"]
            np.testing.assert_allclose(mine.X[0], its.X[0] + shift, atol=1e-9)
            np.testing.assert_allclose(
                mine.layers["observed"][0], its.layers["observed"][0] + shift, atol=1e-9
            )
