# Side-by-side timings; nothing else depends on them.


rule bench:
    """Time the parts that were made to be fast, beside what they replace."""
    input:
        "results/bench.tsv",
        "results/figures/update_speed.pdf",


rule bench_tables:
    """Time the parts that were made to be fast, beside what they replace."""
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
