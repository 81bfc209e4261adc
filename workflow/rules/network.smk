# Who acts on whom: the network of the control cells, and what updates it.


rule network_estimate:
    """Estimate the covariance of the control cells, and what chance would make of it."""
    input:
        cells="results/{dataset}/control_cells.h5ad",
    output:
        estimate="results/{dataset}/work/network_estimate.npz",
        counts="results/{dataset}/network/panel.json",
        compared="results/{dataset}/network/estimators.tsv",
    log:
        "logs/{dataset}/network_estimate.log",
    benchmark:
        "logs/{dataset}/network_estimate.benchmark.tsv"
    conda:
        "../../envs/network.yaml"
    resources:
        mem_mb=memory(2000, 60),
    params:
        network=network_settings("estimator", "form", "permutations"),
        seed=CONFIG.seed,
        core=digest("network_estimate.py"),
    message:
        "{wildcards.dataset}: covariance of the network"
    script:
        "../../scripts/network_estimate.py"


rule network_new_cells:
    """Take the control cells of another dataset on the network's panel of this one."""
    input:
        shards=new_cell_files,
        cells="results/{dataset}/control_cells.h5ad",
    output:
        "results/{dataset}/work/new_cells.h5ad",
    log:
        "logs/{dataset}/network_new_cells.log",
    benchmark:
        "logs/{dataset}/network_new_cells.benchmark.tsv"
    wildcard_constraints:
        dataset=CELLS,
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1500, 8),
    params:
        target_sum=CONFIG.pseudobulk.target_sum,
        core=digest("network_new_cells.py"),
    message:
        "{wildcards.dataset}: new cells for the network"
    script:
        "../../scripts/network_new_cells.py"


rule network:
    """Update the network by the matrix inversion lemma."""
    input:
        estimate="results/{dataset}/work/network_estimate.npz",
        responses=responses,
        new_cells=new_cells,
        pathways=network_file("pathways"),
        removed_pathways=network_file("removed_pathways"),
    output:
        precision="results/{dataset}/network/precision.npz",
        updates="results/{dataset}/network/updates.tsv",
        rewired="results/{dataset}/work/rewired.parquet",
        systems="results/{dataset}/work/systems_network.json",
    log:
        "logs/{dataset}/network.log",
    benchmark:
        "logs/{dataset}/network.benchmark.tsv"
    conda:
        "../../envs/network.yaml"
    resources:
        mem_mb=memory(2000, 30),
    params:
        network=network_settings("response_scale", "new_cells", "mean_shift"),
        seed=CONFIG.seed,
        core=digest("network.py"),
    message:
        "{wildcards.dataset}: updates of the network"
    script:
        "../../scripts/network.py"


rule network_tables:
    """List the edges of the network, their changes, its genes, and how it is spread."""
    input:
        precision="results/{dataset}/network/precision.npz",
        estimate="results/{dataset}/work/network_estimate.npz",
        systems="results/{dataset}/work/systems_network.json",
        rewired="results/{dataset}/work/rewired.parquet",
        cells="results/{dataset}/control_cells.h5ad",
    output:
        edges="results/{dataset}/network/edges.parquet",
        strongest="results/{dataset}/network/strongest.tsv",
        genes="results/{dataset}/network/genes.tsv",
        graph="results/{dataset}/network/network.graphml",
        statistics="results/{dataset}/network/statistics.tsv",
        changes="results/{dataset}/network/changes.tsv",
        histogram="results/{dataset}/network/histogram.tsv",
    log:
        "logs/{dataset}/network_tables.log",
    benchmark:
        "logs/{dataset}/network_tables.benchmark.tsv"
    conda:
        "../../envs/network.yaml"
    resources:
        mem_mb=memory(2000, 30),
    params:
        network=network_settings("threshold", "top_edges", "max_edges", "permutations"),
        seed=CONFIG.seed,
        origin=network_origin,
        core=digest("network_tables.py"),
    message:
        "{wildcards.dataset}: edges of the network"
    script:
        "../../scripts/network_tables.py"


rule network_responses:
    """Ask whether the network foretells the responses to perturbations."""
    input:
        precision="results/{dataset}/network/precision.npz",
        effects="results/{dataset}/effects.h5ad",
    output:
        responses="results/{dataset}/network/responses.tsv",
        summary="results/{dataset}/network/responses_summary.tsv",
        comparisons="results/{dataset}/network/responses_comparisons.tsv",
        headline="results/{dataset}/network/responses_headline.txt",
    log:
        "logs/{dataset}/network_responses.log",
    benchmark:
        "logs/{dataset}/network_responses.benchmark.tsv"
    conda:
        "../../envs/network.yaml"
    resources:
        mem_mb=memory(2000, 10),
    params:
        blind=lambda wildcards: screen_of(wildcards)["kind"] == "cells",
        bootstrap=CONFIG.evaluation.bootstrap,
        interval=CONFIG.evaluation.interval,
        seed=CONFIG.seed,
        core=digest("network_responses.py"),
    message:
        "{wildcards.dataset}: does the network foretell responses?"
    script:
        "../../scripts/network_responses.py"


rule network_scores:
    """Score the network against known edges."""
    input:
        precision="results/{dataset}/network/precision.npz",
        estimators="results/{dataset}/network/estimators.tsv",
        reference=reference_network,
    output:
        scores="results/{dataset}/network/scores.tsv",
        counts="results/{dataset}/network/reference.json",
        headline="results/{dataset}/network/headline.txt",
    log:
        "logs/{dataset}/network_scores.log",
    benchmark:
        "logs/{dataset}/network_scores.benchmark.tsv"
    conda:
        "../../envs/network.yaml"
    resources:
        mem_mb=memory(2000, 10),
    params:
        bootstrap=CONFIG.evaluation.bootstrap,
        interval=CONFIG.evaluation.interval,
        seed=CONFIG.seed,
        core=digest("network_scores.py"),
    message:
        "{wildcards.dataset}: scoring the network against {input.reference}"
    script:
        "../../scripts/network_scores.py"
