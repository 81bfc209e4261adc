"""Estimate the effect of every perturbation on log-expression."""

from typing import TYPE_CHECKING

import anndata
import pandas as pd

from lgem.files import read_table, write_h5ad, write_table
from lgem.provenance import provenance
from lgem.screen.effects import design_report, design_row, effects_of_screen
from lgem.screen.io import effects_data, group_statistics
from lgem.screen.qc import LEFT_OUT
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    pseudobulk = anndata.read_h5ad(snakemake.input.pseudobulk)
    qc = read_table(snakemake.input.qc)
    screen = snakemake.params.screen
    statistics = group_statistics(pseudobulk)
    kept = qc.loc[qc["status"] != LEFT_OUT, "perturbation"].astype(str)
    effects, factors = effects_of_screen(
        statistics.only(list(kept)),
        ["batch", *screen["covariates"]],
        snakemake.params.adjust_batch,
    )
    data = effects_data(effects, qc, pseudobulk.var, statistics.control)
    data.uns["factors"] = factors
    write_h5ad(data, snakemake.output.effects, provenance(**snakemake.params.origin))
    write_table(pd.DataFrame([design_row(effects, factors)]), snakemake.output.design)
    log.info("%s", design_report(effects, factors))
