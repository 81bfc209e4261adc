# One page per dataset that shows the results.


rule report:
    """Collect figures and tables of a dataset into one self-contained page."""
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
        snakefile=str(ROOT / "Snakefile"),
        core=digest("report.py"),
    message:
        "{wildcards.dataset}: report"
    script:
        "../../scripts/report.py"
