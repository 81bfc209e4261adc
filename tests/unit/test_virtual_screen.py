"""The virtual screen: what is ranked, how sizes and distances come about, what is refused."""

import numpy as np
import pandas as pd
import pytest

from lgem.errors import InputError
from lgem.prediction.embedding import PerturbationEmbedding
from lgem.prediction.model import fit_predictor
from lgem.prediction.screen import COLUMNS, is_specific, screen_table, targets_to_predict
from lgem.screen.labels import TargetIndex
from tests.unit.model_cases import bilinear_screen, part_of

GENES = [f"G{k}" for k in range(40)]
INDEX = TargetIndex(GENES)
FIXED = {"mean_weight": 0.3, "dimensions": 2, "penalty": 0.1}


@pytest.fixture(scope="module")
def known():
    return bilinear_screen(40, 25, 1, own=-0.7)


@pytest.fixture(scope="module")
def predictor(known):
    return fit_predictor("linear", known, {**FIXED, "on_target": True})


def screened(predictor, known, asked=("all",), symbols=None, index=INDEX, level=0.9):
    return screen_table(predictor, known, index, symbols, asked, level)


def by_target(table):
    return table.set_index("target")


def off_target(effect, name):
    kept = effect.copy()
    kept[list(INDEX.find(name).rows or ())] = 0
    return kept


def test_every_gene_measured_is_predicted_and_ranked_by_the_size_of_its_effect(predictor, known):
    table, left_out = screened(predictor, known)
    assert list(table.columns) == COLUMNS
    assert sorted(table["target"]) == sorted(GENES)
    assert left_out == 0
    assert (np.diff(table["effect_size"]) <= 0).all()
    for name, size in zip(table["target"], table["effect_size"], strict=True):
        effect = predictor.predict(name, INDEX.find(name)).effect
        assert size == pytest.approx(np.linalg.norm(off_target(effect, name)), rel=1e-12)
    assert set(table.loc[table["in_training"], "target"]) == set(known.perturbations)
    assert set(table["basis"]) == {"mean and bilinear"}


def test_sizes_that_are_equal_are_in_the_order_of_the_names(known):
    nothing = fit_predictor("linear", known, {"dimensions": 0, "mean_weight": 0.0})
    table, _ = screened(nothing, known)
    assert not table["effect_size"].any()
    assert list(table["target"]) == sorted(GENES)
    assert not is_specific(nothing)


def test_distances_are_from_the_nearest_in_training_in_units_of_their_typical_one(predictor, known):
    table = by_target(screened(predictor, known, [*GENES, "G30+G31"])[0])
    G = predictor.inner.gene_embedding
    P = {name: G[list(INDEX.find(name).rows)].sum(axis=0) for name in table.index}
    nearest = {
        name: min(
            np.sqrt(np.sum((P[name] - P[other]) ** 2))
            for other in known.perturbations
            if other != name
        )
        for name in table.index
    }
    typical = np.median([nearest[name] for name in known.perturbations])
    for name in table.index:
        expected = 0 if name in known.perturbations else nearest[name] / typical
        assert table.loc[name, "distance_to_training"] == pytest.approx(expected, abs=1e-12)


def test_without_a_bilinear_part_there_are_no_distances(known):
    mean = fit_predictor("linear", known, {"dimensions": 0, "mean_weight": 1.0})
    table, _ = screened(mean, known)
    assert table["distance_to_training"].isna().all()
    assert set(table["basis"]) == {"mean"}


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_bounds_are_quantiles_of_how_far_left_out_sizes_were_off(predictor, known, level):
    table = by_target(screened(predictor, known, level=level)[0])
    predicted, observed, embedded = predictor.inner.left_out.sizes
    assert embedded.all()
    errors = sorted(observed - predicted)
    low, high = np.quantile(errors, [(1 - level) / 2, (1 + level) / 2])
    np.testing.assert_allclose(table["lower"], np.maximum(0, table["effect_size"] + low))
    np.testing.assert_allclose(table["upper"], table["effect_size"] + high)
    assert (table["lower"] <= table["upper"]).all()


def test_with_too_few_residuals_there_are_no_bounds():
    few = bilinear_screen(40, 8, 1)
    table, _ = screened(fit_predictor("linear", few, FIXED), few)
    assert table[["lower", "upper"]].isna().all(axis=None)
    assert np.isfinite(table["effect_size"]).all()


def test_bounds_hold_the_size_of_true_effects_about_as_often_as_they_say():
    hits = []
    for seed in range(6):
        everything = bilinear_screen(90, 90, seed, noise=0.1)
        seen = part_of(everything, list(range(40)))
        fitted = fit_predictor("linear", seen, {**FIXED, "mean_weight": 0.0})
        index = TargetIndex([f"G{k}" for k in range(90)])
        table = by_target(screened(fitted, seen, index=index, level=0.8)[0])
        for column in range(40, 90):
            row = table.loc[f"G{column}"]
            size = np.linalg.norm(np.delete(everything.effects[:, column], column))
            hits.append(row["lower"] <= size <= row["upper"])
    assert 0.7 <= np.mean(hits) <= 0.9


def test_the_largest_changes_are_named_with_their_signs_and_without_the_target(predictor, known):
    table = by_target(screened(predictor, known)[0])
    effect = off_target(predictor.predict("G30", INDEX.find("G30")).effect, "G30")
    order = sorted(range(40), key=lambda row: -abs(effect[row]))[:10]
    expected = [f"G{row} {effect[row]:+.3f}" for row in order]
    assert table.loc["G30", "top_genes"].split(", ") == expected
    assert not any("G30 " in word for word in expected)


