"""Responses foretold by the network: against plain loops, hand-made cases and known truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from lgem.network.responses import (
    compare_responses,
    headline,
    response_check,
    summarise_responses,
    target_positions,
)

CORRELATIONS = {"pearson": pearsonr, "spearman": spearmanr}


def screen(seed, genes=12, perturbations=6, decimals=None):
    """A covariance, random effects with a knock-down of each own target, and the names."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(genes, genes))
    covariance = root @ root.T / genes + np.eye(genes)
    positions = rng.choice(genes, perturbations, replace=False)
    effects = rng.normal(size=(perturbations, genes))
    effects[np.arange(perturbations), positions] = -3 - rng.random(perturbations)
    if decimals is not None:
        covariance, effects = covariance.round(decimals), effects.round(decimals)
    names = [f"g{i}" for i in range(genes)]
    targets = [[names[position]] for position in positions]
    return covariance, effects, names, targets


def check(covariance, effects, names, targets, scale=None, updated=None, labels=None):
    positions = target_positions(targets, names)
    columns = {"network": covariance[:, positions]}
    if updated is not None:
        columns["updated"] = updated[:, positions]
    scale = np.ones(len(names)) if scale is None else scale
    labels = [f"p{k}" for k in range(len(targets))] if labels is None else labels
    return response_check(columns, effects, scale, labels, targets, names)


def value(table, perturbation, network, metric):
    rows = table.set_index(["perturbation", "network", "metric"])
    return rows.loc[(perturbation, network, metric), "value"]


def reasons(table, network):
    rows = table[(table["network"] == network) & (table["metric"] == "pearson")]
    return rows["reason"].tolist()


def slow(covariance, effects, names, targets, number):
    """All contenders of one perturbation, gene by gene and target by target."""
    at = [names.index(target) if target in names else None for (target,) in targets]
    others = [k for k in range(len(targets)) if k != number]
    own = [effects[k, at[k]] for k in others if np.isfinite(effects[k, at[k]])]
    sign = np.sign(np.median(own))
    mean = np.full(len(names), np.nan)
    for gene in range(len(names)):
        known = [effects[k, gene] for k in others if at[k] != gene]
        known = [effect for effect in known if np.isfinite(effect)]
        mean[gene] = np.mean(known) if known else np.nan
    target, observed = at[number], effects[number]
    used = [
        gene
        for gene in range(len(names))
        if gene != target and np.isfinite(observed[gene]) and np.isfinite(mean[gene])
    ]
    found = {}
    for metric, correlation in CORRELATIONS.items():
        predicted = sign * covariance[:, target] / covariance[target, target]
        found["network", metric] = correlation(predicted[used], observed[used])[0]
        found["mean", metric] = correlation(mean[used], observed[used])[0]
        wrong = []
        for other in sorted({at[k] for k in others} - {target}):
            genes = [gene for gene in used if gene != other]
            predicted = sign * covariance[:, other] / covariance[other, other]
            wrong.append(correlation(predicted[genes], observed[genes])[0])
        found["shuffled", metric] = np.mean(wrong)
    return found


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    perturbations=st.integers(3, 8),
    decimals=st.sampled_from([None, 1]),
    missing=st.sampled_from([0.0, 0.1]),
    twice=st.booleans(),
)
def test_every_contender_is_what_a_loop_over_genes_gives(
    seed, perturbations, decimals, missing, twice
):
    covariance, effects, names, targets = screen(seed, 14, perturbations, decimals)
    if twice:
        targets[1] = targets[0]
    effects[np.random.default_rng(seed).random(effects.shape) < missing] = np.nan
    own = [effects[k, names.index(target)] for k, (target,) in enumerate(targets)]
    table = check(covariance, effects, names, targets)
    for number in range(perturbations):
        if not np.isfinite(np.delete(own, number)).any():
            continue
        for (network, metric), expected in slow(
            covariance, effects, names, targets, number
        ).items():
            found = value(table, f"p{number}", network, metric)
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_three_genes_beside_the_target_by_hand():
    names, targets = ["t", "a", "b", "c", "u"], [["t"], ["u"]]
    covariance = np.eye(5)
    covariance[:, 0] = [2.0, 1.0, 0.5, 0.0, 0.0]
    covariance[:, 4] = [0.0, 0.0, 0.5, 1.0, 2.0]
    effects = np.array([[-9.0, -4.0, -2.0, 0.0, 5.0], [7.0, -1.0, -1.0, -4.0, -9.0]])
    table = check(covariance, effects, names, targets)
    # The other perturbation has no entry for u, its own: a, b and c are left.
    assert value(table, "p0", "network", "pearson") == pytest.approx(1.0)
    assert value(table, "p0", "network", "spearman") == pytest.approx(1.0)
    # The mean of the others is -1, -1, -4; the column of u, turned, 0, -1/2, -1.
    assert value(table, "p0", "mean", "pearson") == pytest.approx(-np.sqrt(3) / 2)
    assert value(table, "p0", "shuffled", "pearson") == pytest.approx(-1.0)
    assert table["reason"].eq("").all()
    assert table["gene"].tolist() == ["t"] * 6 + ["u"] * 6


