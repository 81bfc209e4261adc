"""Combinations held out with all, with some and with none of their genes seen alone."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.prediction.doubles import combination_folds, combinations_of
from lgem.prediction.splits import (
    COLUMNS,
    EXCLUDED,
    TEST,
    TRAIN,
    doubles,
    kfold,
    leave_one_out,
    make_splits,
    seen_report,
)
from lgem.screen.labels import LabelRules, genes_of

LABELS = LabelRules(control=("ctrl",))
SINGLES = [f"G{number}" for number in range(12)]

screens = st.lists(
    st.sets(st.sampled_from("ABCDEFGH"), min_size=1, max_size=3).map(
        lambda genes: "+".join(sorted(genes))
    ),
    min_size=2,
    max_size=25,
    unique=True,
).filter(combinations_of)
seeds = st.integers(0, 2**32 - 1)


def folds_of(splits):
    """The rows of every fold, by perturbation, in order."""
    return [
        part.set_index("perturbation") for _, part in splits.groupby(["repeat", "fold"], sort=True)
    ]


def names(fold, which):
    return set(fold.index[fold["set"] == which])


def held_out_with(splits, seen):
    """Combinations that are held out somewhere with this many of their genes seen alone."""
    return set(splits.loc[splits["seen"] == seen, "perturbation"])


@settings(deadline=None, max_examples=150)
@given(screen=screens, folds=st.integers(2, 5), repeats=st.integers(1, 2), seed=seeds)
def test_nothing_that_is_held_out_reaches_training(screen, folds, repeats, seed):
    splits = doubles(screen, folds, repeats, seed)
    assert list(splits.columns) == COLUMNS
    for fold in folds_of(splits):
        train, test, excluded = (names(fold, which) for which in (TRAIN, TEST, EXCLUDED))
        assert sorted(fold.index) == sorted(screen)
        assert train
        assert test
        assert test <= set(combinations_of(screen))
        without = {name for name in excluded if len(genes_of(name)) == 1}
        for name in train:
            assert not without & set(genes_of(name))
        for name in excluded:
            # Nothing leaves training but for a gene of a combination that is tested.
            assert any(set(genes_of(name)) & set(genes_of(other)) for other in test)


@settings(deadline=None, max_examples=150)
@given(screen=screens, folds=st.integers(2, 5), seed=seeds)
def test_seen_counts_the_singles_in_training(screen, folds, seed):
    number = min(folds, len(screen))
    for splits in (doubles(screen, folds, 1, seed), kfold(screen, number, 1, seed)):
        for fold in folds_of(splits):
            train = names(fold, TRAIN)
            for name, row in fold.iterrows():
                if row["set"] == TEST and len(genes_of(name)) > 1:
                    assert row["seen"] == sum(gene in train for gene in genes_of(name))
                else:
                    assert row["seen"] is pd.NA


@settings(deadline=None, max_examples=100)
@given(screen=screens, folds=st.integers(2, 5), repeats=st.integers(1, 2), seed=seeds)
def test_every_combination_is_tested_once_a_repeat_with_all_singles_that_there_are(
    screen, folds, repeats, seed
):
    splits = doubles(screen, folds, repeats, seed)
    complete = [fold for fold in folds_of(splits) if not names(fold, EXCLUDED)]
    combinations = combinations_of(screen)
    for repeat in range(1, repeats + 1):
        held_out = [
            name
            for fold in complete
            if fold["repeat"].iloc[0] == repeat
            for name in names(fold, TEST)
        ]
        assert set(held_out) == set(combinations)
    for fold in complete:
        for name in names(fold, TEST):
            assert fold.loc[name, "seen"] == len(set(genes_of(name)) & set(screen))


@settings(deadline=None, max_examples=100)
@given(screen=screens, folds=st.integers(2, 5), seed=seeds)
def test_a_combination_is_tested_unseen_where_a_fold_can_train_without_its_genes(
    screen, folds, seed
):
    splits = doubles(screen, folds, 1, seed)
    for name in combinations_of(screen):
        if any(not set(genes_of(name)) & set(genes_of(other)) for other in screen):
            assert name in held_out_with(splits, 0)


@settings(deadline=None, max_examples=100)
@given(
    edges=st.sets(st.tuples(st.integers(0, 4), st.integers(5, 9)), min_size=1, max_size=12),
    folds=st.integers(2, 5),
    seed=seeds,
)
def test_pairs_without_an_odd_ring_are_all_tested_with_each_number_of_singles(edges, folds, seed):
    # Genes of one side pair with those of the other alone; the rest of the screen has no pairs.
    pairs = ["+".join(sorted((f"G{a}", f"G{b}"))) for a, b in edges]
    splits = doubles([*SINGLES, *pairs], folds, 1, seed)
    for seen in (0, 1, 2):
        assert held_out_with(splits, seen) == set(pairs)
    part = splits.groupby("fold")["seen"].agg(["min", "max"]).dropna()
    assert (part["min"] == part["max"]).all()
    assert part["min"].tolist() == sorted(part["min"], reverse=True)


@pytest.mark.parametrize("seed", range(5))
def test_an_odd_ring_of_pairs_leaves_one_of_them_without_both_singles(seed):
    ring = ["G0+G1", "G1+G2", "G0+G2"]
    every, some, none = combination_folds([*SINGLES, *ring], 1, [seed])
    assert every.test == some.test == none.test == set(ring)
    assert every.without == set()
    assert sorted(len(set(genes_of(name)) - some.without) for name in ring) == [0, 1, 1]
    assert none.without == {"G0", "G1", "G2"}


def test_folds_are_numbered_on_through_the_families():
    splits = doubles([*SINGLES, "G0+G1", "G2+G3", "G4+G5", "G6+X", "Y+Z"], 2, 2, seed=3)
    for _, part in splits.groupby("repeat"):
        assert part["fold"].drop_duplicates().tolist() == [1, 2, 3, 4, 5, 6]
    assert set(splits["scheme"]) == {"doubles"}
    assert set(splits["context"]) == {""}
    # G6+X has one single: with it, then without; Y+Z has none and cannot lose any.
    counts = splits.dropna(subset="seen").groupby("perturbation")["seen"].apply(list)
    assert counts["G0+G1"] == [2, 1, 0] * 2
    assert counts["G6+X"] == [1, 0] * 2
    assert counts["Y+Z"] == [0] * 2
    assert seen_report(splits) == (
        "combinations held out: 3 with 2 genes seen alone, 4 with 1 gene seen alone, "
        "5 with 0 genes seen alone"
    )


def test_what_loses_a_gene_loses_its_single_and_its_other_combinations():
    screen = ["A", "B", "C", "A+B", "A+C+D"]
    last = folds_of(doubles(screen, 5, 1, seed=0))[-2:]  # those that keep no single
    by_test = {next(iter(names(fold, TEST))): fold["set"].to_dict() for fold in last}
    assert by_test["A+B"] == {
        **{"A": EXCLUDED, "B": EXCLUDED, "A+C+D": EXCLUDED},
        **{"A+B": TEST, "C": TRAIN},
    }
    assert by_test["A+C+D"] == {
        **{"A": EXCLUDED, "C": EXCLUDED, "A+B": EXCLUDED},
        **{"A+C+D": TEST, "B": TRAIN},
    }


def test_there_are_as_many_folds_as_combinations_where_these_are_few():
    splits = doubles([*SINGLES, "G0+G1", "G2+G3"], 5, 1, seed=1)
    assert splits["fold"].nunique() == 6
    assert splits[splits["set"] == TEST].groupby("fold").size().tolist() == [1] * 6


@pytest.mark.parametrize("seed", range(5))
def test_there_are_more_folds_where_parts_would_leave_nothing_to_train_on(seed):
    # Any two pairs of the ring name all three genes.
    ring = ["A+B", "A+C", "B+C"]
    splits = doubles(["A", "B", "C", *ring], 2, 1, seed)
    assert splits["fold"].nunique() == 9
    for seen in (0, 1, 2):
        assert held_out_with(splits, seen) == set(ring)


def test_a_fold_that_cannot_train_even_so_is_dropped():
    splits = doubles(["A", "B", "A+B"], 5, 1, seed=1)
    assert splits["fold"].drop_duplicates().tolist() == [1, 2]
    assert splits.dropna(subset="seen")["seen"].tolist() == [2, 1]


@settings(deadline=None, max_examples=30)
@given(screen=screens, seed=seeds, data=st.data())
def test_doubles_depend_on_the_seed_and_not_on_the_order_of_the_screen(screen, seed, data):
    other = data.draw(st.permutations(screen))
    pd.testing.assert_frame_equal(doubles(screen, 3, 2, seed), doubles(other, 3, 2, seed))


def test_seeds_and_repeats_deal_differently():
    rng = np.random.default_rng(0)
    pairs = {"+".join(sorted(rng.choice(SINGLES, 2, replace=False))) for _ in range(30)}

    def dealt(seed, repeat):
        splits = doubles([*SINGLES, *pairs], 4, 2, seed)
        rows = splits[(splits["repeat"] == repeat) & (splits["set"] == TEST)]
        return tuple(rows.groupby("fold")["perturbation"].apply(tuple))

    assert len({dealt(seed, repeat) for seed in (0, 1, 2) for repeat in (1, 2)}) == 6


def test_a_screen_without_combinations_has_no_doubles():
    with pytest.raises(InputError) as error:
        make_splits(["A", "B"], {"scheme": "doubles", "folds": 2, "repeats": 1}, 1, None, LABELS)
    assert str(error.value).startswith(
        "splits.scheme: found doubles, but no combination among 2 usable perturbations; expected "
    )


@settings(deadline=None, max_examples=50)
@given(screen=screens, folds=st.integers(2, 5), seed=seeds)
def test_the_scheme_is_chosen_by_name_and_its_folds_can_be_fitted(screen, folds, seed):
    chosen = {"scheme": "doubles", "folds": folds, "repeats": 2}
    splits = make_splits(screen, chosen, seed, None, LABELS)
    pd.testing.assert_frame_equal(splits, doubles(screen, folds, 2, seed))


@settings(deadline=None, max_examples=50)
@given(screen=screens)
def test_leave_one_out_tests_a_combination_with_all_its_singles(screen):
    splits = leave_one_out(screen)
    assume(splits["seen"].notna().any())
    for name, seen in splits.dropna(subset="seen")[["perturbation", "seen"]].to_numpy():
        assert seen == len(set(genes_of(name)) & set(screen))


def test_a_screen_without_tested_combinations_reports_none():
    assert seen_report(leave_one_out(["A", "B"])) == "combinations held out: none"
