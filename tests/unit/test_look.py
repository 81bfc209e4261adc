"""What is told of a file of cells, and the config entry that is proposed for it."""

from __future__ import annotations

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from lgem.config import load
from lgem.look import look, main

CELLS = 60
LABELS = ["STAT1", "non-targeting", "IRF1", "STAT1_IRF1", "JAK2"]


def cells(*, counts=None, columns=None, genes=None, layers=None):
    """A small screen as others name their columns; counts of 8 genes."""
    drawn = np.random.default_rng(1).poisson(2.0, (CELLS, 8)).astype(np.float32)
    labels = [LABELS[row % 5] for row in range(CELLS)]
    obs = pd.DataFrame(
        {
            "barcode_quality": np.linspace(0, 1, CELLS),
            "sgRNA_id": [f"{label}_g{row % 2}" for row, label in enumerate(labels)],
            "gene": labels,
            "lane": [f"lane_{1 + row % 3}" for row in range(CELLS)],
            "empty": np.nan,
            **(columns or {}),
        },
        index=[f"cell{row}" for row in range(CELLS)],
    )
    var = genes if genes is not None else pd.DataFrame(index=[f"G{row}" for row in range(8)])
    X = sparse.csr_matrix(drawn) if counts is None else counts(drawn)
    return anndata.AnnData(
        X, obs=obs, var=var, layers={k: f(drawn) for k, f in layers.items()} if layers else None
    )


def entry(path, name):
    """The entry out of what is told, as YAML reads it and as the config accepts it."""
    told = look(str(path))
    _, _, pasted = told.partition("in config.yaml:\n\n")
    datasets = yaml.safe_load(pasted.partition("\n\nThen")[0])
    load({"dataset": name, "datasets": datasets})  # raises where the config would refuse it
    return datasets[name]


def test_the_columns_of_a_screen_are_told_and_its_entry_proposed(tmp_path):
    path = tmp_path / "my screen.h5ad"
    cells().write_h5ad(path)
    told = look(str(path))
    assert f"{path}: 60 cells × 8 genes" in told
    assert "X: raw counts" in told
    assert "4 values" not in told
    assert "5 values: " in told
    assert "non-targeting (12)" in told
    assert "numbers from 0 to 1" in told
    assert "no values" in told
    assert told.endswith("--config dataset=my_screen")
    assert entry(path, "my_screen") == {
        "path": str(path),
        "perturbation": "gene",
        "control": "non-targeting",
        "combination_separator": "_",
        "batch": "lane",
        "guide": "sgRNA_id",
    }


def test_totals_are_size_factors_only_where_they_are_beyond_the_panel(tmp_path):
    sums = np.random.default_rng(1).poisson(2.0, (CELLS, 8)).sum(axis=1)
    for name, totals in (("whole", sums), ("panel", 10 * sums)):
        cells(columns={"total_counts": totals}).write_h5ad(tmp_path / f"{name}.h5ad")
    assert "size_factor" not in entry(tmp_path / "whole.h5ad", "whole")
    assert entry(tmp_path / "panel.h5ad", "panel")["size_factor"] == "total_counts"


def test_counts_in_a_layer_and_symbols_beside_stable_ids_are_found(tmp_path):
    ids = [f"ENSG0000000000{row}" for row in range(8)]
    genes = pd.DataFrame({"gene_name": [*"ABCDEFG", "G"]}, index=ids)
    path = tmp_path / "layered.zarr"
    cells(counts=np.log1p, genes=genes, layers={"raw": sparse.csc_matrix}).write_zarr(path)
    told = look(str(path))
    assert "in row" in told.partition("  X: ")[2].partition("\n")[0]
    assert "  raw: raw counts" in told
    found = entry(path, "layered")
    assert found["layer"] == "raw"
    assert found["gene_symbols"] == "gene_name"
    assert found["duplicates"] == "keep_ids"


def test_what_cannot_be_found_is_to_be_filled_in(tmp_path, capsys):
    path = tmp_path / "bare.h5ad"
    data = cells(counts=np.log1p)
    data.obs = data.obs[["lane"]]
    data.write_h5ad(path)
    assert main([str(path)]) == 0
    told = capsys.readouterr().out
    assert "no matrix of raw counts: a run will refuse this file" in told
    assert "perturbation: FILL IN  # the column that names the perturbed gene" in told
    assert "control: FILL IN" in told


@pytest.mark.parametrize("name", ["123", "1e3", "true", "null", "NaN", "---", "ü"])
def test_no_name_of_a_file_is_read_as_something_else_in_the_config(tmp_path, name):
    path = tmp_path / f"{name}.h5ad"
    cells().write_h5ad(path)
    told = look(str(path))
    proposal = told.rpartition("dataset=")[2]
    assert not proposal[0].isdigit()
    assert entry(path, proposal)["path"] == str(path)


def test_names_cannot_break_lines_or_command_the_terminal(tmp_path):
    path = tmp_path / "odd.h5ad"
    odd = cells(columns={"a\nb": "x\ty", "red\x1b[31m": "\u202e"})
    odd.obs = odd.obs.rename(columns={"gene": "gene\n2"})
    odd.write_h5ad(path)
    told = look(str(path))
    assert "\\x1b[31m" in told
    assert all(line.isprintable() for line in told.split("\n"))
    assert entry(path, "odd")["perturbation"] == "gene\n2"


def test_a_matrix_that_does_not_suit_its_annotation_is_no_proposal(tmp_path):
    path = tmp_path / "short.h5ad"
    cells().write_h5ad(path)
    with h5py.File(path, "a") as file:
        file.pop("X")
        file["X"] = np.ones((CELLS, 7))
    assert f"  X: shape ({CELLS}, 7)" in look(str(path))
    assert "a run will refuse this file" in look(str(path))


@pytest.mark.parametrize("part", ["X", "layers", "layers/raw"])
def test_a_link_that_leads_nowhere_is_no_matrix(tmp_path, part):
    path = tmp_path / "broken.h5ad"
    cells(layers={"raw": np.asarray}).write_h5ad(path)
    with h5py.File(path, "a") as file:
        file.pop(part)
        file[part] = h5py.ExternalLink("lost.h5", "/X")
    assert "raw counts" in look(str(path))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lost.h5ad", "found no such file"),
        ("text.h5ad", "found a file that HDF5 cannot open"),
        ("cells.csv", "docs/datasets.md has 10x and tables"),
    ],
)
def test_what_is_no_such_file_ends_in_one_line(tmp_path, capsys, name, words):
    if not name.startswith("lost"):
        (tmp_path / name).write_text("gene,lane\n", "utf-8")
    assert main([str(tmp_path / name)]) == 1
    told = capsys.readouterr().err
    assert words in told
    assert told.startswith("lgem: error: ")
    assert told.count("\n") == 1


def test_without_a_file_its_use_is_told(capsys):
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
