"""The whole chain, run for real: what it leaves behind, and that it always leaves the same."""

from __future__ import annotations

import json
import re
import shutil

import anndata
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from scipy import sparse

from lgem.config import BASELINES, CONTROLS, load
from lgem.layout import Layout
from lgem.prediction.training import ANSWERED
from lgem.screen.labels import LabelRules
from tests.workflow.promised import COLUMNS, FIGURES, FITTED, KINDS, RESULTS
from tests.workflow.running import (
    ROOT,
    SHORT,
    TINY,
    copy_repository,
    differing,
    files,
    succeed,
    write_config,
)

pytestmark = pytest.mark.workflow

BYTES_REPEAT = {
    *(".tsv", ".json", ".txt", ".yaml", ".h5ad", ".npz", ".parquet", ".graphml", ".html"),
}


@pytest.fixture(scope="module")
def results(whole_run):
    return whole_run.folder / "results" / "tiny"


def test_every_promised_file_is_there_and_whole(whole_run, results):
    config = yaml.safe_load((results / "config.yaml").read_text("utf-8"))
    layout = Layout(load(config))
    folds = [f"repeat1_fold{fold}" for fold in range(1, 6)]
    assert set(layout.figures("tiny")) == FIGURES
    promised = {
        *RESULTS,
        *layout.results("tiny"),
        *(f"figures/{name}.{kind}" for name in layout.figures("tiny") for kind in KINDS),
        *(f"predictions/{model}.h5ad" for model in layout.models),
        *(f"models/{m}/{fold}.{kind}" for m in layout.models for fold in folds for kind in FITTED),
        *(f"models/{model}/systems.json" for model in layout.models),
    }
    found = files(results)
    assert promised <= found.keys()
    assert [name for name, content in found.items() if not content] == []
    beside = {name for name in found.keys() - promised if not name.startswith("work/")}
    assert beside <= {"network/histogram.tsv", "network/reference.json"}


def test_nothing_half_written_or_temporary_stays(whole_run):
    left = files(whole_run.folder)
    assert [name for name in left if re.search(r"(^|/)\.", name)] == []
    assert [name for name in left if re.search(r"work/sums_", name)] == []


@pytest.mark.parametrize("name", COLUMNS)
def test_tables_have_their_columns(whole_run, name):
    assert set(COLUMNS[name].split()) <= set(whole_run.table(f"tiny/{name}").columns)


def test_predictions_have_their_parts(results):
    models = {path.stem for path in (results / "predictions").glob("*.h5ad")}
    assert {"lgem", "paper", *BASELINES, *CONTROLS} == models
    for path in (results / "predictions").glob("*.h5ad"):
        data = anndata.read_h5ad(path)
        assert set(data.layers) == {"observed", "observed_se", "lower", "upper"}
        assert {"perturbation", "repeat", "fold", "status", "reason"} <= set(data.obs)
        assert (data.obs["context"] == "").all()
        combination = data.obs["perturbation"].str.contains("+", regex=False)
        assert set(data.obs.loc[~combination, "seen"]) == {""}
        assert set(data.obs.loc[combination, "seen"]) <= {"0", "1", "2"}
        made = data.obs["status"].isin(ANSWERED).to_numpy()
        assert np.isfinite(data.X[made]).all()
        assert np.isnan(data.X[~made]).all()
        assert (data.layers["observed_se"] > 0).all()


def test_every_metric_stands_in_the_table_for_every_gene_set(whole_run):
    metrics = whole_run.table("tiny/metrics.tsv")
    assert set(metrics["metric"]) == {
        *("l2", "pearson_delta", "pearson_delta_perturbed", "mse_unbiased", "retrieval"),
        "coverage",
    }
    assert {"top", "top_off_target"} <= set(metrics["gene_set"])
    assert {"technical_duplicate", "lgem", *CONTROLS} <= set(metrics["model"])


def test_a_mean_is_calibrated_between_the_mean_effect_and_a_technical_duplicate(whole_run):
    summary = whole_run.table("tiny/summary.tsv")
    l2 = summary[(summary["metric"] == "l2") & (summary["gene_set"] == "top")]
    places = l2[l2["perturbations"] == "shared"].set_index("model")["calibrated"]
    assert places["mean"] == 0
    assert places["technical_duplicate"] == 1
    told = summary["calibrated_reason"].notna()
    assert (told == summary["calibrated"].isna()).all()


