# Side-by-side timings; nothing else depends on them.
# Other tools that count cells, and the cells that are counted.
PEERS = {"scanpy": "scanpy==1.11.5", "crispyx": "crispyx==0.2.2"}
CELLS_COUNTED = 60000
CELLS_ENTRY = Dataset(
    path="cells.h5ad", perturbation="perturbation", control=["control"]
).model_dump(mode="json")


rule bench:
    """Time the parts that were made to be fast, beside what they replace."""
    input:
        "results/bench.tsv",
        "results/figures/update_speed.pdf",


rule bench_screen:
    """Simulate counts of many cells, for the benchmark of counting."""
    output:
        temp("resources/bench/cells_{cells}.h5ad"),
    log:
        "logs/bench/screen_{cells}.log",
    benchmark:
        "logs/bench/screen_{cells}.benchmark.tsv"
    wildcard_constraints:
        cells=r"\d+",
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(2000, 0),
    params:
        core=digest("bench_screen.py"),
    message:
        "counts of {wildcards.cells} cells"
    script:
        "../../scripts/bench_screen.py"


rule bench_peer:
    """Install another tool into an environment of its own."""
    output:
        directory("resources/bench/{peer}"),
    log:
        "logs/bench/{peer}.log",
    benchmark:
        "logs/bench/{peer}.benchmark.tsv"
    wildcard_constraints:
        peer=one_of(PEERS),
    localrule: True
    conda:
        "../../envs/download.yaml"
    params:
        requirement=lambda wildcards: PEERS[wildcards.peer],
    message:
        "installing {params.requirement}"
    script:
        "../../scripts/bench_peer.py"


rule bench_counting:
    """Time pseudobulk of a large screen beside other tools, and its growth."""
    input:
        small=f"resources/bench/cells_{CELLS_COUNTED}.h5ad",
        large=f"resources/bench/cells_{10 * CELLS_COUNTED}.h5ad",
        peers=[f"resources/bench/{peer}" for peer in PEERS],
    output:
        "resources/bench/counting.tsv",
    log:
        "logs/bench/counting.log",
    benchmark:
        "logs/bench/counting.benchmark.tsv"
    conda:
        "../../envs/screen.yaml"
    # Contenders may use the whole machine, and nothing runs beside them.
    threads: lambda wildcards: workflow.cores
    resources:
        mem_mb=memory(4000, 20),
    params:
        rounds=5,
        peers=list(PEERS),
        screen=CELLS_ENTRY,
        core=digest("bench_counting.py"),
    message:
        "timing pseudobulk"
    script:
        "../../scripts/bench_counting.py"


rule bench_idle:
    """Time a run of the whole workflow that has nothing to do, after one that makes everything."""
    input:
        "resources/bench/counting.tsv",  # one timing after the other
    output:
        "resources/bench/idle.tsv",
    log:
        "logs/bench/idle.log",
    benchmark:
        "logs/bench/idle.benchmark.tsv"
    conda:
        "../../envs/report.yaml"
    threads: lambda wildcards: workflow.cores
    resources:
        mem_mb=memory(4000, 0),
    params:
        rounds=5,
        python=sys.executable,  # which has Snakemake
        repository=str(ROOT),
        options=(
            ["--sdm", "conda"]
            if workflow.deployment_settings.deployment_method
            else []
        ),
        core=digest("bench_idle.py"),
    message:
        "timing a run with nothing to do"
    script:
        "../../scripts/bench_idle.py"


rule bench_tables:
    """Time the parts that were made to be fast, beside what they replace."""
    input:
        earlier=["resources/bench/counting.tsv", "resources/bench/idle.tsv"],
    output:
        table="results/bench.tsv",
        updates="results/bench_updates.tsv",
    log:
        "logs/bench.log",
    benchmark:
        "logs/bench.benchmark.tsv"
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(6000, 0),
    params:
        rounds=7,
        core=digest("bench.py"),
    message:
        "timing"
    script:
        "../../scripts/bench.py"


rule figure_update_speed:
    """Draw the time of an update against that of a new inverse."""
    input:
        speed="results/bench_updates.tsv",
    output:
        pdf="results/figures/update_speed.pdf",
        png="results/figures/update_speed.png",
        tsv="results/figures/update_speed.tsv",
    log:
        "logs/figure_update_speed.log",
    benchmark:
        "logs/figure_update_speed.benchmark.tsv"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=memory(1000, 8),
    params:
        origin={"dataset": "bench", "config_digest": "none", "seed": 0},
        core=digest("figure_update_speed.py"),
    message:
        "figure of update times"
    script:
        "../../scripts/figure_update_speed.py"
