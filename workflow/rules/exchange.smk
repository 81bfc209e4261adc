# What others evaluate: predictions in the form that the package cell-eval reads.


rule exchange_pair:
    """Write the predictions of a model, and what was observed, as a pair for cell-eval."""
    input:
        "results/{dataset}/predictions/{model}.h5ad",
    output:
        predicted="results/{dataset}/exchange/{model}_predicted.h5ad",
        observed="results/{dataset}/exchange/{model}_observed.h5ad",
    log:
        "logs/{dataset}/exchange_{model}.log",
    benchmark:
        "logs/{dataset}/exchange_{model}.benchmark.tsv"
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1000, 6),
    params:
        origin=origin("pseudobulk", "splits"),
        core=digest("exchange.py"),
    message:
        "{wildcards.dataset}: predictions of {wildcards.model} for cell-eval"
    script:
        "../../scripts/exchange.py"


rule exchange:
    """The pairs of every model of every dataset that has perturbations."""
    input:
        [
            f"results/{dataset}/exchange/{model}_{part}.h5ad"
            for dataset in CONFIG.dataset
            if LAYOUT.is_perturbed(dataset)
            for model in LAYOUT.models
            for part in ("predicted", "observed")
        ],
    localrule: True