def structural_model(seed, genes=30, noise=0.0):
    """x = B x + e without parents of the first genes: they are sources, and are targeted."""
    rng = np.random.default_rng(seed)
    b = rng.normal(size=(genes, genes)) * (rng.random((genes, genes)) < 0.2)
    b *= 0.7 / np.abs(np.linalg.eigvals(b)).max()
    b[:6] = 0.0
    np.fill_diagonal(b, 0.0)
    total = np.linalg.inv(np.eye(genes) - b)
    variances = rng.uniform(0.5, 2.0, genes)
    covariance = total * variances @ total.T
    effects = -2.0 * (total[:, :6] / np.diagonal(total)[:6]).T
    effects += noise * rng.normal(size=effects.shape)
    names = [f"g{i}" for i in range(genes)]
    return covariance, effects, names, [[name] for name in names[:6]], total


def test_covariance_with_a_source_is_its_total_effect():
    covariance, _, _, _, total = structural_model(1)
    np.testing.assert_allclose(
        covariance[:, :6] / np.diagonal(covariance)[:6], total[:, :6], atol=1e-12
    )


def test_responses_to_sources_are_foretold_without_error():
    covariance, effects, names, targets, _ = structural_model(2)
    table = check(covariance, effects, names, targets)
    of_network = table[table["network"] == "network"]
    assert of_network["value"].to_numpy() == pytest.approx(1.0)
    comparisons = compare_responses(table, 200, 0.9, 1)
    against = comparisons[comparisons["network"] == "network"]
    assert (against["lower"] > 0).all()


def test_the_units_of_the_network_undo_the_scale_of_the_genes():
    covariance, effects, names, targets, _ = structural_model(3, noise=0.3)
    scale = np.random.default_rng(4).uniform(0.1, 3.0, len(names))
    pd.testing.assert_frame_equal(
        check(covariance, effects * scale, names, targets, scale),
        check(covariance, effects, names, targets),
    )


def test_the_order_of_genes_and_of_perturbations_does_not_matter():
    covariance, effects, names, targets = screen(5)
    rng = np.random.default_rng(6)
    genes, rows = rng.permutation(12), rng.permutation(6)
    turned = check(
        covariance[np.ix_(genes, genes)],
        effects[np.ix_(rows, genes)],
        [names[gene] for gene in genes],
        [targets[row] for row in rows],
        labels=[f"p{row}" for row in rows],
    )
    keys = ["perturbation", "gene", "network", "metric"]
    expected = check(covariance, effects, names, targets)
    both = expected.merge(turned, on=keys, suffixes=("", "_turned"))
    assert len(both) == len(expected) == len(turned)
    np.testing.assert_allclose(both["value"], both["value_turned"], rtol=1e-9)


