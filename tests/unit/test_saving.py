"""Predictors are plain arrays: saved and read back they answer to the last bit as before."""

import numpy as np
import pytest

from lgem.files import read_arrays, write_arrays
from lgem.prediction.embedding import GeneEmbedding, PerturbationEmbedding
from lgem.prediction.model import fit_predictor, restore_predictor
from tests.unit.model_cases import (
    GENES,
    INDEX,
    SINGLES,
    UNMEASURED,
    bilinear_screen,
    part_of,
    same_bytes,
    sampled_training,
    training,
)

RNG = np.random.default_rng(3)
ASKED = (*SINGLES, "G5", "X9", "G3+G8", "G5+G6", "G3+X1", "X1+X2")
FIXED = {"dimensions": 3, "penalty": 0.1, "mean_weight": 0.5}
GENE_TABLE = GeneEmbedding("file", RNG.normal(size=(30, 4)))
TABLE = {name: RNG.normal(size=5) for name in [*GENES, "X1", "G3+G8"]}


def assert_saved(kind, known, settings, folder, genes=None, perturbations=None):
    predictor = fit_predictor(kind, known, settings, genes, perturbations)
    write_arrays(folder / "model.npz", **predictor.arrays())
    restored = restore_predictor(kind, read_arrays(folder / "model.npz"))
    assert restored.interval(0.9) == predictor.interval(0.9)
    assert restored.in_words() == predictor.in_words()
    assert restored.described() == predictor.described()
    for name in ASKED:
        target = INDEX.find(name)
        before, after = (p.predict(name, target, 0.8) for p in (predictor, restored))
        assert (after.status, after.reason) == (before.status, before.reason)
        for part in ("effect", "lower", "upper"):
            first, second = getattr(before, part), getattr(after, part)
            assert (first is None) == (second is None)
            if first is not None:
                assert second.tobytes() == first.tobytes()


@pytest.mark.parametrize("on_target", [False, True])
@pytest.mark.parametrize("perturbation", ["target", "pca", "random", "file", "dataset"])
@pytest.mark.parametrize("gene", ["pca", "pca_expression", "random", "identity", "file"])
def test_every_linear_model(gene, perturbation, on_target, tmp_path):
    if (gene, perturbation) == ("identity", "target"):
        perturbation = "pca"
    settings = {
        **FIXED,
        "gene_embedding": gene,
        "perturbation_embedding": perturbation,
        "on_target": on_target,
        "seed": 7,
    }
    P = PerturbationEmbedding(perturbation, TABLE) if perturbation in ("file", "dataset") else None
    known = part_of(bilinear_screen(30, 12, 1, own=-0.5), list(range(2, 12)))
    assert_saved("linear", known, settings, tmp_path, GENE_TABLE if gene == "file" else None, P)


OF_SAMPLES = [
    {"gene_embedding": "pca_unadjusted"},
    *(
        {"gene_embedding": "lmf", "mixed_forms": {"dimensions": 4, "codes": codes, "sweeps": 12}}
        for codes in ("free", "constrained")
    ),
]


@pytest.mark.parametrize("chosen", [{}, FIXED], ids=["chosen", "fixed"])
@pytest.mark.parametrize("on_target", [False, True])
@pytest.mark.parametrize("settings", OF_SAMPLES, ids=str)
def test_models_of_samples(settings, on_target, chosen, tmp_path):
    """What is saved needs no samples: the embedding is in it."""
    known = sampled_training(30, [*SINGLES, "G1", "G2", "G4", "X1", "G3+G8"], 3)
    assert_saved("linear", known, {**settings, **chosen, "on_target": on_target}, tmp_path)
    first, second = (
        fit_predictor("linear", known, {**settings, **chosen, "on_target": on_target})
        for _ in range(2)
    )
    assert same_bytes(first.arrays(), second.arrays())
    assert first.interval(0.8) == ("jackknife+", "")
    answer = first.predict("G5", INDEX.find("G5"), 0.8)
    assert (answer.lower < answer.upper).all()
    if chosen:
        assert first.arrays()["gene_embedding"].shape == (30, 3)


SETTINGS = [
    *(("linear", {"on_target": on_target}) for on_target in (False, True)),
    *(("linear", {"dimensions": 0, "mean_weight": weight}) for weight in (0.0, 1.0)),
    *(("linear", {**FIXED, "solver": solver}) for solver in ("pinv", "ridge", "kronecker")),
    (
        "linear",
        {"gene_embedding": "pca_expression", "solver": "ridge", "penalty": 0.1, "published": True},
    ),
    *((kind, {"on_target": True}) for kind in ("additive", "same_effect")),
]


@pytest.mark.parametrize(
    "known",
    [training(), training(UNMEASURED), training(["G3+G8", "G5"]), bilinear_screen(30, 14, 2)],
    ids=["mixed", "unmeasured", "two", "bilinear"],
)
@pytest.mark.parametrize(("kind", "settings"), SETTINGS, ids=str)
def test_every_kind_with_what_it_chose(kind, settings, known, tmp_path):
    few = len(known.perturbations) < 3 and settings.get("dimensions")
    settings = {**settings, "dimensions": 2} if few else settings
    assert_saved(kind, known, settings, tmp_path)


def test_more_than_two_hundred_perturbations(tmp_path):
    rng = np.random.default_rng(2)
    names = [f"p{k}" for k in range(203)]
    table = {name: rng.normal(size=2) for name in [*names, *ASKED]}
    known = training(names)
    embedding = PerturbationEmbedding("file", table)
    assert_saved("linear", known, {**FIXED, "dimensions": 2}, tmp_path, None, embedding)


@pytest.mark.parametrize(("kind", "settings"), SETTINGS, ids=str)
def test_the_same_training_set_makes_the_same_file(kind, settings, tmp_path):
    for name in ("first", "second"):
        predictor = fit_predictor(kind, bilinear_screen(30, 12, 4), settings)
        write_arrays(tmp_path / f"{name}.npz", **predictor.arrays())
    first, second = (read_arrays(tmp_path / f"{name}.npz") for name in ("first", "second"))
    assert list(first) == list(second)
    for name, value in first.items():
        assert value.tobytes() == second[name].tobytes()