def test_the_virtual_screen_ranks_every_gene_measured(whole_run):
    screen = whole_run.table("tiny/screen.tsv")
    qc = whole_run.table("tiny/qc.tsv").set_index("perturbation")
    assert screen["target"].is_unique
    assert len(screen) == TINY["genes"]
    assert screen["effect_size"].is_monotonic_decreasing
    kept = set(qc.index[qc["status"] == "kept"])
    assert set(screen.loc[screen["in_training"], "target"]) == {n for n in kept if "+" not in n}
    sizes = screen.dropna(subset=["lower"])
    assert (sizes["lower"] <= sizes["upper"]).all()


def test_edges_have_their_columns(results):
    table = pq.read_table(results / "network" / "edges.parquet")
    columns = {"gene_a", "gene_b", "before", "after", "change", "selected_by", "q_value"}
    assert columns <= set(table.column_names)
    assert table.num_rows > 100


def test_the_strongest_edges_are_the_first_hundred_of_all(whole_run, results):
    edges = pq.read_table(results / "network" / "edges.parquet").to_pandas()
    strongest = whole_run.table("tiny/network/strongest.tsv")
    pd.testing.assert_frame_equal(strongest, edges.head(100))
    size = strongest[["before", "after"]].abs().max(axis=1)
    assert size.is_monotonic_decreasing
    assert (edges[["before", "after"]].abs().max(axis=1)[100:] <= size.iloc[-1]).all()


def test_the_log_warns_of_a_network_only_where_shrinkage_is_near_one(whole_run):
    statistics = whole_run.table("tiny/network/statistics.tsv").set_index("metric")
    assert statistics.loc["shrinkage", "before"] < 0.99
    log = (whole_run.folder / "logs" / "tiny" / "network_estimate.log").read_text("utf-8")
    assert "shrinkage" in log
    assert "too few cells" not in log


def test_figures_are_pictures_with_their_numbers(whole_run, results):
    for pdf in (results / "figures").glob("*.pdf"):
        assert pdf.read_bytes().startswith(b"%PDF-")
        assert pdf.with_suffix(".png").read_bytes().startswith(b"\x89PNG\r\n")
        assert len(whole_run.table(f"tiny/figures/{pdf.stem}.tsv")) > 0


def test_every_perturbation_asked_for_stands_in_the_tables_with_a_status(whole_run):
    cells = anndata.read_h5ad(whole_run.folder / "resources" / "tiny" / "screen.h5ad").obs
    rules = LabelRules(control=("non-targeting",))
    asked = {rules.parse(label) for label in cells["perturbation"].unique()} - {"control"}
    assert len(asked) == TINY["perturbations"] + TINY["doubles"]

    qc = whole_run.table("tiny/qc.tsv").set_index("perturbation")
    assert set(qc.index) == asked
    few = cells["perturbation"].value_counts().drop("non-targeting") < 25
    assert 0 < few.sum() < len(asked) - 2
    assert set(qc.index[qc["status"] == "left_out"]) == {rules.parse(x) for x in few.index[few]}
    assert set(qc["status"]) == {"kept", "left_out"}

    metrics = whole_run.table("tiny/metrics.tsv")
    assert metrics["status"].notna().all()
    for model in ("lgem", "paper", *BASELINES, *CONTROLS):
        mine = metrics[metrics["model"] == model]
        assert set(mine["perturbation"]) == asked
        scored = mine["status"] == "predicted"
        unscored = mine[~scored]
        assert unscored["value"].isna().all()
        assert unscored["reason"].notna().all()
        left_out = set(unscored.loc[unscored["status"] == "left_out", "perturbation"])
        assert left_out == set(qc.index[qc["status"] == "left_out"])
        assert (mine.loc[scored & (mine["metric"] == "l2"), "value"] >= 0).all()
    assert (whole_run.table("tiny/summary.tsv")["n_asked"] == len(asked)).all()


def test_every_kept_perturbation_is_held_out_once(whole_run):
    qc, splits = whole_run.table("tiny/qc.tsv"), whole_run.table("tiny/splits.tsv")
    held_out = splits.loc[splits["set"] == "test", "perturbation"]
    assert sorted(held_out) == sorted(qc.loc[qc["status"] == "kept", "perturbation"])


def test_results_carry_their_provenance(results):
    made = [path for path in results.rglob("*.h5ad") if path.parent.name != "work"]
    assert len(made) > 5
    for path in made:
        origin = json.loads(anndata.read_h5ad(path, backed="r").uns["provenance"])
        assert origin["dataset"] == "tiny"
        assert origin["seed"] == 1
        assert re.fullmatch("[0-9a-f]{16}", origin["config_digest"])
        assert {"lgem", "python", "numpy"} <= origin["versions"].keys()


