"""Errors name the place, what stands there, what should, and the nearest spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgem.errors import InputError, about, listing, nearest


def test_an_error_is_one_sentence_of_fixed_parts():
    assert (
        str(InputError("a.h5ad: column 'gne'", "no such column", "one of: gene", "gene"))
        == "a.h5ad: column 'gne': found no such column; expected one of: gene; did you mean 'gene'?"
    )
    assert str(InputError("seed", "-1", "a number from 0")) == (
        "seed: found -1; expected a number from 0"
    )


def test_a_caller_may_say_what_an_error_is_about():
    with pytest.raises(InputError) as error, about("models: mine"), about("fold 2"):
        raise InputError("dimensions", "11", "at most 9")
    assert str(error.value) == "models: mine: fold 2: dimensions: found 11; expected at most 9"


def test_other_errors_stay_as_they_are_and_no_error_none():
    with about("models: mine"):
        pass
    with pytest.raises(ValueError, match=r"^plain$"), about("models: mine"):
        raise ValueError("plain")


@pytest.mark.parametrize(
    ("word", "expected"),
    [("Stat1", "STAT1"), ("STTA1", "STAT1"), ("batc", "batch"), ("xyz", None), ("", None)],
)
def test_the_nearest_spelling_ignores_case_and_is_none_where_nothing_is_close(word, expected):
    assert nearest(word, ["STAT1", "batch", "control"]) == expected


@given(st.lists(st.text(min_size=1), min_size=1), st.data())
def test_a_right_spelling_is_nearest_to_itself(choices, data):
    word = data.draw(st.sampled_from(choices))
    assert nearest(word, choices).casefold() == word.casefold()


def test_nearest_and_listing_take_what_is_no_text():
    assert nearest(12, [123, 7]) == "123"
    assert listing([1, None, "a"]) == "1, None, a"


@given(st.lists(st.integers(), max_size=30), st.integers(1, 12))
def test_a_listing_shows_at_most_so_many_and_counts_the_rest(values, most):
    text = listing(values, most)
    shown, _, rest = text.partition(" and ")
    assert shown.split(", ") == ([str(value) for value in values[:most]] or [""])
    assert rest == (f"{len(values) - most} more" if len(values) > most else "")
