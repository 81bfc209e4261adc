"""The problems of a config: each with path, found and expected, and all of them at once."""

import pytest
from config_cases import (
    CELLS,
    MINIMAL,
    PROFILES,
    WHOLE,
    changed,
    full_dump,
    leaves,
    mine,
    problems,
    sections,
    spelled,
)

from lgem.config import load

# Nothing is converted


def numbers():
    return [
        (path, value)
        for path, value in leaves(full_dump())
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]


@pytest.mark.parametrize(("path", "value"), numbers(), ids=lambda part: str(part))
def test_no_number_is_read_from_a_text_or_a_truth_value(path, value):
    for wrong in (str(value), True, [value], None):
        lines = problems(changed(full_dump(), path, wrong))
        assert [line.split(":")[0] for line in lines] == [spelled(path)]
    if isinstance(value, int):
        assert problems(changed(full_dump(), path, float(value)))


def test_a_whole_number_may_stand_for_a_decimal_one():
    assert load({**MINIMAL, "pseudobulk": {"target_sum": 1000}}).pseudobulk.target_sum == 1000.0


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            {**MINIMAL, "seed": "10"},
            "seed: found '10'; expected a whole number, not a text",
        ),
        (
            {**MINIMAL, "pseudobulk": {"target_sum": "1e4"}},
            "pseudobulk.target_sum: found '1e4'; expected a number, not a text",
        ),
        (
            {**MINIMAL, "pseudobulk": {"adjust_batch": "yes"}},
            "pseudobulk.adjust_batch: found 'yes'; expected 'auto' or true or false",
        ),
        (
            mine(keep={"Evolved Sample": False}),
            "datasets.mine.keep.Evolved Sample: found false; expected a text or a list of texts "
            "(in quotes: YAML takes yes, no, on and off for true and false)",
        ),
        (
            mine(control=[1]),
            "datasets.mine.control[0]: found 1; expected a text",
        ),
    ],
)
def test_what_would_have_to_be_converted_is_told(raw, expected):
    assert problems(raw) == [expected]


# Unknown keys


@pytest.mark.parametrize("section", sections(), ids=spelled)
def test_an_unknown_key_is_told_at_every_level_with_the_keys_there_are(section):
    [line] = problems(changed(full_dump(), (*section, "zzz"), 1))
    assert line.startswith(f"{spelled((*section, 'zzz'))}: found an unknown key; expected one of: ")
    assert "did you mean" not in line
    part = full_dump()
    for step in section:
        part = part[step]
    assert line.partition("one of: ")[2].split(", ") == list(part)


@pytest.mark.parametrize(
    ("section", "typo", "meant"),
    [
        ((), "sed", "seed"),
        (("datasets", "demo", "simulate"), "gene", "genes"),
        (("datasets", "mine"), "Batch", "batch"),
        (("pseudobulk",), "mincells", "min_cells"),
        (("splits",), "fold", "folds"),
        (("models", 1), "dimension", "dimensions"),
        (("splits",), "context", "contexts"),
        (("models", 1), "meanweight", "mean_weight"),
        (("models", 1), "gene_embeding", "gene_embedding"),
        (("datasets", "mine"), "contxt", "context"),
        (("evaluation",), "bootstraps", "bootstrap"),
        (("screen",), "target", "targets"),
        (("network",), "treshold", "threshold"),
    ],
)
def test_a_mistyped_key_is_told_with_its_nearest_spelling(section, typo, meant):
    [line] = problems(changed(full_dump(), (*section, typo), 1))
    assert line.endswith(f"; did you mean '{meant}'?")


def test_a_mistyped_key_is_one_problem_and_hides_no_other():
    raw = {"dataset": "m", "datasets": {"m": {"path": "a.csv", "pertubation": "g", "contrl": "c"}}}
    lines = problems(raw)
    assert len(lines) == 2
    assert lines[0].endswith("did you mean 'perturbation'?")
    assert lines[1].endswith("did you mean 'control'?")


