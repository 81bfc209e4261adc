# One page per dataset that shows the results.


rule report:
    """Put figures, tables and what they mean into one page that needs no other file."""
    input:
        results=report_inputs,
        config="results/{dataset}/config.yaml",
        asked=check_of_demands,
    output:
        "results/{dataset}/report.html",
    log:
        "logs/{dataset}/report.log",
    benchmark:
        "logs/{dataset}/report.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        settings=lambda wildcards: described_settings(CONFIG, wildcards.dataset),
        scoring=SCORING,
        core=digest("report.py"),
    message:
        "{wildcards.dataset}: report"
    script:
        "../../scripts/report.py"
