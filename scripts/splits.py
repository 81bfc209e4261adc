"""Decide which perturbations are held out together."""

from typing import TYPE_CHECKING

import anndata

from lgem.files import write_table
from lgem.prediction.splits import make_splits, read_split_table
from lgem.screen.entry import cell_rules
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    obs = anndata.read_h5ad(snakemake.input.effects, backed="r").obs
    usable = [str(name) for name in obs.index[obs["status"] == "estimated"]]
    path = snakemake.params.splits["file"]
    table = read_split_table(path) if path else None
    splits = make_splits(
        usable,
        snakemake.params.splits,
        snakemake.params.seed,
        table,
        cell_rules(snakemake.params.screen).labels,
    )
    write_table(splits, snakemake.output[0])
    log.info("%d perturbations, %d folds", len(usable), len(splits.groupby(["repeat", "fold"])))