def test_own_entries_are_read_only_for_the_sign_of_the_others():
    covariance, effects, names, targets = screen(7)
    changed = effects.copy()
    changed[2, names.index(targets[2][0])] = 50.0  # now it seems activated
    pd.testing.assert_frame_equal(
        check(covariance, changed, names, targets), check(covariance, effects, names, targets)
    )
    # With all the others activated, its own sign turns although its own entry is what it was.
    for row, (target,) in enumerate(targets):
        changed[row, names.index(target)] = -1.0 if row == 2 else 1.0
    turned, plain = (check(covariance, e, names, targets) for e in (changed, effects))
    for network, sign in {"network": -1, "shuffled": -1, "mean": 1}.items():
        assert value(turned, "p2", network, "pearson") == pytest.approx(
            sign * value(plain, "p2", network, "pearson")
        )


def test_variances_of_the_other_targets_do_not_weaken_the_shuffled_ones():
    covariance, effects, names, targets = screen(8)
    larger = covariance + 100.0 * np.eye(12)
    pd.testing.assert_frame_equal(
        check(larger, effects, names, targets), check(covariance, effects, names, targets)
    )


def test_a_network_shuffled_as_a_whole_scores_zero_on_average():
    covariance, effects, names, targets, _ = structural_model(9, noise=0.2)
    rng, means = np.random.default_rng(10), []
    for _ in range(150):
        order = rng.permutation(len(names))
        table = check(covariance[np.ix_(order, order)], effects, names, targets)
        of_network = table[(table["network"] == "network") & (table["metric"] == "pearson")]
        means.append(of_network["value"].mean())
    assert abs(np.mean(means)) < 4 * np.std(means) / np.sqrt(150)


def test_what_cannot_be_scored_is_listed_with_its_reason():
    covariance, effects, names, targets = screen(11)
    targets[0] = ["elsewhere"]
    targets[1] = [*targets[1], *targets[2]]
    targets[3] = []
    effects[4] = np.nan
    table = check(covariance, effects, names, targets)
    expected = [
        *("target not in the panel", "several targets", "", "no target"),
        *("effect not estimated", ""),
    ]
    for network in ("network", "mean", "shuffled"):
        assert reasons(table, network) == expected
    assert (table["value"].isna() == (table["reason"] != "")).all()
    assert table["gene"].iloc[6] == "+".join(targets[1])
    summary = summarise_responses(table, 50, 0.9, 1)
    assert set(summary["n"]) == {2}
    assert set(summary["n_asked"]) == {6}


def test_combinations_and_unmeasured_targets_are_in_the_mean_without_own_entries():
    covariance, effects, names, targets = screen(12, perturbations=3)
    targets = [targets[0], [names[1], names[2]], ["elsewhere"]]
    targets[0] = [names[0]]
    table = check(covariance, effects, names, targets)
    mean = effects[1:].mean(axis=0)
    mean[1:3] = effects[2, 1:3]
    expected = pearsonr(mean[1:], effects[0, 1:])[0]
    assert value(table, "p0", "mean", "pearson") == pytest.approx(expected)
    assert reasons(table, "network")[0] == "no other perturbation tells the direction"
    assert reasons(table, "shuffled")[0] == "no other perturbation tells the direction"


def test_a_single_perturbation_has_nothing_to_be_told_from():
    covariance, effects, names, targets = screen(13, perturbations=1)
    table = check(covariance, effects, names, targets)
    assert table["value"].isna().all()
    assert reasons(table, "mean") == ["no effect of another perturbation"]
    summary = summarise_responses(table, 50, 0.9, 1)
    assert set(summary["n"]) == {0}
    assert summary[["mean", "lower", "upper"]].isna().all(axis=None)
    comparisons = compare_responses(table, 50, 0.9, 1)
    assert headline(table, comparisons, 0.9) == (
        "The network predicts the response to none of 1 perturbation "
        "(no other perturbation tells the direction: 1)."
    )


