"""What config says of models: values out of place, and keys that do not go together."""

import pytest
from config_cases import MINIMAL, changed, full_dump, problems

from lgem.config import TAKEN, load
from lgem.layout import Layout
from lgem.prediction.codes import FormSettings


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            ("models", 1, "preset"),
            "papr",
            "models[1].preset: found 'papr'; expected 'paper'; did you mean 'paper'?",
        ),
        (
            ("models", 1, "gene_embedding"),
            5,
            "models[1].gene_embedding: found 5; expected a text",
        ),
        (
            ("models", 1, "on_target"),
            "yes",
            "models[1].on_target: found 'yes'; expected true or false",
        ),
        (
            ("models", 1, "mean_weight"),
            1.5,
            "models[1].mean_weight: found 1.5; expected a number less than or equal to 1 or 'auto'",
        ),
        (
            ("models", 1, "mean_weight"),
            -0.1,
            "models[1].mean_weight: found -0.1; expected a number greater than or equal to 0 or "
            "'auto'",
        ),
        (
            ("models", 1, "penalty"),
            -1,
            "models[1].penalty: found -1; expected a number greater than or equal to 0 or 'auto'",
        ),
        (
            ("models", 1, "dimensions"),
            -1,
            "models[1].dimensions: found -1; expected a number greater than or equal to 0 or "
            "'auto'",
        ),
        (
            ("models", 1, "dimensions"),
            2.5,
            "models[1].dimensions: found 2.5; expected a whole number or 'auto'",
        ),
    ],
)
def test_a_value_out_of_place_is_told_with_what_was_expected(path, value, expected):
    assert problems(changed(full_dump(), path, value)) == [expected]


@pytest.mark.parametrize("name", TAKEN)
def test_no_model_takes_the_name_of_a_baseline_or_control(name):
    [line] = problems({**MINIMAL, "models": [{"name": name}]})
    assert line == (
        f"models[0].name: found '{name}'; expected a name that no baseline or control has "
        f"({', '.join(TAKEN)})"
    )


def test_the_names_that_are_taken_are_those_that_results_use():
    assert set(TAKEN) == {
        *("no_change", "mean", "additive", "no_change_on_target", "mean_on_target"),
        *("additive_on_target", "same_effect", "lgem_random_P", "lgem_random_G"),
        "technical_duplicate",
    }


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        *(
            (
                {"solver": solver, "penalty": 0.1},
                [f"penalty: found 0.1; expected no penalty with solver {solver}, which has none"],
            )
            for solver in ("pinv", "kronecker", "gradient")
        ),
        *(
            (
                {"gene_embedding": "identity", **given},
                [
                    f"perturbation_embedding: found {found}; expected pca, random, a dataset or a "
                    "table beside gene_embedding identity, whose rows have nothing in common"
                ],
            )
            for given, found in (
                ({}, "nothing"),
                ({"perturbation_embedding": "target"}, "'target'"),
            )
        ),
        (
            {"preset": "paper", "penalty": 1.0},
            ["penalty: found 1.0; expected 0.1 under preset paper; or drop the preset"],
        ),
        (
            {"preset": "paper", "solver": "pinv"},
            ["solver: found 'pinv'; expected ridge under preset paper; or drop the preset"],
        ),
        (
            {"preset": "paper", "gene_embedding": "pca", "perturbation_embedding": "random"},
            [
                "gene_embedding: found 'pca'; expected pca_expression under preset paper; or drop "
                "the preset",
                "perturbation_embedding: found 'random'; expected target under preset paper; or "
                "drop the preset",
            ],
        ),
        (
            {"preset": "paper", "mean_weight": 0.5},
            ["mean_weight: found 0.5; expected 1.0 under preset paper; or drop the preset"],
        ),
    ],
)
def test_keys_of_a_model_that_do_not_go_together(model, expected):
    lines = problems({**MINIMAL, "models": [{"name": "m", **model}]})
    assert lines == [f"models[0].{line}" for line in expected]


def test_an_automatic_penalty_suits_every_solver_and_identity_what_is_no_row_of_it():
    models = [
        {"name": solver, "solver": solver, "penalty": "auto"}
        for solver in ("tikhonov", "ridge", "pinv", "kronecker", "gradient")
    ]
    identity = {"name": "identity", "gene_embedding": "identity"}
    models.append({**identity, "perturbation_embedding": "pca"})
    assert len(load({**MINIMAL, "models": models}).models) == 6


# Mixed forms


def test_embeddings_of_samples_are_words_of_the_config_and_no_files():
    models = [{"name": word, "gene_embedding": word} for word in ("lmf", "pca_unadjusted")]
    layout = Layout(load({**MINIMAL, "models": models, "mixed_forms": {"codes": "constrained"}}))
    for word in ("lmf", "pca_unadjusted"):
        assert layout.model(word)["settings"]["gene_embedding"] == word
        assert layout.embedding_files(word) == {}
    settings = layout.model("lmf")["settings"]["mixed_forms"]
    assert FormSettings(**settings).codes == "constrained"
    assert "mixed_forms" not in layout.model("pca_unadjusted")["settings"]


def test_mixed_forms_default_to_what_the_core_does():
    section = load(MINIMAL).mixed_forms
    assert FormSettings(**section.model_dump(exclude={"starts"})) == FormSettings()
    assert section.starts == 5


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("penalty", 0, "found 0; expected a number greater than 0"),
        ("penalty", -1.5, "found -1.5; expected a number greater than 0"),
        ("tolerance", 0, "found 0; expected a number greater than 0"),
        ("dimensions", 0, "found 0; expected a number greater than or equal to 1"),
        ("sweeps", 1.5, "found 1.5; expected a whole number"),
        ("starts", 0, "found 0; expected a number greater than or equal to 1"),
        ("codes", "fre", "found 'fre'; expected 'free' or 'constrained'; did you mean 'free'?"),
        (
            "schedule",
            "monoton",
            "found 'monoton'; expected 'accelerated', 'monotone' or 'cyclic'; did you mean "
            "'monotone'?",
        ),
    ],
)
def test_a_value_of_mixed_forms_out_of_place_is_told(key, value, expected):
    raw = changed(full_dump(), ("mixed_forms", key), value)
    assert problems(raw) == [f"mixed_forms.{key}: {expected}"]


def test_a_key_that_mixed_forms_do_not_have_is_told_with_the_nearest():
    [line] = problems({**MINIMAL, "mixed_forms": {"penlty": 0.1}})
    assert line.startswith("mixed_forms.penlty: ")
    assert line.endswith("did you mean 'penalty'?")


def test_what_a_fit_of_mixed_forms_depends_on_is_not_the_number_of_starts():
    layouts = [Layout(load({**MINIMAL, "mixed_forms": given})) for given in ({}, {"starts": 2})]
    assert layouts[0].form_settings == layouts[1].form_settings
    other = Layout(load({**MINIMAL, "mixed_forms": {"penalty": 0.1}}))
    assert other.form_settings != layouts[0].form_settings
