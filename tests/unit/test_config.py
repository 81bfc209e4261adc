"""The config: complete defaults, and a merged config that repeats the run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from config_cases import MINIMAL, WHOLE, changed, mine, problems

from lgem import config as module
from lgem.config import load
from lgem.explain import Section

ROOT = Path(__file__).resolve().parents[2]


# Defaults


def test_every_key_has_a_default_but_those_that_no_one_could_guess():
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type)]
    required = {
        f"{kind.__name__}.{key}"
        for kind in kinds
        if issubclass(kind, Section)
        for key, field in kind.model_fields.items()
        if field.is_required()
    }
    assert required == {"Config.dataset", "Config.datasets", "Model.name"}


def test_defaults_satisfy_their_own_checks():
    written_out = load(MINIMAL).model_dump()
    assert load(written_out) == load(MINIMAL)


def test_the_config_of_the_project_loads():
    # Users edit it: nothing is said of its datasets.
    raw = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
    assert set(load(raw).dataset) <= set(raw["datasets"])


def test_the_config_as_committed_has_the_demo_that_make_runs():
    show = ["git", "-C", str(ROOT), "show", "HEAD:./config.yaml"]
    git = shutil.which("git")
    done = subprocess.run(show, capture_output=True, text=True, check=False) if git else None
    committed = done is not None and done.returncode == 0
    text = done.stdout if committed else (ROOT / "config.yaml").read_text("utf-8")
    config = load({**yaml.safe_load(text), "dataset": "demo"})
    assert config.datasets["demo"].simulate is not None


def test_the_schema_file_is_what_the_module_prints():
    command = [sys.executable, "-m", "lgem.config"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    schema = ROOT / "workflow" / "schemas" / "config.schema.json"
    assert schema.read_text("utf-8") == printed


def test_a_simulated_screen_knows_its_own_columns():
    demo = load(MINIMAL).datasets["demo"]
    assert (demo.perturbation, demo.control, demo.batch, demo.guide) == (
        "perturbation", ["non-targeting"], ["batch"], "guide",
    )  # fmt: skip
    other = load(changed(MINIMAL, ("datasets", "demo", "batch"), None)).datasets["demo"]
    assert other.batch is None


def test_one_label_may_stand_for_a_list_of_one():
    one, many = load(mine(control="NT", batch="lane")), load(mine(control=["NT"], batch=["lane"]))
    assert one == many


def test_the_default_models_are_ours_and_the_published_one():
    ours, paper = load(MINIMAL).models
    assert (ours.name, paper.name) == ("lgem", "paper")
    chosen_inside = (ours.dimensions, ours.penalty, ours.mean_weight)
    assert chosen_inside == ("auto", "auto", "auto")
    assert (ours.solver, ours.gene_embedding, ours.perturbation_embedding, ours.on_target) == (
        "tikhonov", "pca", "target", True,
    )  # fmt: skip
    assert (paper.solver, paper.gene_embedding, paper.perturbation_embedding, paper.on_target) == (
        "ridge", "pca_expression", "target", False,
    )  # fmt: skip
    assert (paper.dimensions, paper.penalty, paper.mean_weight) == ("auto", 0.1, 1.0)


def test_the_published_model_leaves_dimensions_and_the_on_target_term_open():
    asked = {"name": "paper", "preset": "paper", "dimensions": 4, "on_target": True}
    [model] = load({**MINIMAL, "models": [asked]}).models
    assert (model.dimensions, model.on_target, model.solver) == (4, True, "ridge")


def test_the_context_is_adjusted_for_like_a_covariate():
    alone = load(mine(context="line")).datasets["mine"]
    assert alone.covariates == ["line"]
    assert load(mine(context="line", covariates="line")).datasets["mine"] == alone
    beside = load(mine(context="line", covariates="sex")).datasets["mine"]
    assert beside.covariates == ["sex", "line"]
    assert load(mine(covariates="line")).datasets["mine"].context is None


def test_one_context_or_target_may_stand_for_a_list_of_one():
    raw = {**mine(context="line"), "splits": {"scheme": "context", "contexts": "K562"}}
    assert load({**raw, "screen": {"targets": "A+B"}}) == load(
        changed({**raw, "screen": {"targets": ["A+B"]}}, ("splits", "contexts"), ["K562"])
    )
    assert load(MINIMAL).screen.targets == ["all"]


def test_simulated_batches_are_even_unless_asked_for():
    assert load(MINIMAL).datasets["demo"].simulate.batch_imbalance == 0
    place = ("datasets", "demo", "simulate")
    asked = load(changed(MINIMAL, place, {"batch_imbalance": 2})).datasets["demo"]
    assert asked.simulate.batch_imbalance == 2
    assert problems(changed(MINIMAL, place, {"batch_imbalance": -0.5})) == [
        "datasets.demo.simulate.batch_imbalance: found -0.5; expected a number greater than or "
        "equal to 0"
    ]


# The merged config


@pytest.mark.parametrize("name", ["demo", "mine", "bulk"])
def test_the_merged_config_repeats_the_run(name):
    config = load(WHOLE)
    merged = yaml.safe_load(yaml.safe_dump(config.of(name)))
    again = load(merged)
    assert merged["dataset"] == [name]
    assert set(merged["datasets"]) == {name}
    assert again.datasets[name] == config.datasets[name]
    assert again.of(name) == config.of(name)


def test_the_merged_config_covers_what_a_dataset_depends_on_and_nothing_else():
    merged = load(WHOLE).of("mine")
    for path, value in [
        (("seed",), 2),
        (("datasets", "mine", "batch"), "lane"),
        (("pseudobulk",), {"min_cells": 11}),
        (("models", 1, "dimensions"), 8),
        (("models", 1, "penalty"), 0.1),
        (("splits",), {"scheme": "leave_one_out"}),
        (("screen",), {"targets": "GENE1"}),
        (("network",), {"panel": 499}),
        (("mixed_forms",), {"penalty": 0.02}),
        (("mixed_forms",), {"starts": 4}),
    ]:
        assert load(changed(WHOLE, path, value)).of("mine") != merged, path
    for path, value in [
        (("dataset",), "mine"),
        (("datasets", "demo", "simulate"), {"genes": 50}),
        (("pseudobulk",), {"min_cells": 10}),
        (("models", 1, "penalty"), "auto"),
        (("models", 1, "perturbation_embedding"), "target"),
        (("mixed_forms",), {"codes": "constrained", "dimensions": 10}),
    ]:
        assert load(changed(WHOLE, path, value)).of("mine") == merged, path


def test_the_merged_config_of_a_transfer_keeps_the_dataset_that_it_learns_from():
    models = [{"name": "m", "perturbation_embedding": "demo"}]
    config = load({**WHOLE, "dataset": "mine", "models": models})
    merged = config.of("mine")
    assert merged["dataset"] == ["mine"]
    assert set(merged["datasets"]) == {"mine", "demo"}
    assert load(merged).of("mine") == merged
    other = load(changed({**WHOLE, "models": models}, ("datasets", "demo", "batch"), None))
    assert other.of("mine") != merged


def test_a_config_does_not_change_once_loaded():
    config = load(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3
