"""Add up the sums of all shards into the pseudobulk."""

from typing import TYPE_CHECKING

import pandas as pd

from lgem.files import read_arrays
from lgem.h5ad import write_h5ad
from lgem.provenance import provenance
from lgem.screen.io import pseudobulk_data
from lgem.screen.pseudobulk import Sums
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    genes = pd.read_parquet(snakemake.input.genes).set_index("gene")
    groups = pd.read_parquet(snakemake.input.groups)
    sums = Sums.zeros(len(groups), len(genes))
    for path in snakemake.input.sums:
        sums = sums + Sums(**read_arrays(path))
    data = pseudobulk_data(sums, groups, genes, counts=True)
    write_h5ad(data, snakemake.output[0], provenance(**snakemake.params.origin))
    log.info("%d groups, %d genes", *data.shape)
