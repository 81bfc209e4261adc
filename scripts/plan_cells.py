"""Check the input, and give every cell its perturbation, group and technical half."""

from typing import TYPE_CHECKING

from lgem.files import write_frame
from lgem.screen.cells import plan_cells
from lgem.screen.entry import cell_rules, describe_shards
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    screen = snakemake.params.screen
    rules = cell_rules(screen)
    shards, genes = describe_shards(list(snakemake.input.shards), screen, rules)
    place = f"{snakemake.input.shards[0]}: obs"
    cells, groups = plan_cells(shards, rules, snakemake.params.seed, place)
    write_frame(cells, snakemake.output.cells)
    write_frame(groups, snakemake.output.groups)
    write_frame(genes, snakemake.output.genes)
    log.info("%d cells in %d groups, %d genes", len(cells), len(groups), len(genes))
