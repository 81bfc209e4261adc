"""Ask whether the network foretells the responses to perturbations."""

from typing import TYPE_CHECKING

import anndata
import numpy as np

from lgem.files import read_arrays, write_table, write_text
from lgem.network.responses import (
    NETWORK,
    UPDATED,
    compare_responses,
    headline,
    response_check,
    summarise_responses,
    target_positions,
)
from lgem.network.saved import AFTER, BEFORE, covariance_columns
from lgem.screen.io import symbols_of
from lgem.screen.labels import TargetIndex, names_of_targets
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    arrays = read_arrays(snakemake.input.precision)
    genes, params = arrays["genes"].tolist(), snakemake.params
    measured = anndata.read_h5ad(snakemake.input.effects)
    effects = measured[:, genes]
    perturbations = effects.obs_names.to_list()
    # Among all genes: a symbol may be that of a gene outside the panel.
    index = TargetIndex(list(measured.var_names), symbols_of(measured.var))
    targets = [names_of_targets(index, name) for name in perturbations]
    # Perturbations without a target in the panel are not scored: any column will do for them.
    positions = np.maximum(target_positions(targets, genes), 0)
    networks = {NETWORK: BEFORE}
    if arrays["loadings"].size or arrays["removed"].size:
        networks[UPDATED] = AFTER
    scores = response_check(
        {name: covariance_columns(arrays, positions, stage) for name, stage in networks.items()},
        np.asarray(effects.X),
        arrays["scale"],
        perturbations,
        targets,
        genes,
    )
    bootstrap = params.bootstrap, params.interval, params.seed
    comparisons = compare_responses(scores, *bootstrap)
    write_table(scores, snakemake.output.responses)
    write_table(summarise_responses(scores, *bootstrap), snakemake.output.summary)
    write_table(comparisons, snakemake.output.comparisons)
    told = headline(scores, comparisons, params.interval, blind=params.blind)
    write_text(told + "\n", snakemake.output.headline)
