"""Check the input, and give every cell its perturbation, group and technical half."""

from typing import TYPE_CHECKING

from lgem.files import write_frame
from lgem.screen.annotation import shards_of
from lgem.screen.cells import plan_cells
from lgem.screen.counting import describe_shards
from lgem.screen.entry import cell_rules
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    screen = snakemake.params.screen
    rules = cell_rules(screen)
    given, names = snakemake.input, snakemake.params.names
    tables = (given.metadata, given.guide_calls)
    shards = shards_of(given.shards, names, *tables, snakemake.params.came_as)
    known, genes = describe_shards(shards, screen, rules, next(iter(given.guide_targets), None))
    place = f"{shards[0].place}: obs"
    cells, groups = plan_cells(known, rules, snakemake.params.seed, place)
    write_frame(cells, snakemake.output.cells)
    write_frame(groups, snakemake.output.groups)
    write_frame(genes, snakemake.output.genes)
    log.info("%d cells in %d groups, %d genes", len(cells), len(groups), len(genes))