# Ranges, choices, keys that are missing


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("seed",), -1, "seed: found -1; expected a number greater than or equal to 0"),
        (("seed",), 2**32, f"seed: found {2**32}; expected a number less than {2**32}"),
        (
            ("network", "threshold"),
            1.0,
            "network.threshold: found 1.0; expected a number less than 1",
        ),
        (
            ("pseudobulk", "target_sum"),
            float("inf"),
            "pseudobulk.target_sum: found inf; expected a finite number",
        ),
        (
            ("models", 1, "solver"),
            "rige",
            "models[1].solver: found 'rige'; expected 'tikhonov', 'ridge', 'pinv', 'kronecker' or "
            "'gradient'; did you mean 'ridge'?",
        ),
        (
            ("splits", "scheme"),
            "contxt",
            "splits.scheme: found 'contxt'; expected 'kfold', 'leave_one_out', 'doubles', "
            "'context' or 'file'; did you mean 'context'?",
        ),
        (
            ("screen", "targets"),
            5,
            "screen.targets: found 5; expected a text or a list of texts",
        ),
        (
            ("screen", "targets"),
            [],
            "screen.targets: found []; expected at least one entry",
        ),
        (
            ("screen", "targets"),
            ["GENE1", 2],
            "screen.targets[1]: found 2; expected a text",
        ),
        (
            ("datasets", "mine", "context"),
            ["line"],
            "datasets.mine.context: found ['line']; expected a text",
        ),
        (
            ("models", 1, "dimensions"),
            "atuo",
            "models[1].dimensions: found 'atuo'; expected a whole number or 'auto'; "
            "did you mean 'auto'?",
        ),
        (("models",), [], "models: found []; expected at least one entry"),
        (("models", 0), {}, "models[0].name: found nothing; expected a value"),
        (("models", 0), None, "models[0]: found nothing; expected keys with values"),
        (("evaluation",), None, "evaluation: found nothing; expected keys with values"),
        (("splits",), "kfold", "splits: found 'kfold'; expected keys with values"),
        (("network", "updates"), "responses", "network.updates: found 'responses'; "
            "expected a list"),
        (
            ("datasets", "mine", "combination_separator"),
            "",
            "datasets.mine.combination_separator: found ''; expected at least one character",
        ),
        (
            ("datasets", "mine", "perturbation_pattern"),
            "del_(",
            "datasets.mine.perturbation_pattern: found 'del_('; expected a regular expression "
            "(missing ), unterminated subpattern at position 4)",
        ),
        (
            ("dataset",),
            "mnie",
            "dataset: found 'mnie'; expected one of: demo, mine, bulk; did you mean 'mine'?",
        ),
        (("dataset",), 5, "dataset: found 5; expected a text or a list of texts"),
    ],
)  # fmt: skip
def test_a_value_out_of_place_is_told_with_what_was_expected(path, value, expected):
    assert problems(changed(full_dump(), path, value)) == [expected]


def test_every_unknown_dataset_of_a_list_is_told():
    lines = problems({**WHOLE, "dataset": ["demo", "nope", "bulc"]})
    assert [line.split(";")[0] for line in lines] == [
        "dataset: found 'nope'",
        "dataset: found 'bulc'",
    ]
    assert load({**WHOLE, "dataset": ["bulk", "demo"]}).dataset == ["bulk", "demo"]


def test_a_config_of_nothing_misses_what_is_required():
    assert problems({}) == [
        "dataset: found nothing; expected a value",
        "datasets: found nothing; expected a value",
    ]


def test_names_become_paths_and_hold_no_separator():
    raw = {"dataset": "a/b", "datasets": {"a/b": {"simulate": {}}, 7: {"simulate": {}}}}
    lines = problems(raw)
    assert lines[0].startswith("datasets.a/b: found 'a/b'; expected a text of the form")
    assert lines[1] == "datasets.7: found 7; expected a text"


