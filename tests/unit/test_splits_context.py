"""One context held out at a time: what is tested there is learned in the others."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.files import read_table, write_table
from lgem.prediction.folds import folds
from lgem.prediction.splits import COLUMNS, TEST, TRAIN, leave_context_out, make_splits
from lgem.screen.labels import LabelRules, genes_of

LABELS = LabelRules(control=("ctrl",))
CONTEXTS = {"K562": ["A", "A+B", "B"], "RPE1": ["A", "A+B", "C"], "THP1": ["A", "C"]}

screens = st.dictionaries(
    st.sampled_from(["k562", "rpe1", "1", "01", "NA"]),
    st.lists(st.sampled_from(["A", "B", "A+B", "B+C", "A+B+C", "C"]), unique=True).map(sorted),
    min_size=2,
).filter(lambda contexts: sum(map(bool, contexts.values())) > 1)


def split(contexts, wanted=None):
    usable = sorted({name for names in contexts.values() for name in names})
    chosen = {"scheme": "context", "folds": 5, "repeats": 1, "contexts": wanted}
    return make_splits(usable, chosen, 1, None, LABELS, contexts)


def refusal(contexts, wanted=None):
    with pytest.raises(InputError) as error:
        split(contexts, wanted)
    return str(error.value)


@settings(deadline=None, max_examples=100)
@given(contexts=screens)
def test_training_never_comes_from_the_context_that_is_tested(contexts):
    splits = leave_context_out(contexts, None)
    assert list(splits.columns) == COLUMNS
    assert splits.groupby("fold")["context"].nunique().eq(1).all()
    assert splits["context"].drop_duplicates().tolist() == sorted(filter(contexts.get, contexts))
    for context, part in splits.groupby("context"):
        rows = {which: part.loc[part["set"] == which, "perturbation"] for which in (TRAIN, TEST)}
        others = [contexts[other] for other in contexts if other != context]
        assert rows[TEST].tolist() == contexts[context]
        assert rows[TRAIN].tolist() == sorted({name for names in others for name in names})
        assert len(part) == len(rows[TRAIN]) + len(rows[TEST])


@settings(deadline=None, max_examples=100)
@given(contexts=screens)
def test_seen_counts_the_singles_of_the_other_contexts(contexts):
    for context, part in leave_context_out(contexts, None).groupby("context"):
        alone = {name for other in contexts if other != context for name in contexts[other]}
        for row in part.itertuples():
            combination = row.set == TEST and len(genes_of(row.perturbation)) > 1
            expected = sum(gene in alone for gene in genes_of(row.perturbation))
            assert row.seen == expected if combination else row.seen is pd.NA


def test_a_perturbation_of_several_contexts_trains_in_one_and_is_tested_in_another():
    splits = split(CONTEXTS)
    assert splits["fold"].drop_duplicates().tolist() == [1, 2, 3]
    first = splits[splits["context"] == "K562"]
    assert list(zip(first["perturbation"], first["set"], strict=True)) == [
        *(("A", TRAIN), ("A+B", TRAIN), ("C", TRAIN)),
        *(("A", TEST), ("A+B", TEST), ("B", TEST)),
    ]
    assert first["seen"].dropna().tolist() == [1]  # B is seen alone in K562 and nowhere else


def test_wanted_contexts_alone_are_held_out():
    splits = split(CONTEXTS, ["THP1", "K562", "THP1"])
    assert splits["context"].drop_duplicates().tolist() == ["K562", "THP1"]
    assert splits["fold"].drop_duplicates().tolist() == [1, 2]
    last = splits[(splits["context"] == "THP1") & (splits["set"] == TRAIN)]
    assert last["perturbation"].tolist() == ["A", "A+B", "B", "C"]


def test_an_unknown_context_is_named_with_the_nearest_one():
    assert refusal(CONTEXTS, ["K526"]) == (
        "splits.contexts: found 'K526'; expected contexts of the dataset: K562, RPE1, THP1; did "
        "you mean 'K562'?"
    )


def test_a_context_without_perturbations_cannot_be_held_out_by_name():
    contexts = {**CONTEXTS, "Jurkat": []}
    assert refusal(contexts, ["Jurkat"]) == (
        "splits.contexts: found 'Jurkat', in which no perturbation can be estimated; expected "
        "contexts of the dataset: K562, RPE1, THP1"
    )
    assert "Jurkat" not in set(split(contexts)["context"])


@pytest.mark.parametrize(
    ("contexts", "found"),
    [
        ({"K562": ["A", "B"]}, "1 context of 1: K562"),
        ({"K562": ["A", "B"], "RPE1": []}, "1 context of 2: K562"),
    ],
)
def test_a_single_context_cannot_be_held_out(contexts, found):
    assert refusal(contexts).startswith(
        f"splits.scheme: found context, but perturbations can be estimated in {found}; expected at "
        "least two contexts"
    )


def test_the_sets_survive_the_table(tmp_path):
    splits = split({"01": ["A", "NA"], "1": ["A"], "1.0": ["B", "NA"]})
    write_table(splits, tmp_path / "splits.tsv")
    found = list(folds(read_table(tmp_path / "splits.tsv")))
    assert [(fold.train, fold.test) for fold in found] == [
        (["A", "B", "NA"], ["A", "NA"]),
        (["A", "B", "NA"], ["A"]),
        (["A", "NA"], ["B", "NA"]),
    ]
    assert read_table(tmp_path / "splits.tsv")["context"].tolist() == splits["context"].tolist()
