"""Labels: one normal form for every way to write a perturbation, and nothing guessed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.screen.labels import (
    CONTROL,
    LabelRules,
    TargetIndex,
    genes_of,
    normalise,
)

RULES = LabelRules(control=("NT", "ctrl"))
names = st.text("ABcd 1-_.", min_size=1).filter(lambda name: name.strip())
raw_labels = st.lists(st.one_of(names, st.sampled_from(["NT", "ctrl", " "])), min_size=1).map(
    "+".join
)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("NT", CONTROL),
        ("ctrl", CONTROL),
        ("ctrl+NT", CONTROL),
        ("A", "A"),
        ("A+ctrl", "A"),
        ("ctrl+A", "A"),
        ("B+A", "A+B"),
        ("A+B", "A+B"),
        ("A+A", "A"),
        ("B+ctrl+A+B", "A+B"),
        (" A + B ", "A+B"),
        ("A+", "A"),
        ("nt", "nt"),  # control by config, never by guess
        ("non-targeting", "non-targeting"),
        ("", None),
        ("  ", None),
        ("+", None),
    ],
)
def test_every_way_to_write_a_perturbation_has_one_normal_form(raw, expected):
    assert RULES.parse(raw) == expected


@pytest.mark.parametrize(
    ("separator", "raw", "expected"),
    [
        ("_", "B_A", "A+B"),
        ("_", "A_ctrl", "A"),
        (" | ", "B | A", "A+B"),
        (None, "A_B", "A_B"),
        (None, "ctrl", CONTROL),
    ],
)
def test_config_says_what_joins_the_genes_of_a_combination(separator, raw, expected):
    assert LabelRules(("ctrl",), separator).parse(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("non_targeting", CONTROL),
        ("GENE1_non_targeting", "GENE1"),
        ("non_targeting_GENE1", "GENE1"),
        ("GENE1_non_targeting_GENE2", "GENE1+GENE2"),
        ("GENE1_GENE2_non_targeting", "GENE1+GENE2"),
        ("non_targeting_non_targeting", CONTROL),
        ("targeting_non_targeting", CONTROL),  # one control label may end in another
        ("GENE1_targeting", "GENE1"),
        ("GENE1_non", "GENE1+non"),
        ("nontargeting_GENE1", "GENE1+nontargeting"),
    ],
)
def test_a_control_label_may_hold_what_joins_genes(raw, expected):
    for control in (("targeting", "non_targeting"), ("non_targeting", "targeting")):
        assert LabelRules(control, "_").parse(raw) == expected


@given(st.lists(st.sampled_from(["A", "B", "C", "no_guide", "guide"]), min_size=1, max_size=5))
def test_control_with_a_separator_says_nothing_wherever_it_stands(parts):
    genes = {part for part in parts if len(part) == 1}
    expected = "+".join(sorted(genes)) or CONTROL
    assert LabelRules(("guide", "no_guide"), "_").parse("_".join(parts)) == expected


@pytest.mark.parametrize(
    ("pattern", "raw", "expected"),
    [
        (r"del_(\w+)", "del_b, del_a and more", "a+b"),
        (r"del_(\w+)", "wild type", CONTROL),
        (r"del_(\w+)", "something else", None),
        (r"del_(\w+)", "del_ctrl", CONTROL),
        (r"[A-Z]{3,}\d*", "sgSTAT1 IRF1", "IRF1+STAT1"),
        (r"^(.+)_sg\d+$", "B+A_sg2", "A+B"),
        (r"(x)?y", "y", None),
    ],
)
def test_matches_of_a_pattern_or_their_first_group_name_the_genes(pattern, raw, expected):
    assert LabelRules(("wild type", "ctrl"), "+", pattern).parse(raw) == expected


@given(raw_labels)
def test_the_normal_form_is_its_own_normal_form(raw):
    once = RULES.parse(raw)
    assert once is None or RULES.parse(once) == once


@given(raw_labels, st.randoms())
def test_the_order_of_genes_says_nothing(raw, random):
    parts = raw.split("+")
    random.shuffle(parts)
    assert RULES.parse("+".join(parts)) == RULES.parse(raw)


@given(raw_labels)
def test_control_beside_a_gene_and_a_gene_twice_say_nothing(raw):
    once = RULES.parse(raw)
    if once is not None:
        assert RULES.parse(f"{raw}+ctrl") == once
        assert RULES.parse(f"{raw}+{raw}") == once


@given(raw_labels)
def test_the_genes_of_a_perturbation_are_sorted_and_join_to_it(raw):
    once = RULES.parse(raw)
    if once in (None, CONTROL):
        assert once is None or genes_of(once) == ()
    else:
        genes = genes_of(once)
        assert "+".join(genes) == once
        assert list(genes) == sorted(set(genes))
        assert all(genes)


# Columns of labels


@pytest.mark.parametrize("kind", [object, "string", "category"])
def test_blank_and_missing_labels_carry_no_perturbation(kind):
    raw = pd.Series(
        ["NT", " B+A ", "", "  ", None, np.nan, "NT"], dtype=kind, index=list("gfedcba")
    )
    found = normalise(raw, LabelRules(("NT",)), "a.h5ad: obs")
    assert list(found.index) == list(raw.index)
    assert found.iloc[[0, 1, 6]].tolist() == [CONTROL, "A+B", CONTROL]
    assert found.iloc[2:6].isna().all()


def test_numbers_are_read_as_they_are_written():
    found = normalise(pd.Series([0, 12, 7]), LabelRules(("0",)), "a.h5ad: obs")
    assert found.tolist() == [CONTROL, "12", "7"]


def test_a_text_nan_is_a_label_like_any_other():
    found = normalise(pd.Series(["NT", "nan", "NA"]), LabelRules(("NT",)), "x")
    assert found.tolist() == [CONTROL, "nan", "NA"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            ["non-targetting", "A"],
            "screen.h5ad: obs: control: found no cell labelled 'non-targeting'; expected one of "
            "the labels there: A, non-targetting; did you mean 'non-targetting'?",
        ),
        (
            [None, " "],
            "screen.h5ad: obs: control: found no cell labelled 'non-targeting'; expected one of "
            "the labels there: none, all are blank",
        ),
    ],
)
def test_an_absent_control_label_is_told_with_the_nearest(labels, message):
    with pytest.raises(InputError) as error:
        normalise(pd.Series(labels), LabelRules(("non-targeting",)), "screen.h5ad: obs")
    assert str(error.value) == message


@pytest.mark.parametrize("label", ["control", "A+control"])
def test_a_label_control_that_config_does_not_name_is_refused(label):
    raw = pd.Series(["NT", "ctrl", "A", label])
    with pytest.raises(InputError, match=r"config does not name as a label of control"):
        normalise(raw, RULES, "a.h5ad: obs")
    named = normalise(raw, LabelRules(("NT", "ctrl", "control")), "a.h5ad: obs")
    assert set(named) == {CONTROL, "A"}


@pytest.mark.parametrize("separator", ["_", None])
def test_a_plus_that_joins_nothing_is_refused_since_results_would_read_a_combination(separator):
    with pytest.raises(InputError, match=r"label 'A\+B': found a gene 'A\+B' .*_separator: '\+'"):
        normalise(pd.Series(["NT", "A+B"]), LabelRules(("NT",), separator), "a.h5ad: obs")


def test_a_control_label_that_no_label_mentions_is_told_with_the_nearest():
    rules = LabelRules(("NT", "safe-harbor"))
    raw = pd.Series(["NT", "A", "B", "safe_harbor"])
    with pytest.raises(InputError) as error:
        normalise(raw, rules, "a.h5ad: obs")
    assert str(error.value) == (
        "a.h5ad: obs: control: found no cell labelled 'safe-harbor'; expected labels that are "
        "there: A, B, NT, safe_harbor; did you mean 'safe_harbor'?"
    )
    for mentioned in ("safe-harbor", "safe-harbor+A", "B+safe-harbor"):
        found = normalise(pd.Series(["NT", "A", mentioned]), rules, "x")
        assert found.tolist() == [CONTROL, "A", rules.parse(mentioned)]


@pytest.mark.parametrize("label", ["A\x00", "A\tB", "A\u200b", "NT+A\x1b[1m", "A\nB"])
def test_a_label_that_cannot_be_printed_is_told_so_that_it_can_be_seen(label):
    with pytest.raises(InputError) as error:
        normalise(pd.Series(["NT", "B", label]), LabelRules(("NT",)), "a.h5ad: obs")
    assert str(error.value) == (
        f"a.h5ad: obs: label {label!r}: found a character that cannot be printed; expected "
        "letters, digits and signs"
    )


def test_letters_of_any_alphabet_are_labels():
    raw = ["NT", "TGFβ", "Drosophila ßx", "遺伝子"]
    assert normalise(pd.Series(raw), LabelRules(("NT",)), "x").tolist() == [CONTROL, *raw[1:]]


# Targets


def test_targets_are_found_by_identifier_then_by_symbol():
    index = TargetIndex(["b1", "b2", "thrA", "b4"], ["thrA", "thrB", "thrC", "dup"])
    assert index.find("b2").rows == (1,)
    assert index.find("thrB").rows == (1,)
    assert index.find("thrA").rows == (2,)  # the identifier goes first
    assert index.find("b1+thrB").rows == (0, 1)
    assert index.find(CONTROL).rows == ()


def test_a_target_that_is_not_measured_or_not_unique_is_named():
    index = TargetIndex(["b1", "b2", "b3"], ["dup", "dup", "one"])
    absent = index.find("one+two+three")
    assert (absent.rows, absent.reason) == (None, "target not measured: two, three")
    unclear = index.find("dup")
    assert (unclear.rows, unclear.reason) == (None, "target symbol not unique: dup (2 genes)")
    assert TargetIndex(["b1"]).find("thrA").reason == "target not measured: thrA"