# Keys that do not go together


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, ": found an empty section; expected exactly one of simulate, path and url"),
        (
            {"simulate": {}, "path": "a.h5ad"},
            ": found keys simulate, path; expected exactly one of simulate, path and url",
        ),
        (
            {"simulate": {}, "pypi": "a==1"},
            ".pypi: found 'a==1'; expected no pypi beside simulate",
        ),
        (
            {**CELLS, "path": None, "url": "https://a/b.h5ad", "pypi": "a==1"},
            ".url: found 'https://a/b.h5ad'; expected no url beside pypi",
        ),
        (
            {"simulate": {}, "url": "https://a/b.h5ad"},
            ".url: found 'https://a/b.h5ad'; expected no url beside simulate",
        ),
        (
            {**CELLS, "path": None, "url": "https://a/datafile/123"},
            ".path: found nothing; expected the file inside of the archive, or a name for what is "
            "no archive, beside a url that does not end in .h5ad, .h5, .csv",
        ),
        (
            {**PROFILES, "path": None, "url": "https://a/b.h5ad.zip"},
            ".path: found nothing; expected the file inside of the archive, or a name for what is "
            "no archive, beside a url that does not end in .h5ad, .csv, .tsv",
        ),
        (
            {**CELLS, "path": "screen.zarr", "url": "https://a/b.zip"},
            ".path: found 'screen.zarr'; expected a single file beside url: a path that ends in ",
        ),
        (
            {**CELLS, "path": "../b.h5ad", "url": "https://a/b.h5ad"},
            ".path: found '../b.h5ad'; expected a name inside of the download: no / at its start",
        ),
        (
            {**CELLS, "path": None, "url": "ftp://a/b.h5ad"},
            ".url: found 'ftp://a/b.h5ad'; expected a text of the form",
        ),
        ({"simulate": {}, "kind": "profiles"}, ".kind: found 'profiles'; expected cells, for a "),
        (
            {**CELLS, "sha256": "a" * 64},
            f".sha256: found '{'a' * 64}'; expected no checksum where there is no pypi ",
        ),
        (
            {"path": "a.h5ad", "perturbation": "gene"},
            ".control: found nothing; expected the label of the unperturbed cells",
        ),
        (
            {**PROFILES, "control": "NT"},
            ".perturbation: found nothing; expected the column of the labels, beside control",
        ),
        ({"path": "a.h5ad"}, ".perturbation: found nothing; expected the column of"),
        (
            {**CELLS, "gene_metadata": "m.tsv"},
            ".gene_metadata: found 'm.tsv'; expected no gene_metadata for kind cells",
        ),
        (
            {**CELLS, "guide_targets": "t.tsv"},
            ".guide: found nothing; expected the column with the guides, beside guide_targets",
        ),
        (
            {**PROFILES, "guide_calls": "c.tsv"},
            ".guide_calls: found 'c.tsv'; expected no guide_calls for profiles",
        ),
        ({**CELLS, "orientation": "genes_by_samples"}, ".orientation: found 'genes_by_samples'; "),
        ({**PROFILES, "duplicates": "sum"}, ".duplicates: found 'sum'; expected error or"),
        ({**PROFILES, "size_factor": "n"}, ".size_factor: found 'n'; expected no size_factor for"),
        ({**CELLS, "covariates": ["sex", "batch"]}, ".covariates: found ['sex', 'batch']; "),
        ({**CELLS, "covariates": ["asked"]}, ".covariates: found ['asked']; expected no column "),
        (
            {**CELLS, "covariates": ["sex", "day", "sex"]},
            ".covariates: found ['sex', 'day', 'sex']; expected every column once",
        ),
        (
            {**CELLS, "context": "shard"},
            ".context: found 'shard'; expected no column called shard, which results use: rename",
        ),
        (
            {**CELLS, "context": "lane", "batch": "lane"},
            ".context: found 'lane'; expected another column than those of batch",
        ),
        (
            {**CELLS, "context": "lane", "batch": ["day", "lane"]},
            ".context: found 'lane'; expected another column than those of batch",
        ),
        (
            {"simulate": {}, "context": "batch"},
            ".context: found 'batch'; expected no column called batch, which results use: rename",
        ),
    ],
)  # fmt: skip
def test_keys_of_a_dataset_that_do_not_go_together(entry, expected):
    [line] = problems({"dataset": "d", "datasets": {"d": entry}})
    assert line.startswith(f"datasets.d{expected}")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"splits": {"scheme": "file"}}, "splits.file: found nothing; expected a file with scheme"),
        ({"splits": {"file": "a.tsv"}}, "splits.file: found 'a.tsv'; expected a file with scheme"),
        (
            {"splits": {"contexts": ["K562"]}},
            "splits.contexts: found ['K562']; expected no contexts but with scheme context",
        ),
        (
            {"splits": {"scheme": "context"}},
            "datasets.demo.context: found nothing; expected a column, for scheme context",
        ),
        (
            {"models": [{"name": "m"}, {"name": "m"}]},
            "models: found a list of 2; expected a name of its own for every model, not m twice",
        ),
    ],
)
def test_keys_of_other_sections_that_do_not_go_together(raw, expected):
    [line] = problems({**MINIMAL, **raw})
    assert line.startswith(expected)


def test_scheme_context_asks_every_dataset_that_runs_for_its_context():
    entries = {"one": CELLS, "two": {**CELLS, "context": "line"}, "three": CELLS}
    raw = {"dataset": ["one", "two"], "datasets": entries, "splits": {"scheme": "context"}}
    assert problems(raw) == [
        "datasets.one.context: found nothing; expected a column, for scheme context"
    ]


def test_every_problem_of_a_config_is_told_at_once():
    raw = {
        "dataset": ["demo", "nowhere"],
        "seed": "one",
        "datasets": {
            "demo": {"simulate": {"genes": 1, "modul": 3}},
            "mine": {"path": "a.h5ad", "perturbation": "gene", "kind": "cell", "layers": "counts"},
        },
        "pseudobulk": {"min_cells": 0, "adjust_batch": "maybe"},
        "splits": {"scheme": "file", "folds": 1},
        "models": [{"name": "a"}, {"name": "a", "penalty": -1.0}],
        "evaluation": {"interval": 90},
        "network": {"panel": 1, "updates": ["response"]},
        "figures": True,
    }
    assert {line.split(": found")[0] for line in problems(raw)} == {
        "dataset", "seed", "datasets.demo.simulate.genes", "datasets.demo.simulate.modul",
        "datasets.mine.kind", "datasets.mine.layers", "datasets.mine.control",
        "pseudobulk.min_cells", "pseudobulk.adjust_batch", "splits.folds", "splits.file",
        "models[1].penalty", "models", "evaluation.interval", "network.panel",
        "network.updates[0]", "figures",
    }  # fmt: skip
