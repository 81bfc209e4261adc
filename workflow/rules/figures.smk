# Pictures of the tables: each as PDF and PNG, with the numbers drawn beside it.


rule figure_on_target:
    """Draw the effect of every perturbation on its own target."""
    input:
        qc="results/{dataset}/qc.tsv",
    output:
        pdf="results/{dataset}/figures/on_target.pdf",
        png="results/{dataset}/figures/on_target.png",
        tsv="results/{dataset}/figures/on_target.tsv",
    log:
        "logs/{dataset}/figure_on_target.log",
    benchmark:
        "logs/{dataset}/figure_on_target.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        unit=unit,
        origin=origin("pseudobulk"),
        core=digest("figure_on_target.py"),
    message:
        "{wildcards.dataset}: figure of on-target effects"
    script:
        "../../scripts/figure_on_target.py"


rule figure_held_out_error:
    """Draw the error of every model on held-out perturbations."""
    input:
        metrics="results/{dataset}/metrics.tsv",
        summary="results/{dataset}/summary.tsv",
    output:
        pdf="results/{dataset}/figures/held_out_error.pdf",
        png="results/{dataset}/figures/held_out_error.png",
        tsv="results/{dataset}/figures/held_out_error.tsv",
    log:
        "logs/{dataset}/figure_held_out_error.log",
    benchmark:
        "logs/{dataset}/figure_held_out_error.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        unit=unit,
        interval=CONFIG.evaluation.interval,
        origin=scores_origin,
        core=digest("figure_held_out_error.py"),
    message:
        "{wildcards.dataset}: figure of held-out errors"
    script:
        "../../scripts/figure_held_out_error.py"


rule figure_observed_against_predicted:
    """Draw observed against predicted effects of held-out perturbations."""
    input:
        predictions=prediction_files,
        effects="results/{dataset}/effects.h5ad",
    output:
        pdf="results/{dataset}/figures/observed_against_predicted.pdf",
        png="results/{dataset}/figures/observed_against_predicted.png",
        tsv="results/{dataset}/figures/observed_against_predicted.tsv",
    log:
        "logs/{dataset}/figure_observed_against_predicted.log",
    benchmark:
        "logs/{dataset}/figure_observed_against_predicted.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        unit=unit,
        models=[*(model.name for model in CONFIG.models), "mean"],
        top_genes=CONFIG.evaluation.top_genes,
        origin=scores_origin,
        core=digest("figure_observed_against_predicted.py"),
    message:
        "{wildcards.dataset}: figure of observed against predicted effects"
    script:
        "../../scripts/figure_observed_against_predicted.py"


rule figure_error_by_genes:
    """Draw the error of every model against the number of genes scored."""
    input:
        predictions=prediction_files,
        effects="results/{dataset}/effects.h5ad",
        metrics="results/{dataset}/metrics.tsv",
        summary="results/{dataset}/summary.tsv",
    output:
        pdf="results/{dataset}/figures/error_by_genes.pdf",
        png="results/{dataset}/figures/error_by_genes.png",
        tsv="results/{dataset}/figures/error_by_genes.tsv",
    log:
        "logs/{dataset}/figure_error_by_genes.log",
    benchmark:
        "logs/{dataset}/figure_error_by_genes.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        unit=unit,
        evaluation=CONFIG.evaluation.model_dump(mode="json"),
        seed=CONFIG.seed,
        origin=scores_origin,
        core=digest("figure_error_by_genes.py"),
    message:
        "{wildcards.dataset}: figure of errors by number of genes"
    script:
        "../../scripts/figure_error_by_genes.py"


rule figure_embedding_swaps:
    """Draw the paired differences of the first model from the others."""
    input:
        metrics="results/{dataset}/metrics.tsv",
        comparisons="results/{dataset}/comparisons.tsv",
    output:
        pdf="results/{dataset}/figures/embedding_swaps.pdf",
        png="results/{dataset}/figures/embedding_swaps.png",
        tsv="results/{dataset}/figures/embedding_swaps.tsv",
    log:
        "logs/{dataset}/figure_embedding_swaps.log",
    benchmark:
        "logs/{dataset}/figure_embedding_swaps.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        first=CONFIG.models[0].name,
        unit=unit,
        interval=CONFIG.evaluation.interval,
        origin=scores_origin,
        core=digest("figure_embedding_swaps.py"),
    message:
        "{wildcards.dataset}: figure of embedding swaps"
    script:
        "../../scripts/figure_embedding_swaps.py"


rule figure_doubles:
    """Draw errors and effects of held-out combinations."""
    input:
        predictions=prediction_files,
        effects="results/{dataset}/effects.h5ad",
        metrics="results/{dataset}/metrics.tsv",
        splits="results/{dataset}/splits.tsv",
    output:
        pdf="results/{dataset}/figures/doubles.pdf",
        png="results/{dataset}/figures/doubles.png",
        tsv="results/{dataset}/figures/doubles.tsv",
    log:
        "logs/{dataset}/figure_doubles.log",
    benchmark:
        "logs/{dataset}/figure_doubles.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        first=CONFIG.models[0].name,
        unit=unit,
        top_genes=CONFIG.evaluation.top_genes,
        origin=scores_origin,
        core=digest("figure_doubles.py"),
    message:
        "{wildcards.dataset}: figure of combinations"
    script:
        "../../scripts/figure_doubles.py"


rule figure_calibration:
    """Draw the coverage of intervals and the dynamic range of metrics."""
    input:
        metrics="results/{dataset}/metrics.tsv",
        summary="results/{dataset}/summary.tsv",
    output:
        pdf="results/{dataset}/figures/calibration.pdf",
        png="results/{dataset}/figures/calibration.png",
        tsv="results/{dataset}/figures/calibration.tsv",
    log:
        "logs/{dataset}/figure_calibration.log",
    benchmark:
        "logs/{dataset}/figure_calibration.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        interval=CONFIG.evaluation.interval,
        origin=scores_origin,
        core=digest("figure_calibration.py"),
    message:
        "{wildcards.dataset}: figure of calibration"
    script:
        "../../scripts/figure_calibration.py"


rule figure_predicted_against_truth:
    """Draw effects and network of a simulated screen against the truth behind them."""
    input:
        predictions=f"results/{{dataset}}/predictions/{CONFIG.models[0].name}.h5ad",
        effects="results/{dataset}/effects.h5ad",
        truth="resources/{dataset}/truth_effects.h5ad",
        network="resources/{dataset}/truth_network.tsv",
        precision="results/{dataset}/network/precision.npz",
    output:
        pdf="results/{dataset}/figures/predicted_against_truth.pdf",
        png="results/{dataset}/figures/predicted_against_truth.png",
        tsv="results/{dataset}/figures/predicted_against_truth.tsv",
    log:
        "logs/{dataset}/figure_predicted_against_truth.log",
    benchmark:
        "logs/{dataset}/figure_predicted_against_truth.benchmark.tsv"
    wildcard_constraints:
        dataset=SIMULATED,
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(2000, 10),
    params:
        first=CONFIG.models[0].name,
        unit=unit,
        top_genes=CONFIG.evaluation.top_genes,
        origin=origin(
            "pseudobulk", "splits", "evaluation", "network", models=LAYOUT.models[:1]
        ),
        core=digest("figure_predicted_against_truth.py"),
    message:
        "{wildcards.dataset}: figure against the truth"
    script:
        "../../scripts/figure_predicted_against_truth.py"
