"""Models whose embeddings come from samples, run for real: mixed forms, unadjusted components."""

from __future__ import annotations

import json
import shutil

import anndata
import numpy as np
import pytest

from tests.workflow.running import TINY, Run, differing, files, succeed, write_config

pytestmark = pytest.mark.workflow

# Nothing is left to be chosen, so that the bilinear part stays on.
FIXED = {"dimensions": 3, "penalty": 0.1, "mean_weight": 0.5}
OF_SAMPLES = [
    {"name": "lgem"},
    {"name": "unadjusted", "gene_embedding": "pca_unadjusted", **FIXED},
    {"name": "lmf", "gene_embedding": "lmf", **FIXED},
]
WANTED = [
    *(f"predictions/{model['name']}.h5ad" for model in OF_SAMPLES),
    *("design.tsv", "mixed_forms/model.json"),
]


def run_of_samples(folder, *arguments, cores=2, **forms):
    """A simulated screen through the models whose embeddings come from samples."""
    write_config(
        folder,
        dataset="tiny",
        datasets={"tiny": {"simulate": {**TINY, "batch_imbalance": 1.0}}},
        models=OF_SAMPLES,
        mixed_forms={"dimensions": 4, "codes": "free", **forms},
    )
    return succeed(folder, *(f"results/tiny/{name}" for name in WANTED), *arguments, cores=cores)


@pytest.fixture(scope="module")
def of_samples(tmp_path_factory) -> Run:
    return run_of_samples(tmp_path_factory.mktemp("of_samples"))


def test_embeddings_of_samples_are_other_ones_and_predict(of_samples):
    place = of_samples.folder / "results" / "tiny"
    arrays = [
        np.load(place / "models" / model["name"] / "repeat1_fold1.npz") for model in OF_SAMPLES[1:]
    ]
    assert [array["gene_embedding"].shape for array in arrays] == [(TINY["genes"], 3)] * 2
    assert not np.allclose(*(array["gene_embedding"] for array in arrays))
    for model in OF_SAMPLES:
        data = anndata.read_h5ad(place / "predictions" / f"{model['name']}.h5ad")
        assert set(data.obs["status"]) == {"predicted"}
        assert np.isfinite(data.X).all()
    content = json.loads((place / "models/lmf/repeat1_fold1.json").read_text("utf-8"))
    assert content["settings"]["mixed_forms"]["dimensions"] == 4
    design = of_samples.table("tiny/design.tsv").set_index("system")
    for name in ("unadjusted", "lmf"):
        # Where training holds the fewest of the ten genes, W still has 3 × 3 weights.
        assert design.loc[f"LGEM: {name}", ["columns", "rank"]].tolist() == [9, 9]


def test_embeddings_of_samples_are_the_same_bytes_on_one_core(of_samples, tmp_path):
    run_of_samples(tmp_path, cores=1)
    first, second = (files(folder / "results") for folder in (of_samples.folder, tmp_path))
    assert len(first) > 40
    assert differing(first, second) == []


def test_constrained_codes_make_another_embedding_and_leave_other_models_alone(
    of_samples, tmp_path
):
    shutil.copytree(of_samples.folder, tmp_path / "run")
    again = run_of_samples(tmp_path / "run", codes="constrained")
    # Counts, effects and the fits of other models stay as they are.
    assert again.jobs == {"mixed_forms": 1, "fit": 1, "predict": 1, "design": 1}
    place = tmp_path / "run" / "results" / "tiny"
    changed = differing(
        files(of_samples.folder / "results" / "tiny" / "models"), files(place / "models")
    )
    assert {name.split("/")[0] for name in changed} == {"lmf"}
    told = json.loads((place / "mixed_forms" / "model.json").read_text("utf-8"))
    assert told["settings"]["codes"] == "constrained"
    data = anndata.read_h5ad(place / "predictions" / "lmf.h5ad")
    assert set(data.obs["status"]) == {"predicted"}
    penalised = run_of_samples(tmp_path / "run", "--dry-run", codes="constrained", penalty=0.05)
    assert penalised.jobs == again.jobs
