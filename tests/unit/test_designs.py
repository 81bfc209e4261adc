"""Designs that explain themselves: who cannot be told from whom, why, and what mends it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from lgem.designs import (
    COLLINEAR,
    CONFOUNDED,
    REDUNDANT,
    TOO_FEW,
    clipped,
    explain,
    joined,
    treatment_design,
)
from lgem.systems import diagnose, estimable


def explained(table, factors=("gene", "batch"), references=None, **options):
    design = treatment_design(table, factors, references or {"gene": "control"}, **options)
    return explain(design, table, "gene", "batch")


def samples(*rows, columns=("gene", "batch")):
    return pd.DataFrame(rows, columns=list(columns))


CONTROLS = [("control", "lane_1")] * 5
APART = samples(*CONTROLS, *[("STAT1", "lane_2")] * 5)

# Confounded batches


def test_a_treatment_with_a_batch_of_its_own_is_named_with_it():
    found = explained(APART)
    assert (found.diagnosis.rank, found.diagnosis.columns) == (2, 3)
    (alias,) = found.aliases
    assert alias.columns == ("STAT1", "lane_2")
    assert alias.relation == found.aliased == "STAT1 = lane_2"
    assert alias.cause == found.cause == CONFOUNDED == "confounded batch"
    assert alias.sentence == (
        "batch lane_2 holds only STAT1 samples, and STAT1 has no others: the effects of STAT1 and "
        "of lane_2 cannot be separated"
    )
    assert alias.remedy == (
        "put control samples into lane_2, or STAT1 samples into a batch with control; or leave "
        "batch out, which counts the batch's difference as STAT1's effect"
    )
    assert found.sentences() == {"STAT1": alias.sentence}


@pytest.mark.parametrize("remedy", [("control", "lane_2"), ("STAT1", "lane_1"), None])
def test_following_the_remedy_makes_the_effects_separable(remedy):
    if remedy is None:  # without the batch
        mended = explained(APART, ["gene"])
    else:
        mended = explained(pd.concat([APART, samples(remedy)], ignore_index=True))
    assert mended.diagnosis.verdict == "unique"
    assert mended.aliases == []
    assert (mended.aliased, mended.cause, mended.remedy) == ("", "", "")


def test_an_island_of_several_is_named_as_a_whole():
    table = samples(
        *CONTROLS, ("A", "lane_2"), ("B", "lane_2"), ("B", "lane_3"), ("D", "lane_1"), ("D", "4")
    )
    (alias,) = explained(table).aliases
    assert alias.relation == "A + B = lane_2 + lane_3"
    assert alias.sentence == (
        "batches lane_2 and lane_3 hold only samples of A and B, and A and B have no others: the "
        "effects of A and B and those of lane_2 and lane_3 cannot be separated"
    )
    assert alias.remedy == (
        "put control samples into lane_2 or lane_3, or A or B samples into a batch with control; "
        "or leave batch out, which counts the batch's difference as effects of A and B"
    )
    mended = pd.concat([table, samples(("control", "lane_3"))])
    assert explained(mended).aliases == []


def test_the_way_on_without_adjustment_is_told_in_the_users_words():
    design = treatment_design(APART, ["gene", "batch"], {"gene": "control"})
    words = {"unit": "cells", "otherwise": "adjust_batch: false"}
    (alias,) = explain(design, APART, "gene", "batch", **words).aliases
    assert alias.sentence.startswith("batch lane_2 holds only STAT1 cells, and STAT1 has no others")
    assert alias.remedy == (
        "put control cells into lane_2, or STAT1 cells into a batch with control; or adjust_batch: "
        "false, which counts the batch's difference as STAT1's effect"
    )


def test_a_reference_that_the_user_chose_is_no_obstacle():
    (alias,) = explained(APART, references={"gene": "control", "batch": "lane_2"}).aliases
    assert alias.columns == ("intercept", "STAT1", "lane_1")
    assert (alias.relation, alias.cause) == ("STAT1 + lane_1 = intercept", CONFOUNDED)
    assert "the effects of STAT1 and lane_1 cannot be separated" in alias.sentence


def test_a_treatment_that_is_confounded_with_something_else_than_batch_is_collinear():
    table = APART.rename(columns={"batch": "sex"})
    (alias,) = explained(table, ["gene", "sex"]).aliases
    assert alias.cause == COLLINEAR == "collinear covariate"
    assert alias.sentence.startswith("sex lane_2 holds only STAT1 samples")


def test_two_factors_confound_a_treatment_together():
    rows = [("control", "u", "f"), ("control", "v", "f"), ("control", "u", "f"), ("A", "v", "m")]
    table = samples(*rows, ("B", "u", "m"), columns=["gene", "batch", "sex"])
    found = explained(table, ["gene", "batch", "sex"])
    (alias,) = found.aliases
    assert alias.relation == "A + B = m"
    # Each of two batches holds both controls and a treatment, but the treatments are all male.
    assert (alias.treatments, alias.cause) == (("A", "B"), COLLINEAR)
    rows[3] = ("A", "w", "m")
    table = samples(*rows, ("C", "v", "m"), ("C", "w", "f"), columns=["gene", "batch", "sex"])
    found = explained(table, ["gene", "batch", "sex"])
    (alias,) = found.aliases
    assert set(alias.columns) == {"A", "C", "w", "m"}
    assert alias.cause == CONFOUNDED
    assert "combination of batch and sex" in alias.remedy
    mended = pd.concat([table, table.iloc[[3]].assign(gene="control")])
    assert set(explained(mended, ["gene", "batch", "sex"]).sentences()) < {"C"}


# The other causes


def test_all_levels_of_a_factor_beside_an_intercept_are_redundant():
    table = pd.DataFrame({"sex": ["Female", "Male"] * 5})
    design = treatment_design(table, ["sex"], {"sex": None})
    assert design.names == ["intercept", "Female", "Male"]
    (alias,) = explain(design, table).aliases
    assert alias.relation == "Female + Male = intercept"
    assert alias.cause == REDUNDANT == "redundant factor"
    assert alias.sentence == "Female and Male mark all samples: they add up to the intercept"
    assert alias.remedy == "drop one level or the intercept"
    # The remedies: one level is what the others are compared with, or there is no intercept.
    assert explain(treatment_design(table, ["sex"]), table).aliases == []
    assert diagnose(design.matrix[:, 1:]).verdict == "unique"


def test_a_factor_that_another_implies_is_redundant():
    table = pd.DataFrame({"batch": list("uvwx") * 2, "sex": list("ffmm") * 2})
    (alias,) = explain(treatment_design(table, ["batch", "sex"]), table).aliases
    assert alias.cause == REDUNDANT
    assert alias.sentence == "every batch has one sex: batch says already what sex says"
    assert alias.remedy == "drop sex, which changes no other effect"
    assert explain(treatment_design(table, ["batch"]), table).aliases == []


def test_more_covariates_than_samples_are_too_many():
    numbers = np.random.default_rng(0).normal(size=(3, 5))
    table = pd.DataFrame(numbers, columns=list("abcde"))
    found = explain(treatment_design(table, [], covariates=list("abcde")), table)
    assert (found.diagnosis.shape_class, found.diagnosis.rank) == ("underdetermined", 3)
    assert len(found.aliases) == 3
    assert found.cause == TOO_FEW == "too few samples"
    (sentence,) = {alias.sentence for alias in found.aliases}
    assert sentence == "3 samples cannot tell 6 coefficients apart"
    assert found.remedy == "more samples, fewer covariates, or a penalty"
    more = pd.DataFrame(np.random.default_rng(1).normal(size=(6, 5)), columns=list("abcde"))
    assert explain(treatment_design(more, [], covariates=list("abcde")), more).aliases == []


def test_groups_of_samples_count_as_many_as_they_hold():
    groups = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]})
    design = treatment_design(groups, [], covariates=["a", "b"])
    assert explain(design, groups).cause == TOO_FEW
    assert explain(design, groups, samples=200).cause == COLLINEAR
    # A treatment alone in its batch is that however few samples there are.
    table = samples(("control", "u"), ("A", "v"), ("B", "w"))
    assert explained(table).cause == CONFOUNDED


def test_covariates_that_follow_from_one_another_are_collinear():
    table = pd.DataFrame({"x": [2.0] * 6, "y": [0, 1, 2, 3, 4, 7], "z": [0, 2, 4, 6, 8, 14]})
    found = explain(treatment_design(table, [], covariates=["x", "y", "z"]), table)
    constant, multiple = found.aliases
    assert (constant.cause, multiple.cause) == (COLLINEAR, COLLINEAR)
    assert (constant.relation, multiple.relation) == ("x = 2", "y = 0.5·z")
    assert constant.sentence == "x is the same in all samples: it cannot be told from the intercept"
    assert multiple.sentence == (
        "y = 0.5·z in all samples: the effects of y and z cannot be separated"
    )
    assert (constant.remedy, multiple.remedy) == ("drop x", "drop one of y and z")
    assert explain(treatment_design(table, [], covariates=["z"]), table).aliases == []


def test_a_covariate_of_zeros_says_nothing():
    table = pd.DataFrame({"x": [0.0] * 4})
    (alias,) = explain(treatment_design(table, [], covariates=["x"]), table).aliases
    assert alias.sentence == "x is 0 in all samples: there is no effect"


def test_treatment_sex_and_their_interaction_are_known_from_five_samples_each():
    groups = [("no", "f"), ("no", "m"), ("yes", "f"), ("yes", "m")]
    table = samples(*groups * 5, columns=["treatment", "sex"])
    pair = [("treatment", "sex")]
    design = treatment_design(table, ["treatment", "sex"], interactions=pair)
    assert design.names == ["intercept", "yes", "m", "yes × m"]
    found = explain(design, table, "treatment")
    assert (found.diagnosis.rows, found.diagnosis.columns, found.diagnosis.rank) == (20, 4, 4)
    assert (found.diagnosis.verdict, found.aliases) == ("unique", [])
    # Without treated males there is no interaction to estimate.
    part = table[(table["treatment"] == "no") | (table["sex"] == "f")]
    found = explain(treatment_design(part, ["treatment", "sex"], interactions=pair), part)
    (alias,) = found.aliases
    assert (alias.columns, alias.cause) == (("yes × m",), TOO_FEW)
    assert alias.sentence == (
        "there are no samples of yes × m (treatment × sex): its effect cannot be estimated"
    )


# Building designs


def test_levels_are_compared_with_the_most_frequent_or_the_one_given():
    table = samples(("A", "v"), ("A", "v"), ("control", "u"), ("control", "v"), ("control", "u"))
    design = treatment_design(table, ["gene", "batch"])
    assert design.references == {"gene": "control", "batch": "u"}  # the batch of most controls
    assert design.names == ["intercept", "A", "v"]
    np.testing.assert_array_equal(design.matrix[:, 1:].T, [[1, 1, 0, 0, 0], [1, 1, 0, 1, 0]])
    assert design.columns("batch") == {"v": 2}
    given = treatment_design(table, ["gene", "batch"], {"batch": "v"})
    assert given.names == ["intercept", "A", "u"]


def test_columns_have_names_that_can_be_told_apart():
    table = samples(("control", "1", "f"), ("f", "2", "m"), columns=["gene", "batch", "sex"])
    design = treatment_design(table, ["gene", "batch", "sex"], {"gene": "control", "sex": "m"})
    assert design.names == ["intercept", "gene f", "batch 2", "sex f"]


def test_long_names_and_lists_are_shortened():
    key = "|".join(f"field{number}" for number in range(9))
    assert clipped("lane_1") == "lane_1"
    assert len(clipped(key)) <= 42
    assert clipped(key).startswith("'field0|")
    assert clipped(key).endswith("|field8'")
    assert joined(["A"]) == "A"
    assert joined(list("ABC"), "or") == "A, B or C"
    assert joined(list("ABCDEFG")) == "A, B, C, D, E and 2 more"
    table = samples(*CONTROLS, *[(f"gene_{number}", key) for number in range(300)])
    (alias,) = explained(table).aliases
    assert alias.columns == (*sorted(f"gene_{number}" for number in range(300)), key)
    assert len(alias.sentence) < 400
    assert len(alias.remedy) < 400
    assert "and 295 more" in alias.sentence
    assert alias.relation.endswith(f" + 295 more = {clipped(key)}")


def test_few_of_many_aliases_are_shown_and_the_rest_counted():
    table = samples(*CONTROLS, *[(f"g{number:02}", f"b{number:02}") for number in range(30)])
    found = explained(table)
    assert len(found.aliases) == 30
    assert found.aliased.startswith("g00 = b00; g01 = b01; ")
    assert found.aliased.endswith("; and 20 more")
    assert found.cause == CONFOUNDED
    assert found.remedy.endswith("; and 27 more")


# Against other ways to find the same

cells = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=14)


@given(cells, st.integers(0, 5))
@settings(deadline=None)
def test_islands_in_words_are_the_connected_components(pairs, home):
    names = ["control", *"ABCDE"]
    table = samples((names[0], f"b{home}"), *[(names[gene], f"b{batch}") for gene, batch in pairs])
    found = explained(table)
    genes, batches = sorted(set(table["gene"])), sorted(set(table["batch"]))
    edges = (table["gene"].map(genes.index), len(genes) + table["batch"].map(batches.index))
    size = len(genes) + len(batches)
    links = sparse.coo_matrix((np.ones(len(table)), edges), shape=(size, size))
    number, component = connected_components(links, directed=False)
    nodes = np.array([*genes, *batches])
    islands = {frozenset(nodes[component == label]) for label in range(number)}
    told = [frozenset(alias.columns) for alias in found.aliases]
    assert len(told) == len(set(told))
    assert set(told) == {island for island in islands if "control" not in island}
    for alias in found.aliases:
        assert alias.cause == CONFOUNDED
        assert "cannot be separated" in alias.sentence
        subject = alias.sentence.partition(":")[0]
        assert set(subject.replace(",", " ").split()) >= set(alias.columns)


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=9))
@settings(deadline=None)
def test_with_two_factors_the_treatments_told_are_those_that_cannot_be_estimated(rows):
    table = samples(
        ("control", "u", "f"),
        *[(("control", "A", "B")[g], "uvw"[b], "fmn"[s]) for g, b, s in rows],
        columns=["gene", "batch", "sex"],
    )
    treatments = sorted(set(table["gene"]) - {"control"})
    assume(treatments)
    found = explained(table, ["gene", "batch", "sex"])
    everything = pd.get_dummies(table, dtype=float).to_numpy()
    unknown = set()
    for name in treatments:
        # Estimable: control and treatment differ by a combination of samples.
        columns = list(pd.get_dummies(table).columns)
        contrast = np.zeros(len(columns))
        contrast[columns.index(f"gene_{name}")] = 1
        contrast[columns.index("gene_control")] = -1
        longer = np.vstack([everything, contrast])
        if np.linalg.matrix_rank(longer) > np.linalg.matrix_rank(everything):
            unknown.add(name)
    assert set(found.sentences()) == unknown
    design = treatment_design(table, ["gene", "batch", "sex"], {"gene": "control"})
    known = estimable(design.matrix)
    columns = design.columns("gene")
    assert {name for name in treatments if not known[columns[name]]} == unknown
    assert len(found.aliases) == found.diagnosis.free_parameters
