# Pictures of several datasets beside one another, from the tables behind those of each.


rule figure_across:
    """Draw what a figure shows of one dataset for all that the config names."""
    input:
        lambda wildcards: expand(
            "results/{dataset}/figures/{figure}.tsv",
            dataset=LAYOUT.perturbed,
            figure=wildcards.figure,
        ),
    output:
        pdf="results/figures/{figure}.pdf",
        png="results/figures/{figure}.png",
        tsv="results/figures/{figure}.tsv",
    log:
        "logs/figure_across_{figure}.log",
    benchmark:
        "logs/figure_across_{figure}.benchmark.tsv"
    wildcard_constraints:
        figure=one_of(ACROSS_FIGURES),
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        datasets=LAYOUT.perturbed,
        units={name: unit_of(name) for name in LAYOUT.perturbed},
        missing=LAYOUT.unperturbed,
        options=lambda wildcards: (
            {}
            if wildcards.figure == "doubles"
            else {"interval": CONFIG.evaluation.interval}
        ),
        origin=all_scores_origin,
        core=digest("figure_across.py"),
    message:
        "all datasets: figure {wildcards.figure}"
    script:
        "../../scripts/figure_across.py"