def last_line(results):
    """What a run is to end with: its headline up to the errors (L2), and where its report is."""
    headline = (results / "headline.txt").read_text("utf-8")
    told = re.match(r".*?held-out L2 .*?\.(?=\s)", headline)
    assert told
    assert re.match(r"(A baseline beats|The model|The baseline) \w+ ", told[0])
    return f"tiny: {told[0]} Report: results/tiny/report.html"


def test_the_last_line_of_a_run_is_its_result_and_the_place_of_the_report(whole_run, results):
    assert whole_run.output.splitlines()[-1] == last_line(results)
    assert whole_run.output.count("Report: ") == 1


def test_the_terminal_tells_steps_in_words_and_not_the_files_behind_them(whole_run):
    assert "Job 0: everything is there" in whole_run.output
    assert "tiny: effects of perturbations\n" in whole_run.output
    total = 1 + sum(whole_run.jobs.values())
    assert f"{total} of {total} steps (100%) done" in whole_run.output
    assert "Reason:" not in whole_run.output


def test_a_quiet_run_ends_the_same_and_one_for_other_files_without_a_report(
    whole_run, results, tmp_path
):
    folder = shutil.copytree(whole_run.folder, tmp_path / "run")
    (folder / "results" / "tiny" / "report.html").unlink()
    quiet = succeed(folder, "--quiet", "rules")
    assert quiet.jobs == {"report": 1}
    assert quiet.output.splitlines()[-1] == last_line(results)
    (folder / "results" / "tiny" / "splits.tsv").unlink()
    other = succeed(folder, "results/tiny/splits.tsv")
    assert other.jobs == {"splits": 1}
    assert "Report: " not in other.output


def test_a_second_run_has_nothing_to_do(whole_run, tmp_path):
    shutil.copytree(whole_run.folder, tmp_path / "run")
    again = succeed(tmp_path / "run")
    assert "Nothing to be done" in again.output
    assert again.jobs == {}


def test_the_merged_config_repeats_the_run_on_one_core_byte_by_byte(whole_run, results, tmp_path):
    folder = tmp_path / "elsewhere"
    succeed(folder, "--configfile", str(results / "config.yaml"), cores=1)
    first = files(whole_run.folder / "resources") | files(results, BYTES_REPEAT)
    second = files(folder / "resources") | files(folder / "results" / "tiny", BYTES_REPEAT)
    assert len(first) > 60
    assert differing(first, second) == []


def test_shards_and_the_order_of_cells_change_no_table(whole_run, results, tmp_path):
    source = whole_run.folder / "resources" / "tiny"
    cells = anndata.read_h5ad(source / "screen.h5ad")
    (tmp_path / "lanes").mkdir()
    order = np.random.default_rng(0).permutation(cells.n_obs)
    for lane, rows in enumerate(np.array_split(order, 5)):
        cells[rows].copy().write_h5ad(tmp_path / "lanes" / f"lane_{lane}.h5ad")
    columns = {"perturbation": "perturbation", "control": "non-targeting", "batch": "batch"}
    entry = {
        **columns,
        "path": "lanes/*.h5ad",
        "guide": "guide",
        "reference_network": str(source / "truth_network.tsv"),
    }
    write_config(tmp_path, dataset="tiny", datasets={"tiny": entry}, pseudobulk={"min_cells": 25})
    tables = [name for name in files(results, {".tsv"}) if not name.startswith(("fig", "work"))]
    run = succeed(tmp_path, *(f"results/tiny/{name}" for name in tables))
    assert run.jobs["count_shard"] == 5

    whole, sharded = (files(place, {".tsv"}) for place in (results, tmp_path / "results" / "tiny"))
    assert len(tables) > 10
    assert differing({name: whole[name] for name in sharded}, sharded) == []
    assert set(tables) <= sharded.keys()
    for name in ("pseudobulk", "effects", "control_cells", "predictions/lgem"):
        one, five = (
            anndata.read_h5ad(place / f"{name}.h5ad")
            for place in (results, tmp_path / "results" / "tiny")
        )
        assert one.obs.equals(five.obs)
        assert one.layers.keys() == five.layers.keys()
        for layer in (None, *one.layers):
            np.testing.assert_array_equal(dense(one, layer), dense(five, layer))


def dense(data, layer):
    """A layer, or X, as an array; a pseudobulk has no X."""
    matrix = data.X if layer is None else data.layers[layer]
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def jobs_after(whole_run, place, edit):
    """The rules that would run after an edit of a copy of the project."""
    repository = copy_repository(place / "repository")
    shutil.copytree(whole_run.folder, place / "run")
    before = succeed(place / "run", "--dry-run", repository=repository)
    assert before.jobs == {}
    edit(repository)
    return set(succeed(place / "run", "--dry-run", repository=repository).jobs)


