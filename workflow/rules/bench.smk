# Side-by-side timings; nothing else depends on them.


rule bench:
    """Time the parts that were made to be fast, beside what they replace."""
    output:
        "results/bench.tsv",
    log:
        "logs/bench.log",
    benchmark:
        "logs/bench.benchmark.tsv"
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=4000,
    params:
        rounds=7,
        core=digest("bench.py"),
    message:
        "timing"
    script:
        "../../scripts/bench.py"
