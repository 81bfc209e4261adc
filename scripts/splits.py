"""Decide which perturbations are held out together."""

from typing import TYPE_CHECKING

import anndata

from lgem.files import write_table
from lgem.prediction.folds import Experiment, contexts_of
from lgem.prediction.splits import make_splits, read_split_table, seen_report
from lgem.screen.entry import cell_rules
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    effects = anndata.read_h5ad(snakemake.input.effects, backed="r")
    obs = effects.obs
    usable = [str(name) for name in obs.index[obs["status"] == "estimated"]]
    settings, screen = snakemake.params.splits, snakemake.params.screen
    table = read_split_table(settings["file"]) if settings["file"] else None
    contexts = None
    if settings["scheme"] == "context":
        pseudobulk = anndata.read_h5ad(snakemake.input.pseudobulk)
        experiment = Experiment.of(pseudobulk, list(effects.uns["factors"]), screen)
        contexts = contexts_of(experiment, usable, snakemake.params.min_cells)
        for name in (name for name, able in contexts.items() if not able):
            log.warning("context %s: nothing can be estimated against control there", name)
    splits = make_splits(
        usable, settings, snakemake.params.seed, table, cell_rules(screen).labels, contexts
    )
    write_table(splits, snakemake.output[0])
    log.info("%d perturbations, %d folds", len(usable), len(splits.groupby(["repeat", "fold"])))
    if splits["seen"].notna().any():
        log.info("%s", seen_report(splits))
