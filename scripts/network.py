"""Update the network of the control cells by what has been predicted, measured or published."""

from dataclasses import fields
from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd

from lgem.files import read_arrays, write_arrays, write_frame, write_json, write_table
from lgem.network.estimators import estimate_from
from lgem.network.loadings import cell_loadings, read_pathways, response_loadings
from lgem.network.names import Others, lookup
from lgem.network.precision import covariance_systems, diagnose_precision, invert
from lgem.network.rewiring import rewired
from lgem.network.saved import BEFORE, network_arrays, precision_arrays
from lgem.network.updates import UpdatedPrecision, UpdateRecord
from lgem.prediction.evaluation import mean_responses, off_target
from lgem.prediction.training import PREDICTED
from lgem.screen.io import network_expression, symbols_of
from lgem.screen.labels import TargetIndex
from lgem.systems import diagnose_spectrum, systems_content
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

# Of a covariance whose partial correlations have four digits left.
WORST = 1e12

with job(snakemake) as log:
    settings, given, out = snakemake.params.network, snakemake.input, snakemake.output
    arrays = read_arrays(given.estimate)
    genes, symbols, scale = arrays["genes"].tolist(), arrays["symbols"].tolist(), arrays["scale"]
    estimate = estimate_from(arrays)
    form = invert(estimate.covariance, estimate.precision, arrays["form"].item())
    theta = UpdatedPrecision(form, snakemake.params.seed)
    before, systems = precision_arrays(form, BEFORE), [diagnose_precision(theta)]
    single, updates = np.empty((len(genes), 0)), []
    names: list[str] = []

    if given.responses:
        predicted = anndata.read_h5ad(given.responses)
        # The mean effect alone says nothing of a perturbation: it would only count many times.
        effects, made = mean_responses(predicted, statuses=[PREDICTED])
        index = TargetIndex(list(predicted.var_names), symbols_of(predicted.var))
        effects, names = off_target(effects, made, index, genes, scale)
        what = "%d responses update the network; %d more change nothing but their targets"
        log.info(what, len(names), len(made) - len(names))
    if names:
        single = settings["response_scale"] * (effects / scale).T
        joint = response_loadings(effects, scale, settings["response_scale"])
        updates.append(("predicted responses", theta.add, joint))
    if given.new_cells:
        cells = anndata.read_h5ad(given.new_cells)[:, genes]
        values = (network_expression(cells) - arrays["mean"]) / arrays["spread"]
        old, shift = int(arrays["shape"][0]), settings["mean_shift"]
        loadings = cell_loadings(values, cells.obs["batch"], old, shift)
        updates.append((f"control cells of {settings['new_cells']}", theta.add, loadings))
        log.info("%d new cells update the network, but for those alone in their batch", len(values))
    others = Others({*arrays["other_ids"]}, {*arrays["other_symbols"]})
    rows = lookup(genes, symbols, others)
    measured = {*rows, *others.ids, *others.symbols, *arrays["constant"]}
    for key, operation in (("pathways", theta.add), ("removed_pathways", theta.remove)):
        if given[key]:
            found = read_pathways(given[key], rows, len(genes), measured)
            updates.append((key.replace("_", " "), operation, found.loadings))
            log.info("%s: %s", given[key], found.in_words)

    alone = rewired(theta, form.partial_correlations(), single, names, genes)
    records = [operation(loadings, source) for source, operation, loadings in updates]
    systems.append(diagnose_precision(theta))
    if not systems[-1].condition < WORST:
        log.warning("the updated covariance is all but singular: are the updates too large?")
    sample = diagnose_spectrum(arrays["spectrum"], tuple(arrays["shape"]))
    met = covariance_systems(sample, estimate.in_words, *systems)
    kept = ("genes", "symbols", "scale", "other_ids", "other_symbols")
    described = {name: arrays[name] for name in kept}
    write_arrays(out.precision, **described, **network_arrays(theta, before))
    table = pd.DataFrame(records, columns=[field.name for field in fields(UpdateRecord)])
    table.insert(0, "order", np.arange(1, len(table) + 1))
    write_table(table, out.updates)
    write_frame(alone, out.rewired)
    write_json(systems_content(met), out.systems)
