# Who acts on whom: the network of the control cells, updated by predicted responses.


rule network:
    """Estimate the network, update it by the matrix inversion lemma, list its edges and changes."""
    input:
        cells="results/{dataset}/control_cells.h5ad",
        responses=responses,
    output:
        precision="results/{dataset}/network/precision.npz",
        edges="results/{dataset}/network/edges.parquet",
        strongest=report(
            "results/{dataset}/network/strongest.tsv",
            caption="../report/strongest.rst",
            category="Network",
            labels={"result": "edges", "what": "100 strongest"},
        ),
        graph=report(
            "results/{dataset}/network/network.graphml",
            caption="../report/graph.rst",
            category="Network",
            labels={"result": "graph", "what": "edges, for Cytoscape or Gephi"},
        ),
        updates=report(
            "results/{dataset}/network/updates.tsv",
            caption="../report/updates.rst",
            category="Network",
            labels={"result": "updates", "what": "rank and drift certificate"},
        ),
        statistics=report(
            "results/{dataset}/network/statistics.tsv",
            caption="../report/statistics.rst",
            category="Network",
            labels={"result": "statistics", "what": "before and after the updates"},
        ),
        changes=report(
            "results/{dataset}/network/changes.tsv",
            caption="../report/changes.rst",
            category="Network",
            labels={"result": "changes", "what": "20 largest"},
        ),
        histogram="results/{dataset}/network/histogram.tsv",
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
        network=CONFIG.network.model_dump(mode="json"),
        seed=CONFIG.seed,
        origin=network_origin,
        core=digest("network.py"),
    message:
        "{wildcards.dataset}: network"
    script:
        "../../scripts/network.py"


rule network_scores:
    """Score the network against known edges."""
    input:
        precision="results/{dataset}/network/precision.npz",
        reference=reference_network,
    output:
        scores=report(
            "results/{dataset}/network/scores.tsv",
            caption="../report/scores.rst",
            category="Network",
            labels={"result": "scores", "what": "against known edges"},
        ),
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
        estimator=CONFIG.network.estimator,
        bootstrap=CONFIG.evaluation.bootstrap,
        interval=CONFIG.evaluation.interval,
        seed=CONFIG.seed,
        core=digest("network_scores.py"),
    message:
        "{wildcards.dataset}: scoring the network against {input.reference}"
    script:
        "../../scripts/network_scores.py"
