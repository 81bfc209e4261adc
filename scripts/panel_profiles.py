"""Keep the network's panel of genes of all profiles."""

from typing import TYPE_CHECKING

from lgem.h5ad import write_h5ad
from lgem.provenance import provenance
from lgem.screen.entry import read_dataset_profiles
from lgem.screen.network_cells import panel_profiles
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    screen = snakemake.params.screen
    profiles = read_dataset_profiles(dict(snakemake.input.items()), screen)
    data = panel_profiles(profiles, screen, snakemake.params.panel)
    write_h5ad(data, snakemake.output[0], provenance(**snakemake.params.origin))
    log.info("%d profiles, %d genes of the panel", *data.shape)
