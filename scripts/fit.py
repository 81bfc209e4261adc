"""Fit a model or baseline to the training perturbations of every fold."""

from pathlib import Path
from typing import TYPE_CHECKING

import anndata

from lgem.errors import about
from lgem.files import read_table, write_arrays, write_json
from lgem.prediction.folds import Experiment, fold_name, folds, training_set
from lgem.prediction.given import read_given
from lgem.prediction.model import fit_predictor
from lgem.prediction.systems_met import over_folds, systems_of
from lgem.provenance import provenance
from lgem.screen.entry import cell_rules
from lgem.systems import systems_content
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    pseudobulk = anndata.read_h5ad(snakemake.input.pseudobulk)
    effects = anndata.read_h5ad(snakemake.input.effects, backed="r")
    screen, model = snakemake.params.screen, snakemake.params.model
    experiment = Experiment.of(pseudobulk, list(effects.uns["factors"]), screen)
    genes, perturbations = snakemake.input.genes, snakemake.input.perturbations
    source = model["settings"].get("perturbation_embedding", "")
    given = read_given(genes, perturbations, source, effects, cell_rules(screen).labels)
    systems = []
    for fold in folds(read_table(snakemake.input.splits)):
        training, dropped = training_set(experiment, fold)
        with about(f"models: {snakemake.wildcards.model}"):
            predictor = fit_predictor(model["kind"], training, model["settings"], *given)
        stem = Path(snakemake.output[0]) / fold_name(fold)
        write_arrays(stem.with_suffix(".npz"), **predictor.arrays())
        content = {**model, "training": list(training.perturbations), "not_estimable": dropped}
        content["fitted"] = predictor.described()
        content["provenance"] = provenance(**snakemake.params.origin)
        write_json(content, stem.with_suffix(".json"))
        log.info("%s: %s", fold_name(fold), predictor.in_words())
        for name, reason in dropped.items():
            log.info("%s: %s is not in training: %s", fold_name(fold), name, reason)
        systems += systems_of(
            snakemake.wildcards.model, predictor, training, dropped, model["settings"]
        )
    write_json(systems_content(over_folds(systems)), Path(snakemake.output[0]) / "systems.json")
