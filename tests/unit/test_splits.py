"""Which perturbations are held out together, and what a table of splits may say."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.prediction.splits import (
    COLUMNS,
    EXCLUDED,
    TEST,
    TRAIN,
    from_table,
    kfold,
    leave_one_out,
    make_splits,
    read_split_table,
)
from lgem.screen.labels import LabelRules, genes_of

LABELS = LabelRules(control=("ctrl", "non-targeting"))
SCREEN = ["A", "B", "C", "A+B", "B+D", "D"]
FILE = {"scheme": "file", "file": "my_splits.tsv"}

screens = st.lists(
    st.sets(st.sampled_from("ABCDEFGH"), min_size=1, max_size=2).map(
        lambda genes: "+".join(sorted(genes))
    ),
    min_size=2,
    max_size=20,
    unique=True,
)


def sets_of(splits):
    """{(repeat, fold): {perturbation: set}}"""
    return {
        key: dict(zip(part["perturbation"], part["set"], strict=True))
        for key, part in splits.groupby(["repeat", "fold"])
    }


def from_rows(rows, screen=SCREEN):
    table = pd.DataFrame(rows, columns=["perturbation", "set", "fold"][: len(rows[0])])
    return make_splits(screen, FILE, 1, table.astype(str), LABELS)


def refusal(*arguments):
    with pytest.raises(InputError) as error:
        from_rows(*arguments)
    return str(error.value)


@settings(deadline=None, max_examples=60)
@given(screen=screens, data=st.data(), repeats=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_kfold_holds_every_perturbation_out_once_a_repeat(screen, data, repeats, seed):
    folds = data.draw(st.integers(2, len(screen)))
    splits = kfold(screen, folds, repeats, seed)
    assert list(splits.columns) == COLUMNS
    held_out = splits[splits["set"] == TEST]
    for _, part in held_out.groupby("repeat"):
        assert sorted(part["perturbation"]) == sorted(screen)
        sizes = part["fold"].value_counts()
        assert len(sizes) == folds
        assert sizes.max() - sizes.min() <= 1
    assert sorted(set(held_out["repeat"])) == list(range(1, repeats + 1))


@settings(deadline=None, max_examples=60)
@given(screen=screens, folds=st.integers(2, 5), seed=st.integers(0, 2**32 - 1))
def test_a_held_out_gene_has_no_combination_in_training(screen, folds, seed):
    tables = [leave_one_out(screen), kfold(screen, min(folds, len(screen)), 1, seed)]
    for sets in (one for table in tables for one in sets_of(table).values()):
        assert sorted(sets) == sorted(screen)
        held_out = {name for name, where in sets.items() if where == TEST and "+" not in name}
        for name, where in sets.items():
            touched = bool(held_out & set(genes_of(name)))
            assert where == (TEST if where == TEST else EXCLUDED if touched else TRAIN)


def test_a_held_out_combination_leaves_its_genes_in_training():
    sets = sets_of(from_rows([("A+B", "test"), ("A", "train"), ("B", "train")]))[1, 1]
    assert (sets["A+B"], sets["A"], sets["B"]) == (TEST, TRAIN, TRAIN)


@settings(deadline=None, max_examples=30)
@given(screen=screens, seed=st.integers(0, 2**32 - 1), data=st.data())
def test_splits_depend_on_the_seed_and_not_on_the_order_of_the_screen(screen, seed, data):
    other = data.draw(st.permutations(screen))
    pd.testing.assert_frame_equal(kfold(screen, 2, 2, seed), kfold(other, 2, 2, seed))


def test_seeds_and_repeats_shuffle_differently():
    screen = [f"G{number:02d}" for number in range(30)]

    def held_out(seed, repeat):
        splits = kfold(screen, 5, 2, seed)
        part = splits[(splits["repeat"] == repeat) & (splits["set"] == TEST)]
        return tuple(part.sort_values("perturbation")["fold"])

    assert len({held_out(seed, repeat) for seed in (0, 1, 2) for repeat in (1, 2)}) == 6


@settings(deadline=None, max_examples=30)
@given(screen=screens)
def test_leave_one_out_holds_out_one_at_a_time(screen):
    held_out = [
        [name for name, where in sets.items() if where == TEST]
        for sets in sets_of(leave_one_out(screen)).values()
    ]
    assert sorted(held_out) == [[name] for name in sorted(screen)]


def test_more_folds_than_perturbations_are_refused():
    scheme = {"scheme": "kfold", "folds": 4, "repeats": 1}
    with pytest.raises(InputError) as error:
        make_splits(["A", "B", "C"], scheme, 1, None, LABELS)
    assert str(error.value) == (
        "splits.folds: found 4 folds for 3 perturbations; expected at most 3"
    )


@pytest.mark.parametrize("screen", [[], ["A"]])
@pytest.mark.parametrize("scheme", ["kfold", "leave_one_out"])
def test_fewer_than_two_perturbations_cannot_be_split(screen, scheme):
    with pytest.raises(InputError, match=f"found {len(screen)} usable perturbations; .* two"):
        make_splits(screen, {"scheme": scheme, "folds": 2, "repeats": 1}, 1, None, LABELS)


@pytest.mark.parametrize("scheme", ["kfold", "leave_one_out"])
def test_a_fold_without_training_is_refused(scheme):
    # A+B must go with A: nothing is left to learn from.
    chosen = {"scheme": scheme, "folds": 2, "repeats": 1}
    with pytest.raises(InputError, match=r"found 0 train and 1 test .*1 excluded.*one of each"):
        make_splits(["A", "A+B"], chosen, 1, None, LABELS)


@pytest.mark.parametrize("scheme", ["kfold", "leave_one_out"])
def test_schemes_are_chosen_by_name(scheme):
    splits = make_splits(
        ["A", "B", "C"], {"scheme": scheme, "folds": 3, "repeats": 1}, 1, None, LABELS
    )
    assert set(splits["scheme"]) == {scheme}
    assert (splits["set"] == TEST).sum() == 3


def test_labels_of_a_table_are_normalised_as_the_screens_are():
    rows = [(" B+A ", "test"), ("ctrl+D", "train"), ("C", " train "), ("A+ctrl", "train")]
    sets = sets_of(from_rows(rows))[1, 1]
    assert sets == {
        **{"A+B": TEST, "D": TRAIN, "C": TRAIN, "A": TRAIN},
        **{"B": EXCLUDED, "B+D": EXCLUDED},  # the table does not name them
    }


@pytest.mark.parametrize("label", ["ctrl", "non-targeting", "ctrl+non-targeting"])
@pytest.mark.parametrize("where", ["train", "test"])
def test_control_may_be_listed_and_is_no_perturbation(label, where):
    rows = [("A", "train"), ("B", "test")]
    expected = from_rows(rows)
    pd.testing.assert_frame_equal(from_rows([*rows, (label, where)]), expected)
    assert set(expected["perturbation"]) == set(SCREEN)


def test_a_table_holds_out_the_combinations_of_a_gene_even_where_it_trains_on_them():
    rows = [("A", "test"), ("A+B", "train"), ("B", "train"), ("D", "train")]
    sets = sets_of(from_rows(rows))[1, 1]
    assert (sets["A"], sets["A+B"], sets["B"]) == (TEST, EXCLUDED, TRAIN)


def test_folds_of_a_table_keep_their_numbers_and_their_numeric_order():
    rows = [
        (name, where, fold)
        for fold in ("10", "9", "0")
        for name, where in (
            ("A", "train"),
            ("C", "test" if fold != "0" else "train"),
            ("D", "test"),
        )
    ]
    splits = from_rows(rows)
    assert list(dict.fromkeys(splits["fold"])) == [0, 9, 10]
    sets = sets_of(splits)
    assert [sets[1, fold]["C"] for fold in (0, 9, 10)] == [TRAIN, TEST, TEST]


def test_named_folds_are_numbered_in_the_order_of_the_alphabet():
    rows = [("A", "train", "late"), ("B", "test", "late"), ("B", "train", "a"), ("C", "test", "a")]
    sets = sets_of(from_rows(rows))
    assert [sets[1, 1]["C"], sets[1, 2]["B"]] == [TEST, TEST]


def test_a_row_without_a_fold_is_refused():
    rows = [("A", "train", "1"), ("B", "test", " "), ("C", "test", "1")]
    assert refusal(rows) == (
        "my_splits.tsv: fold: found nothing in row 2; expected a fold in every row"
    )


@pytest.mark.parametrize(
    ("label", "hint"), [("GATA2", "; did you mean 'GATA1'?"), ("zzzzz", ""), ("", "")]
)
def test_an_unknown_perturbation_is_named_with_the_nearest_one(label, hint):
    message = refusal([("GATA1", "train"), ("MYC", "test"), (label, "test")], ["GATA1", "MYC"])
    assert message == (
        f"my_splits.tsv: perturbation: found '{label}'; expected a usable perturbation of the "
        f"screen: GATA1, MYC{hint}"
    )


def test_a_perturbation_in_train_and_test_is_refused():
    message = refusal([("A+B", "train"), ("C", "train"), ("B+A", "test")])
    assert message == (
        "my_splits.tsv: fold 1: found A+B in train and test; expected one set for each"
    )


def test_the_same_perturbation_may_train_one_fold_and_test_another():
    rows = [("A", "train", "1"), ("B", "test", "1"), ("B", "train", "2"), ("A", "test", "2")]
    sets = sets_of(from_rows(rows))
    assert [sets[1, 1]["A"], sets[1, 2]["A"]] == [TRAIN, TEST]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([("A", "train"), ("B", "train")], "2 train and 0 test"),
        ([("A", "test"), ("B", "test")], "0 train and 2 test"),
        ([("A", "train"), ("ctrl", "test")], "1 train and 0 test"),
        ([("A", "test"), ("A+B", "train")], "0 train and 1 test"),
    ],
)
def test_a_fold_needs_something_to_train_on_and_to_test(rows, found):
    message = refusal(rows)
    assert message.startswith(f"my_splits.tsv: fold 1 of repeat 1: found {found}")


@pytest.mark.parametrize(
    ("found", "hint"), [("Training", "; did you mean 'train'?"), ("held out", "")]
)
def test_an_unknown_set_is_refused(found, hint):
    message = refusal([("A", "train"), ("B", found), ("C", "test")])
    assert message == f"my_splits.tsv: set: found '{found}'; expected train or test{hint}"


@pytest.mark.parametrize(
    ("columns", "missing", "hint"),
    [
        (["pertubation", "set"], "perturbation", "; did you mean 'pertubation'?"),
        (["perturbation", "fold"], "set", ""),
    ],
)
def test_a_missing_column_is_named(columns, missing, hint):
    with pytest.raises(InputError) as error:
        from_table(pd.DataFrame([["A", "1"]], columns=columns), SCREEN, LABELS, "my_splits.tsv")
    assert str(error.value) == (
        f"my_splits.tsv: column '{missing}': found no such column; expected columns perturbation, "
        f"set[, fold]; there are: {', '.join(columns)}{hint}"
    )


@pytest.mark.parametrize("columns", [["perturbation", "set"], ["perturbation", "set", "fold"]])
def test_a_table_without_rows_is_refused(columns):
    with pytest.raises(InputError) as error:
        from_table(pd.DataFrame(columns=columns), SCREEN, LABELS, "my_splits.tsv")
    assert str(error.value) == (
        "my_splits.tsv: found no rows; expected a row per perturbation: its name, train or test"
    )


@pytest.mark.parametrize(("name", "separator"), [("s.tsv", "\t"), ("s.txt", "\t"), ("s.csv", ",")])
def test_a_split_table_is_read_as_texts(tmp_path, name, separator):
    rows = [["perturbation", "set", "fold"], ["NA", "train", "01"], ["7157", "test", "01"]]
    (tmp_path / name).write_text("\n".join(separator.join(row) for row in rows) + "\n", "utf-8")
    table = read_split_table(str(tmp_path / name))
    assert table.columns.tolist() == rows[0]
    assert table.to_numpy().tolist() == rows[1:]
    sets = sets_of(make_splits(["NA", "7157"], FILE, 1, table, LABELS))
    assert sets == {(1, 1): {"NA": TRAIN, "7157": TEST}}


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b\x08\x00\xff\xfe\x00", b"a\tb\n1\t2\t3\t4\n1\n"]
)
def test_a_file_that_is_no_table_is_refused(tmp_path, content):
    path = tmp_path / "broken.tsv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.tsv"):
        from_table(read_split_table(str(path)), SCREEN, LABELS, str(path))
