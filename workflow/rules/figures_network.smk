# Pictures of the network.


rule figure_partial_correlations:
    """Draw the distribution of partial correlations before and after the updates."""
    input:
        histogram="results/{dataset}/network/histogram.tsv",
        statistics="results/{dataset}/network/statistics.tsv",
    output:
        pdf="results/{dataset}/figures/partial_correlations.pdf",
        png="results/{dataset}/figures/partial_correlations.png",
        tsv="results/{dataset}/figures/partial_correlations.tsv",
    log:
        "logs/{dataset}/figure_partial_correlations.log",
    benchmark:
        "logs/{dataset}/figure_partial_correlations.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        threshold=CONFIG.network.threshold,
        origin=network_origin,
        core=digest("figure_partial_correlations.py"),
    message:
        "{wildcards.dataset}: figure of partial correlations"
    script:
        "../../scripts/figure_partial_correlations.py"


rule figure_largest_changes:
    """Draw the pairs of genes whose partial correlation changed most."""
    input:
        changes="results/{dataset}/network/changes.tsv",
    output:
        pdf="results/{dataset}/figures/largest_changes.pdf",
        png="results/{dataset}/figures/largest_changes.png",
        tsv="results/{dataset}/figures/largest_changes.tsv",
    log:
        "logs/{dataset}/figure_largest_changes.log",
    benchmark:
        "logs/{dataset}/figure_largest_changes.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        origin=network_origin,
        core=digest("figure_largest_changes.py"),
    message:
        "{wildcards.dataset}: figure of the largest changes"
    script:
        "../../scripts/figure_largest_changes.py"


rule figure_network_scores:
    """Draw the network's scores against known edges, beside chance."""
    input:
        scores="results/{dataset}/network/scores.tsv",
    output:
        pdf="results/{dataset}/figures/network_scores.pdf",
        png="results/{dataset}/figures/network_scores.png",
        tsv="results/{dataset}/figures/network_scores.tsv",
    log:
        "logs/{dataset}/figure_network_scores.log",
    benchmark:
        "logs/{dataset}/figure_network_scores.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        interval=CONFIG.evaluation.interval,
        origin=network_origin,
        core=digest("figure_network_scores.py"),
    message:
        "{wildcards.dataset}: figure of network scores"
    script:
        "../../scripts/figure_network_scores.py"


rule figure_network_graph:
    """Draw the strongest edges of the network as a graph."""
    input:
        edges="results/{dataset}/network/strongest.tsv",
        nodes="results/{dataset}/network/genes.tsv",
    output:
        pdf="results/{dataset}/figures/network_graph.pdf",
        png="results/{dataset}/figures/network_graph.png",
        tsv="results/{dataset}/figures/network_graph.tsv",
    log:
        "logs/{dataset}/figure_network_graph.log",
    benchmark:
        "logs/{dataset}/figure_network_graph.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        origin=network_origin,
        core=digest("figure_network_graph.py"),
    message:
        "{wildcards.dataset}: figure of the network"
    script:
        "../../scripts/figure_network_graph.py"


rule figure_rewired:
    """Draw the pairs of genes that single responses would rewire."""
    input:
        changes="results/{dataset}/network/changes.tsv",
    output:
        pdf="results/{dataset}/figures/rewired.pdf",
        png="results/{dataset}/figures/rewired.png",
        tsv="results/{dataset}/figures/rewired.tsv",
    log:
        "logs/{dataset}/figure_rewired.log",
    benchmark:
        "logs/{dataset}/figure_rewired.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        origin=network_origin,
        core=digest("figure_rewired.py"),
    message:
        "{wildcards.dataset}: figure of rewired edges"
    script:
        "../../scripts/figure_rewired.py"


rule figure_network_responses:
    """Draw how well the network foretells the responses to perturbations."""
    input:
        responses="results/{dataset}/network/responses.tsv",
        summary="results/{dataset}/network/responses_summary.tsv",
    output:
        pdf="results/{dataset}/figures/network_responses.pdf",
        png="results/{dataset}/figures/network_responses.png",
        tsv="results/{dataset}/figures/network_responses.tsv",
    log:
        "logs/{dataset}/figure_network_responses.log",
    benchmark:
        "logs/{dataset}/figure_network_responses.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        interval=CONFIG.evaluation.interval,
        origin=network_origin,
        core=digest("figure_network_responses.py"),
    message:
        "{wildcards.dataset}: figure of foretold responses"
    script:
        "../../scripts/figure_network_responses.py"
