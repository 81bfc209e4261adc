"""Settings as the report lists them."""

from __future__ import annotations

from lgem.config import load
from lgem.settings import described_settings, spelled

RAW = {
    "dataset": "a",
    "seed": 4,
    "datasets": {"a": {"simulate": {"genes": 30}}, "b": {"simulate": {}}},
    "models": [{"name": "mine", "solver": "pinv"}],
    "evaluation": {"top_genes": 50},
}


def groups():
    return {group["title"]: group for group in described_settings(load(RAW), "a")}


def rows(title):
    return {row["key"]: row for row in groups()[title]["rows"]}


def test_every_setting_of_the_dataset_stands_in_a_group_and_no_other_dataset():
    assert list(groups()) == [
        *("datasets.a", "models: mine", "pseudobulk", "splits", "evaluation", "screen"),
        *("mixed_forms", "network", "everything"),
    ]
    assert groups()["splits"]["about"] == "Which perturbations are held out together."


def test_what_is_not_the_default_is_marked():
    assert rows("evaluation")["top_genes"] == {
        "key": "top_genes",
        "value": "50",
        "meaning": "genes scored: the most expressed in control",
        "chosen": True,
    }
    assert not rows("evaluation")["bootstrap"]["chosen"]
    assert rows("models: mine")["solver"]["chosen"]
    assert rows("everything")["seed"]["value"] == "4"


def test_keys_of_sections_within_sections_have_their_path():
    simulated = rows("datasets.a")
    assert (simulated["simulate.genes"]["value"], simulated["simulate.genes"]["chosen"]) == (
        "30",
        True,
    )
    assert not simulated["simulate.batches"]["chosen"]


def test_the_merged_config_is_described_alike():
    merged = load(load(RAW).of("a"))
    assert described_settings(merged, "a") == described_settings(load(RAW), "a")


def test_values_are_spelled_as_in_a_config():
    assert [spelled(value) for value in ("a: b", True, None, ["x", "é"], 0.1)] == [
        *("a: b", "true", "null", '["x", "é"]', "0.1")
    ]
