"""Fit linear mixed forms to the groups of cells of a screen."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import anndata
import numpy as np

from lgem.errors import listing
from lgem.files import write_arrays, write_json, write_table
from lgem.prediction.codes import FormSettings
from lgem.prediction.folds import Experiment
from lgem.prediction.mixed_study import study
from lgem.prediction.samples import Samples
from lgem.provenance import provenance
from lgem.screen.effects import adjustable, not_estimable
from lgem.screen.io import ESTIMATED
from lgem.systems import systems_content
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    pseudobulk = anndata.read_h5ad(snakemake.input.pseudobulk)
    effects = anndata.read_h5ad(snakemake.input.effects, backed="r")
    params, out = snakemake.params, snakemake.output
    experiment = Experiment.of(pseudobulk, list(effects.uns["factors"]), params.screen)
    usable = effects.obs_names[effects.obs["status"] == ESTIMATED].astype(str).to_list()
    statistics = experiment.statistics.only(usable)
    samples = Samples.of(statistics, adjustable(statistics.groups, experiment.strata))
    settings = FormSettings(**params.forms)
    found = study(samples, settings, params.starts)
    write_arrays(
        out.model,
        **found.arrays(),
        genes=np.array(pseudobulk.var_names, dtype=str),
        fixed_features=np.array(samples.fixed_features, dtype=str),
        random_features=np.array([" = ".join(pair) for pair in samples.random_features], dtype=str),
    )
    inseparable = sorted(not_estimable(statistics, list(samples.levels)))
    described = {"settings": asdict(settings), **found.described(), "inseparable": inseparable}
    write_json({**described, "provenance": provenance(**params.origin)}, out.fitted)
    for name in ("convergence", "starts", "variance", "codes"):
        write_table(getattr(found, name), out[name])
    write_json(systems_content(found.systems()), out.systems)
    if not samples.random_features:
        log.info("no batch or covariate has several levels: there is no random part, H is 0")
    elif not found.split_settled:
        log.info("fewer batches or perturbations than codes: the free form's split is arbitrary")
    if inseparable:
        what = listing(inseparable)
        log.warning("no form can tell these perturbations from batches: %s", what)
    log.info(
        "%d samples, %d codes: %s after %d sweeps; variance ratio of the constrained form %.3g",
        len(samples.cells),
        described["dimensions"],
        "settled" if described["converged"] else "not settled",
        described["sweeps"],
        described["variance_ratio"],
    )
