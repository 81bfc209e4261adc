"""Estimate the effect of every perturbation on log-expression, and test every gene for it."""

from typing import TYPE_CHECKING

import anndata

from lgem.files import read_table, write_json, write_table
from lgem.h5ad import write_h5ad
from lgem.provenance import provenance
from lgem.screen.differential import (
    differential_expression,
    strongest_genes,
    write_differential,
)
from lgem.screen.effects import (
    adjustable,
    effects_of_screen,
    effects_system,
    explain_effects,
)
from lgem.screen.io import effects_data, group_statistics, symbols_of
from lgem.screen.labels import TargetIndex
from lgem.screen.qc import LEFT_OUT
from lgem.systems import systems_content
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    pseudobulk = anndata.read_h5ad(snakemake.input.pseudobulk)
    qc = read_table(snakemake.input.qc)
    screen = snakemake.params.screen
    unit = "cells" if screen["kind"] == "cells" else "profiles"
    kept = qc.loc[qc["status"] != LEFT_OUT, "perturbation"].astype(str)
    statistics = group_statistics(pseudobulk)
    control = statistics.control
    statistics = statistics.only(list(kept))
    effects, factors = effects_of_screen(
        statistics, ["batch", *screen["covariates"]], snakemake.params.adjust_batch, unit
    )
    # Also where nothing is adjusted for: batches may stand in for effects there.
    strata = adjustable(statistics.groups, ["batch", *screen["covariates"]])
    explanation = explain_effects(statistics, strata, unit)
    system = effects_system(effects, factors, explanation)
    origin = provenance(**snakemake.params.origin)
    data = effects_data(effects, qc, pseudobulk.var, control)
    data.uns["factors"] = factors
    targets = TargetIndex(list(map(str, data.var_names)), symbols_of(data.var))
    write_h5ad(data, snakemake.output.effects, origin)
    write_differential(
        differential_expression(effects, data.var), snakemake.output.differential, origin
    )
    strongest = strongest_genes(differential_expression(effects, data.var), targets)
    write_table(strongest, snakemake.output.strongest)
    write_json(systems_content([system]), snakemake.output.systems)
    log.info("%s", system.explanation)
    for alias in explanation.aliases[:10]:  # a key that is not the batch's may make thousands
        log.info("%s; to mend it: %s", alias.sentence, alias.remedy)
