"""Update the network of the control cells by what has been predicted, measured or published."""

from dataclasses import fields
from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd

from lgem.files import read_arrays, write_arrays, write_frame, write_json, write_table
from lgem.network.estimators import estimate_from
from lgem.network.loadings import cell_loadings, read_pathways, response_loadings
from lgem.network.names import lookup
from lgem.network.precision import covariance_systems, diagnose_precision, invert
from lgem.network.rewiring import rewired
from lgem.network.saved import BEFORE, network_arrays, precision_arrays
from lgem.network.updates import UpdatedPrecision, UpdateRecord
from lgem.prediction.evaluation import mean_responses
from lgem.prediction.training import PREDICTED
from lgem.screen.io import network_expression
from lgem.systems import diagnose_spectrum, systems_content
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

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
        effects, names = mean_responses(predicted[:, genes], statuses=[PREDICTED])
        log.info("%d predicted responses update the network", len(names))
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
        log.info("%d new cells update the network", len(values))
    rows = lookup(genes, symbols)
    for key, operation in (("pathways", theta.add), ("removed_pathways", theta.remove)):
        if given[key]:
            found = read_pathways(given[key], rows, len(genes), {*rows, *arrays["measured"]})
            updates.append((key.replace("_", " "), operation, found.loadings))
            log.info("%s: %s", given[key], found.in_words)

    alone = rewired(theta, form.partial_correlations(), single, names, genes)
    records = [operation(loadings, source) for source, operation, loadings in updates]
    systems.append(diagnose_precision(theta))
    sample = diagnose_spectrum(arrays["spectrum"], tuple(arrays["shape"]))
    met = covariance_systems(sample, estimate.in_words, *systems)
    described = {name: arrays[name] for name in ("genes", "symbols", "scale")}
    write_arrays(out.precision, **described, **network_arrays(theta, before))
    table = pd.DataFrame(records, columns=[field.name for field in fields(UpdateRecord)])
    table.insert(0, "order", np.arange(1, len(table) + 1))
    write_table(table, out.updates)
    write_frame(alone, out.rewired)
    write_json(systems_content(met), out.systems)
