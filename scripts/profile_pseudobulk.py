"""Group profiles by perturbation and batch."""

from typing import TYPE_CHECKING

from lgem.files import write_frame
from lgem.h5ad import write_h5ad
from lgem.provenance import provenance
from lgem.screen.entry import cell_rules, group_profiles, read_dataset_profiles
from lgem.screen.io import pseudobulk_data
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    screen = snakemake.params.screen
    profiles = read_dataset_profiles(dict(snakemake.input.items()), screen)
    place = snakemake.input.get("metadata", snakemake.input.table)
    cells, groups, sums = group_profiles(profiles, cell_rules(screen), snakemake.params.seed, place)
    write_frame(cells, snakemake.output.cells)
    data = pseudobulk_data(sums, groups, profiles.var, counts=False)
    write_h5ad(data, snakemake.output.pseudobulk, provenance(**snakemake.params.origin))
    log.info("%d profiles in %d groups, %d genes", len(cells), *data.shape)
