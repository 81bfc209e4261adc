"""Lanes as 10x's Cell Ranger leaves them, zarr and tables give what one h5ad of the cells gives."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from tests.unit.ten_x import write_calls, write_folder, write_h5, write_reference
from tests.workflow.running import Run, ended_in_words, snakemake, succeed, write_config
from tests.workflow.screens import CONTROL, GENES, cells_of

pytestmark = pytest.mark.workflow

COLUMNS = {
    "perturbation": "target_gene_name",
    "control": "Non-Targeting",
    "batch": "shard",
    "gene_symbols": "gene_symbols",
}
# A 10x file and a 10x folder: what the wildcard of lanes/* stands for.
LANES = ("one.h5", "two")
LANES_ENTRY = {
    **COLUMNS,
    "path": "lanes/*",
    "guide_calls": "calls/*.csv",
    "guide_targets": "reference.csv",
    "guide": "feature_call",
}


def guides_of(label: str, row: int) -> str:
    """Return the guides called in a cell: one or two of a gene, some beside a control guide."""
    if label == CONTROL:
        return ("nt_1", "nt_2", "nt_1|nt_2")[row % 3]
    each = "|".join(f"{gene}_{row % 2 + 1}" for gene in label.split("+"))
    return (each, f"{each}|nt_1", f"{label}_1|{label}_2" if "+" not in label else each)[row % 3]


def lane_of(number: int) -> anndata.AnnData:
    """Return the cells of a lane; barcodes are those of every lane, some cells have no call."""
    cells = cells_of([*GENES[:4], "GENE1+GENE2"], seed=number)
    cells.obs_names = [f"AAAC{row:04}-1" for row in np.random.default_rng(number).permutation(100)]
    cells.var["symbol"] = cells.var_names
    cells.var["gene_symbols"] = cells.var_names
    cells.var_names = [f"ENSG{row:03}" for row in range(cells.n_vars)]
    label = cells.obs.pop("gene").to_numpy()
    cells.obs["feature_call"] = [guides_of(name, row) for row, name in enumerate(label)]
    named = pd.Series(label).replace(CONTROL, "Non-Targeting").to_numpy()
    cells.obs["target_gene_name"] = named
    cells.obs.loc[cells.obs_names[::17], ["feature_call", "target_gene_name"]] = None
    cells.obs["shard"] = LANES[number]
    return cells


def write_lanes(folder: Path, lanes: list[anndata.AnnData]) -> None:
    """Write lanes as Cell Ranger does: counts, guide calls, and what the guides aim at."""
    for name in ("lanes", "calls"):
        (folder / name).mkdir()
    write_h5(lanes[0], folder / "lanes/one.h5")
    write_folder(lanes[1], folder / "lanes/two")
    for name, lane in zip(LANES, lanes, strict=True):
        write_calls(lane.obs["feature_call"].dropna().to_dict(), folder / f"calls/{name}.csv")
    targets = {f"{gene}_{number}": gene for gene in GENES for number in (1, 2)}
    write_reference(
        targets | {"nt_1": "Non-Targeting", "nt_2": "Non-Targeting"}, folder / "reference.csv"
    )


def write_table(folder: Path, cells: anndata.AnnData) -> None:
    """Write cells as a table of counts by symbol, genes in rows, and their metadata."""
    names = (cells.obs["shard"].astype(str) + "_" + cells.obs_names).to_numpy()
    counts = pd.DataFrame(cells.X.toarray().T, cells.var["symbol"].to_numpy(), names)
    (folder / "counts.csv.gz").write_bytes(gzip.compress(counts.astype(int).to_csv().encode()))
    obs = cells.obs[["target_gene_name", "shard"]].set_axis(names)
    obs.sample(frac=1, random_state=0).to_csv(folder / "metadata.tsv", sep="\t")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("formats")
    lanes = [lane_of(number) for number in range(2)]
    whole = anndata.concat(lanes, merge="same")
    whole.write_h5ad(folder / "whole.h5ad")
    turned = whole.copy()
    turned.X = turned.X.tocsc()
    turned.write_zarr(folder / "turned.zarr")
    write_lanes(folder, lanes)
    write_table(folder, whole)
    own = {**COLUMNS, "guide": "feature_call"}
    table = {**COLUMNS, "path": "counts.csv.gz", "metadata": "metadata.tsv"}
    datasets = {
        "whole": {**own, "path": "whole.h5ad"},
        "turned": {**own, "path": "turned.zarr"},
        "lanes": LANES_ENTRY,
        "table": {**table, "orientation": "genes_by_samples", "gene_symbols": None},
    }
    write_config(folder, dataset=list(datasets), datasets=datasets)
    targets = [f"results/{name}/pseudobulk.h5ad" for name in datasets]
    return succeed(folder, *targets, "results/lanes/qc.tsv")


def pseudobulk(run: Run, name: str) -> anndata.AnnData:
    return anndata.read_h5ad(run.folder / "results" / name / "pseudobulk.h5ad")


def arrays(data: anndata.AnnData) -> dict[str, Any]:
    found = {"X": data.X, **data.layers}
    return {name: np.asarray(values) for name, values in found.items() if values is not None}


@pytest.mark.parametrize("name", ["turned", "lanes"])
def test_other_formats_give_the_pseudobulk_of_one_h5ad_of_the_same_cells(ran, name):
    expected, found = pseudobulk(ran, "whole"), pseudobulk(ran, name)
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    pd.testing.assert_frame_equal(found.var, expected.var)
    assert arrays(found).keys() == arrays(expected).keys()
    for layer, values in arrays(expected).items():
        np.testing.assert_array_equal(arrays(found)[layer], values, err_msg=layer)


def test_lanes_are_read_as_the_calls_of_their_guides_say(ran):
    groups = pseudobulk(ran, "lanes").obs
    assert set(groups["batch"].astype(str)) == set(LANES)
    cells = [lane_of(number).obs for number in range(2)]
    labels = pd.concat(cells)["target_gene_name"].replace("Non-Targeting", "control")
    found = groups.groupby("perturbation", observed=True)["n_cells"].sum()
    assert found.to_dict() == labels.dropna().value_counts().to_dict()
    kept = ran.table("lanes/qc.tsv").set_index("perturbation")["n_cells"]
    assert found.drop("control").to_dict() == kept.drop("control", errors="ignore").to_dict()


def test_a_table_of_counts_gives_the_same_means(ran):
    expected, found = pseudobulk(ran, "whole"), pseudobulk(ran, "table")
    assert list(found.var_names) == list(expected.var["symbol"])
    keys = ["perturbation", "batch", "n_cells"]
    assert found.obs[keys].astype(str).equals(expected.obs[keys].astype(str))
    np.testing.assert_array_equal(found.X, expected.X)


def test_a_changed_file_of_a_10x_folder_is_read_again_and_no_other(ran):
    again = snakemake(ran.folder, "--dry-run", "results/lanes/pseudobulk.h5ad")
    assert again.jobs == {}
    barcodes = ran.folder / "lanes/two/barcodes.tsv.gz"
    barcodes.write_bytes(gzip.compress(gzip.decompress(barcodes.read_bytes()).replace(b"C", b"T")))
    again = snakemake(ran.folder, "--dry-run", "results/lanes/pseudobulk.h5ad")
    assert again.jobs["import_cells"] == 1


def test_a_lane_without_guide_calls_is_told_before_anything_runs(ran, tmp_path):
    for name in ("lanes", "calls", "reference.csv"):
        (tmp_path / name).symlink_to(ran.folder / name)
    (tmp_path / "calls").unlink()
    (tmp_path / "calls").mkdir()
    (tmp_path / "calls/two.csv").symlink_to(ran.folder / "calls/two.csv")
    write_config(tmp_path, dataset="lanes", datasets={"lanes": LANES_ENTRY})
    run = snakemake(tmp_path, "--dry-run")
    ended_in_words(run)
    told = "datasets.lanes.guide_calls: calls/*.csv: found no table for lanes/one.h5; expected one "
    assert told in run.output
    assert run.jobs == {}