def test_genes_without_any_change_are_not_named(known):
    nothing = fit_predictor("linear", known, {"dimensions": 0, "mean_weight": 0.0})
    assert set(screened(nothing, known)[0]["top_genes"]) == {""}


def test_names_that_are_asked_for_are_predicted_in_any_order_and_spelling(predictor, known):
    names = ["G30", "G3", "G12+G30", "G39"]
    table, _ = screened(predictor, known, names)
    turned, _ = screened(predictor, known, ["G39", "G30+G12", "G3", "G30"])
    pd.testing.assert_frame_equal(table, turned)
    assert set(table["target"]) == set(names)
    double = by_target(table).loc["G12+G30"]
    effect = predictor.predict("G12+G30", INDEX.find("G12+G30")).effect
    assert double["effect_size"] == pytest.approx(np.linalg.norm(np.delete(effect, [12, 30])))
    whole = by_target(screened(predictor, known)[0])
    for name in ("G30", "G3", "G39"):
        pd.testing.assert_series_equal(by_target(table).loc[name], whole.loc[name])


def test_a_name_that_is_asked_for_twice_is_predicted_once(predictor, known):
    table, _ = screened(predictor, known, ["G30", "G3", "G30", "G4+G3", "G3+G4"])
    assert sorted(table["target"]) == ["G3", "G3+G4", "G30"]


@pytest.mark.parametrize(
    ("asked", "missing", "hint"),
    [("STAT", "STAT", "STAT1"), ("GATA1+G3", "GATA1", None), ("gata2", "gata2", "GATA2")],
)
def test_what_cannot_be_embedded_is_refused_with_the_nearest_spelling(
    predictor, known, asked, missing, hint
):
    symbols = ["STAT1", "GATA2", *GENES[2:]]
    index = TargetIndex(GENES, symbols)
    with pytest.raises(InputError) as error:
        screened(predictor, known, ["G5", asked], symbols, index)
    message = str(error.value)
    assert f"screen.targets: {'+'.join(sorted(asked.split('+')))}" in message
    assert f"found target not measured: {missing}" in message
    if hint:
        assert message.endswith(f"did you mean '{hint}'?")


def test_genes_go_by_their_symbols_unless_another_gene_has_the_same(predictor, known):
    symbols = ["A", "A", "B", "G1", *(f"S{k}" for k in range(4, 40))]
    index = TargetIndex(GENES, symbols)
    names = targets_to_predict(["all"], index, symbols, predictor.inner)
    # A is two genes; G1 is the identifier of another gene than the one with that symbol.
    assert names == sorted(["G0", "G1", "B", "G3", *(f"S{k}" for k in range(4, 40))])
    table, left_out = screened(predictor, known, symbols=symbols, index=index)
    assert (len(table), left_out) == (40, 0)
    assert "S30 " in " ".join(table["top_genes"])


def test_what_is_in_training_is_known_under_either_of_its_names(predictor, known):
    symbols = [f"S{k}" for k in range(40)]
    table, _ = screened(predictor, known, symbols=symbols, index=TargetIndex(GENES, symbols))
    expected = {f"S{name[1:]}" for name in known.perturbations}
    assert set(table.loc[table["in_training"], "target"]) == expected


def test_a_table_of_perturbations_adds_its_names_and_genes_without_a_row_are_counted(known):
    rng = np.random.default_rng(1)
    table = {name: rng.normal(size=2) for name in [*GENES[:30], "X1", "G3+G4"]}
    embedding = PerturbationEmbedding("file", table)
    fitted = fit_predictor("linear", known, FIXED, None, embedding)
    found, left_out = screened(fitted, known)
    assert set(found["target"]) == set(table)
    assert left_out == 10
    row = by_target(found).loc["X1"]
    effect = fitted.predict("X1", INDEX.find("X1")).effect
    assert row["effect_size"] == pytest.approx(np.linalg.norm(effect))
    with pytest.raises(InputError, match=r"G35: found not in the perturbation embedding: G35"):
        screened(fitted, known, ["G35"])


def test_predictions_are_specific_where_the_bilinear_part_is_on(predictor, known):
    assert is_specific(predictor)
    assert is_specific(fit_predictor("additive", known, {}))
    assert not is_specific(fit_predictor("linear", known, {"dimensions": 0, "mean_weight": 1.0}))


def test_only_linear_models_can_screen(known):
    with pytest.raises(TypeError, match="only linear models"):
        screened(fit_predictor("additive", known, {}), known)


def test_the_published_model_screens_what_it_can_embed(known):
    settings = {"gene_embedding": "pca_expression", "solver": "ridge", "penalty": 0.1}
    fitted = fit_predictor("linear", known, {**settings, "published": True, "dimensions": 3})
    table, left_out = screened(fitted, known)
    assert (len(table), left_out) == (40, 0)
    assert np.isfinite(table["effect_size"]).all()


@pytest.mark.parametrize("published", [False, True])
def test_where_no_training_perturbation_can_be_embedded_the_screen_still_answers(published):
    unknown = bilinear_screen(40, 12, 1)
    unmeasured = TargetIndex([f"H{k}" for k in range(40)])
    unknown = part_of(unknown, list(range(12)))
    unknown.targets[:] = [unmeasured.find(name) for name in unknown.perturbations]
    fitted = fit_predictor("linear", unknown, {"published": published, "penalty": 0.1})
    table, left_out = screened(fitted, unknown)
    assert len(table) + left_out == 40
    assert table["distance_to_training"].isna().all()


def test_the_same_screen_gives_the_same_bytes(known):
    tables = [
        screened(fit_predictor("linear", known, {"on_target": True}), known)[0].to_csv()
        for _ in range(2)
    ]
    assert tables[0] == tables[1]