def test_no_perturbation_at_all_gives_empty_tables_and_a_sentence():
    table = check(np.eye(3), np.empty((0, 3)), ["a", "b", "c"], [])
    comparisons = compare_responses(table, 50, 0.9, 1)
    assert table.empty
    assert summarise_responses(table, 50, 0.9, 1).empty
    assert headline(table, comparisons, 0.9) == (
        "The network predicts the response to none of 0 perturbations (none asked for)."
    )


def test_a_target_without_any_covariance_predicts_nothing():
    covariance, effects, names, targets = screen(14)
    target = names.index(targets[0][0])
    covariance[:, target] = covariance[target] = 0.0
    covariance[target, target] = 1.0
    table = check(covariance, effects, names, targets)
    assert reasons(table, "network") == ["the same prediction for every gene", *[""] * 5]
    assert reasons(table, "mean") == [""] * 6
    # Nor does it count among the other targets.
    fewer = check(covariance, effects, names, [["elsewhere"], *targets[1:]])
    others = value(table, "p1", "shuffled", "pearson"), value(fewer, "p1", "shuffled", "pearson")
    assert others[0] == pytest.approx(others[1])
    # Where no target has any, there is nothing to shuffle either.
    alone = check(np.eye(12), effects, names, targets)
    assert set(reasons(alone, "shuffled")) == {"no other target's column has a correlation"}


def test_an_effect_that_is_the_same_for_every_gene_has_no_correlation():
    covariance, effects, names, targets = screen(15)
    effects[0] = 0.1 + 0.2
    table = check(covariance, effects, names, targets)
    assert reasons(table, "network")[0] == reasons(table, "mean")[0]
    assert reasons(table, "network")[0] == "the same effect for every gene"
    assert reasons(table, "network")[1:] == [""] * 5


def test_rounding_is_no_signal():
    covariance, effects, names, targets = screen(16)
    target = names.index(targets[0][0])
    covariance[:, target] = 0.3 * (1.0 + 1e-16 * np.arange(12))
    table = check(covariance, effects, names, targets)
    assert reasons(table, "network")[0] == "the same prediction for every gene"


@pytest.mark.parametrize(("genes", "reason"), [(3, "1 gene"), (4, "2 genes"), (5, "")])
def test_two_genes_are_too_few(genes, reason):
    names = list("abcde")[:genes]
    covariance, effects, *_ = screen(20, genes, 2)
    table = check(covariance, effects, names, [["a"], ["b"]])
    # Its own target is left out, and that of the other, for which there is no mean.
    for network in ("network", "mean"):
        assert reasons(table, network) == [reason and f"{reason} to compare"] * 2
    assert table["value"].isna().all() == bool(reason)


def test_one_target_of_several_perturbations_is_no_other_target():
    covariance, effects, names, targets = screen(17, perturbations=2)
    table = check(covariance, effects, names, [targets[0], targets[0]])
    assert reasons(table, "shuffled") == ["no other target in the panel"] * 2
    assert reasons(table, "network") == ["", ""]


def test_the_updated_network_is_a_contender_of_its_own():
    covariance, effects, names, targets = screen(18)
    updated = covariance + effects.T @ effects
    table = check(covariance, effects, names, targets, updated=updated)
    alone = check(updated, effects, names, targets)
    assert list(table["network"].unique()) == ["network", "updated", "mean", "shuffled"]
    for k in range(6):
        assert value(table, f"p{k}", "updated", "pearson") == value(
            alone, f"p{k}", "network", "pearson"
        )
    found = compare_responses(table, 50, 0.9, 1)
    assert list(zip(found["network"], found["against"], strict=True))[:4] == [
        ("network", "mean"),
        ("network", "shuffled"),
        ("updated", "network"),
        ("updated", "mean"),
    ]


def test_positions_are_those_of_single_targets_in_the_panel():
    targets = [["b"], ["a", "b"], [], ["elsewhere"], ["a"]]
    assert target_positions(targets, ["a", "b", "c"]).tolist() == [1, -1, -1, -1, 0]
