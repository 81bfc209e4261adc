"""Simulate a screen with known truth."""

from typing import TYPE_CHECKING

from lgem.files import write_table
from lgem.h5ad import write_h5ad
from lgem.screen.simulate import simulate_screen
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    screen = simulate_screen(**snakemake.params.settings, seed=snakemake.params.seed)
    write_h5ad(screen.cells, snakemake.output.screen)
    write_h5ad(screen.effects, snakemake.output.effects)
    for kind, path in (
        ("precision", snakemake.output.network),
        ("skeleton", snakemake.output.skeleton),
    ):
        edges = screen.network.loc[screen.network[kind] == 1, ["gene_a", "gene_b"]]
        write_table(edges, path)
    log.info("%d cells, %d genes", *screen.cells.shape)
