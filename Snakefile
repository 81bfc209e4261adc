# From raw counts to calibrated predictions of perturbations and an updatable gene network.
# Configure in config.yaml; run with `snakemake --cores all`; see README.md.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "workflow/rules/common.smk"


wildcard_constraints:
    dataset=NAME,
    model=NAME,
    shard=r"\d+",


rule all:
    """Everything of every dataset that the config names."""
    default_target: True
    input:
        expand("results/{dataset}/config.yaml", dataset=CONFIG.dataset),
        expand("results/{dataset}/report.html", dataset=CONFIG.dataset),
    localrule: True
    message:
        "everything is there"


rule figures:
    """Every figure of every dataset, as PDF and PNG, with the table behind it."""
    input:
        [figure for dataset in CONFIG.dataset for figure in figure_files(dataset)],
        across_files(),
    localrule: True
    message:
        "every figure is there"


include: "workflow/rules/data.smk"
include: "workflow/rules/screen.smk"
include: "workflow/rules/prediction.smk"
include: "workflow/rules/exchange.smk"
include: "workflow/rules/network.smk"
include: "workflow/rules/systems.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/figures_network.smk"
include: "workflow/rules/figures_across.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/bench.smk"


onsuccess:
    tell_results()
