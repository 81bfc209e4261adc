# Linear mixed forms, and the linear systems that every stage has met, with their figures.


rule mixed_forms:
    """Decompose the groups of cells into what perturbations and what batches do."""
    input:
        pseudobulk="results/{dataset}/pseudobulk.h5ad",
        effects="results/{dataset}/effects.h5ad",
    output:
        model="results/{dataset}/mixed_forms/model.npz",
        fitted="results/{dataset}/mixed_forms/model.json",
        convergence="results/{dataset}/mixed_forms/convergence.tsv",
        starts="results/{dataset}/mixed_forms/starts.tsv",
        variance="results/{dataset}/mixed_forms/variance.tsv",
        codes="results/{dataset}/mixed_forms/codes.tsv",
        systems="results/{dataset}/work/systems_mixed_forms.json",
    log:
        "logs/{dataset}/mixed_forms.log",
    benchmark:
        "logs/{dataset}/mixed_forms.benchmark.tsv"
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1000, 10),
    params:
        screen=screen_of,
        forms=LAYOUT.form_settings,
        starts=CONFIG.mixed_forms.starts,
        origin=origin("pseudobulk", "mixed_forms"),
        core=digest("mixed_forms.py"),
    message:
        "{wildcards.dataset}: linear mixed forms"
    script:
        "../../scripts/mixed_forms.py"


rule design:
    """Put the linear systems that all stages have met into one table."""
    input:
        systems_met,
    output:
        design="results/{dataset}/design.tsv",
        spectra="results/{dataset}/singular_values.tsv",
    log:
        "logs/{dataset}/design.log",
    benchmark:
        "logs/{dataset}/design.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/screen.yaml"
    params:
        core=digest("design.py"),
    message:
        "{wildcards.dataset}: linear systems met"
    script:
        "../../scripts/design.py"


rule figure_linear_systems:
    """Draw the singular values of the linear systems that the run has met, and their verdicts."""
    input:
        design="results/{dataset}/design.tsv",
        spectra="results/{dataset}/singular_values.tsv",
    output:
        pdf="results/{dataset}/figures/linear_systems.pdf",
        png="results/{dataset}/figures/linear_systems.png",
        tsv="results/{dataset}/figures/linear_systems.tsv",
    log:
        "logs/{dataset}/figure_linear_systems.log",
    benchmark:
        "logs/{dataset}/figure_linear_systems.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        origin=systems_origin,
        core=digest("figure_linear_systems.py"),
    message:
        "{wildcards.dataset}: figure of linear systems"
    script:
        "../../scripts/figure_linear_systems.py"


rule figure_mixed_forms:
    """Draw convergence, variance by part and codes of the linear mixed forms."""
    input:
        convergence="results/{dataset}/mixed_forms/convergence.tsv",
        variance="results/{dataset}/mixed_forms/variance.tsv",
        codes="results/{dataset}/mixed_forms/codes.tsv",
    output:
        pdf="results/{dataset}/figures/mixed_forms.pdf",
        png="results/{dataset}/figures/mixed_forms.png",
        tsv="results/{dataset}/figures/mixed_forms.tsv",
    log:
        "logs/{dataset}/figure_mixed_forms.log",
    benchmark:
        "logs/{dataset}/figure_mixed_forms.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        origin=origin("pseudobulk", "mixed_forms"),
        core=digest("figure_mixed_forms.py"),
    message:
        "{wildcards.dataset}: figure of linear mixed forms"
    script:
        "../../scripts/figure_mixed_forms.py"
