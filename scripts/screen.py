"""Fit the first model on all perturbations and predict those that nobody has made."""

from typing import TYPE_CHECKING

import anndata

from lgem.errors import about
from lgem.files import write_arrays, write_json, write_table
from lgem.prediction.folds import Experiment, Fold, training_set
from lgem.prediction.given import read_given
from lgem.prediction.model import fit_predictor
from lgem.prediction.screen import is_specific, screen_table
from lgem.provenance import provenance
from lgem.screen.entry import cell_rules
from lgem.screen.io import ESTIMATED, symbols_of
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    pseudobulk = anndata.read_h5ad(snakemake.input.pseudobulk)
    effects = anndata.read_h5ad(snakemake.input.effects, backed="r")
    experiment = Experiment.of(pseudobulk, list(effects.uns["factors"]), snakemake.params.screen)
    usable = effects.obs_names[effects.obs["status"] == ESTIMATED].astype(str).to_list()
    training, _ = training_set(experiment, Fold(1, 1, usable, []))
    model, params = snakemake.params.model, snakemake.params
    genes, perturbations = snakemake.input.genes, snakemake.input.perturbations
    labels = cell_rules(params.screen).labels
    source = model["settings"]["perturbation_embedding"]
    given = read_given(genes, perturbations, source, effects, labels)
    with about(f"models: {params.name}"):
        predictor = fit_predictor(model["kind"], training, model["settings"], *given)
    index, symbols = experiment.targets, symbols_of(pseudobulk.var)
    targets = params.targets
    if targets != ["all"]:
        targets = [labels.parse(name) or name for name in targets]
    table, left_out = screen_table(predictor, training, index, symbols, targets, params.level)
    write_table(table, snakemake.output.screen)
    write_arrays(snakemake.output.model, **predictor.arrays())
    content = {**model, "training": usable, "fitted": predictor.described()}
    content |= {"not_embeddable": left_out, "provenance": provenance(**params.origin)}
    write_json(content, snakemake.output.fitted)
    log.info("%s: %d predicted, %d not embeddable", predictor.in_words(), len(table), left_out)
    if not is_specific(predictor):
        log.warning("nothing specific to a gene was learned: all predictions are alike off target")