def importers(folder, modules):
    texts = {path.stem: path.read_text("utf-8") for path in (ROOT / folder).glob("*.py")}
    return {name for name, text in texts.items() if any(f"from {m} " in text for m in modules)}


def append_comment(*path):
    def edit(repository):
        with repository.joinpath(*path).open("a", encoding="utf-8") as handle:
            handle.write("# edited\n")

    return edit


def test_an_edit_of_the_core_reruns_what_uses_it_and_nothing_else(whole_run, tmp_path):
    beside = {
        f"lgem.figures.{name}" for name in importers("lgem/figures", ["lgem.figures.network"])
    }
    drawn = importers("scripts", {"lgem.figures.network", *beside})
    assert {"figure_largest_changes", "figure_rewired"} <= drawn
    after = jobs_after(whole_run, tmp_path, append_comment("lgem", "figures", "network.py"))
    assert after == drawn | {"report"}


def test_an_edit_of_a_foundation_reruns_everything(whole_run, tmp_path):
    after = jobs_after(whole_run, tmp_path, append_comment("lgem", "files.py"))
    assert after >= whole_run.jobs.keys()


def test_another_model_leaves_the_screen_and_the_other_models_alone(whole_run, tmp_path):
    shutil.copytree(whole_run.folder, tmp_path / "run")
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text("utf-8"))
    config["models"] = [
        {"name": "lgem"},
        {"name": "paper", "preset": "paper"},
        {"name": "mine", "solver": "pinv", "on_target": False},
    ]
    write_config(tmp_path / "run", **config)
    after = succeed(tmp_path / "run", "--dry-run").jobs
    assert after["fit"] == after["predict"] == 1
    upstream = {"simulate", "plan_cells", "count_shard", "pseudobulk", "qc", "effects", "splits"}
    upstream |= {"technical_duplicate", "screen"}  # the first model is the same
    upstream |= {rule for rule in whole_run.jobs if rule.startswith("network")}
    upstream |= {"mixed_forms", "figure_mixed_forms"}
    assert not upstream & after.keys()
    assert {"merged_config", "evaluate", "design", "report"} <= after.keys()


def test_another_panel_of_the_network_counts_nothing_again(whole_run, tmp_path):
    shutil.copytree(whole_run.folder, tmp_path / "run")
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text("utf-8"))
    write_config(tmp_path / "run", **{**config, "network": {"panel": 30}})
    after = succeed(tmp_path / "run", "--dry-run").jobs
    assert {"control_cells", "network_estimate"} <= after.keys()
    assert not {"plan_cells", "count_shard", "pseudobulk"} & after.keys()


def test_figures_can_be_asked_for_alone(whole_run, tmp_path):
    write_config(tmp_path, dataset="tiny", datasets={"tiny": {"simulate": TINY}})
    all_jobs = succeed(tmp_path, "figures", "--dry-run").jobs
    assert "report" not in all_jobs
    assert {rule for rule in whole_run.jobs if rule.startswith("figure_")} <= all_jobs.keys()

    shutil.copytree(whole_run.folder, tmp_path / "run")
    place = tmp_path / "run" / "results" / "tiny" / "figures"
    drawn = files(place)
    for path in place.glob("on_target.*"):
        path.unlink()
    assert succeed(tmp_path / "run", "figures").jobs == {"figure_on_target": 1}
    assert differing(drawn, files(place)) == []


def test_several_datasets_run_together_and_the_command_line_chooses_among_them(tmp_path):
    datasets = {name: {"simulate": {**TINY, "genes": 12 + i}} for i, name in enumerate("abc")}
    write_config(tmp_path, dataset=["a", "c"], datasets=datasets)
    targets = ["results/a/config.yaml", "results/c/config.yaml"]

    both = succeed(tmp_path, "--dry-run")
    assert both.jobs["simulate"] == both.jobs["report"] == 2
    assert set(re.findall("results/(.)/", both.output)) == {"a", "c"}

    one = succeed(tmp_path, "--dry-run", "--config", "dataset=b")
    assert one.jobs["simulate"] == one.jobs["report"] == 1
    assert set(re.findall("results/(.)/", one.output)) == {"b"}

    assert succeed(tmp_path, *targets).jobs == {"merged_config": 2}
    merged = yaml.safe_load((tmp_path / targets[1]).read_text("utf-8"))
    assert merged["dataset"] == ["c"]
    assert merged["datasets"].keys() == {"c"}
    assert merged["datasets"]["c"]["simulate"]["genes"] == 14
    assert merged["evaluation"]["bootstrap"] == SHORT["evaluation"]["bootstrap"]
    assert load(merged).splits.folds == 5  # every default is written out
