# What was measured: cells, counts, pseudobulk, quality control, effects.


rule merged_config:
    """Write the config that repeats the run, with every default."""
    output:
        "results/{dataset}/config.yaml",
    log:
        "logs/{dataset}/merged_config.log",
    benchmark:
        "logs/{dataset}/merged_config.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/screen.yaml"
    params:
        config=lambda wildcards: CONFIG.of(wildcards.dataset),
        core=digest("merged_config.py"),
    message:
        "{wildcards.dataset}: writing the merged config"
    script:
        "../../scripts/merged_config.py"


rule import_cells:
    """Bring one file of cells from another format (10x, a table of counts) into AnnData's."""
    input:
        cells=original_file,
        parts=original_parts,
    output:
        "resources/{dataset}/cells_{shard}.h5ad",
    log:
        "logs/{dataset}/import_cells_{shard}.log",
    benchmark:
        "logs/{dataset}/import_cells_{shard}.benchmark.tsv"
    wildcard_constraints:
        dataset=CELLS,
    conda:
        "../../envs/cells.yaml"
    resources:
        mem_mb=memory(2000, 12),
    params:
        orientation=lambda wildcards: screen_of(wildcards)["orientation"],
        core=digest("import_cells.py"),
    message:
        "{wildcards.dataset}: reading shard {wildcards.shard} as it came"
    script:
        "../../scripts/import_cells.py"


rule plan_cells:
    """Read what is known of the cells, give each its perturbation, group and half; check inputs."""
    input:
        shards=shard_files,
        metadata=cell_tables("metadata"),
        guide_calls=cell_tables("guide_calls"),
        guide_targets=guide_targets,
    output:
        cells="results/{dataset}/work/cells.parquet",
        groups="results/{dataset}/work/groups.parquet",
        genes="results/{dataset}/work/genes.parquet",
    log:
        "logs/{dataset}/plan_cells.log",
    benchmark:
        "logs/{dataset}/plan_cells.benchmark.tsv"
    wildcard_constraints:
        dataset=CELLS,
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1000, 1),
    params:
        names=lambda wildcards: LAYOUT.shard_names(wildcards.dataset),
        came_as=lambda wildcards: LAYOUT.originals(wildcards.dataset),
        screen=screen_of,
        seed=CONFIG.seed,
        core=digest("plan_cells.py"),
    message:
        "{wildcards.dataset}: checking the input and planning groups of cells"
    script:
        "../../scripts/plan_cells.py"


rule check_demands:
    """Hold what the config asks for against genes and perturbations, before others cost time."""
    input:
        unpack(planned),
        tables=demanded_files,
    output:
        "results/{dataset}/work/demands.json",
    log:
        "logs/{dataset}/check_demands.log",
    benchmark:
        "logs/{dataset}/check_demands.benchmark.tsv"
    priority: 100
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1000, 10),
    params:
        asked=lambda wildcards: LAYOUT.demands(wildcards.dataset),
        screen=screen_of,
        seed=CONFIG.seed,
        core=digest("check_demands.py"),
    message:
        "{wildcards.dataset}: checking tables, targets and dimensions"
    script:
        "../../scripts/check_demands.py"


rule count_shard:
    """Sum the counts of one shard over groups of cells, in one pass; set control cells aside."""
    input:
        shard=shard_file,
        cells="results/{dataset}/work/cells.parquet",
        groups="results/{dataset}/work/groups.parquet",
    output:
        sums=temp("results/{dataset}/work/sums_{shard}.npz"),
        control="results/{dataset}/work/control_{shard}.h5",
    log:
        "logs/{dataset}/count_shard_{shard}.log",
    benchmark:
        "logs/{dataset}/count_shard_{shard}.benchmark.tsv"
    wildcard_constraints:
        dataset=CELLS,
    conda:
        "../../envs/screen.yaml"
    resources:
        # Bounded by groups and genes, not by cells.
        mem_mb=memory(2500, 0.5),
    params:
        screen=screen_of,
        target_sum=CONFIG.pseudobulk.target_sum,
        core=digest("count_shard.py"),
    message:
        "{wildcards.dataset}: counting shard {wildcards.shard}"
    script:
        "../../scripts/count_shard.py"


rule pseudobulk:
    """Add up the sums of all shards and turn them into means and variances of groups."""
    input:
        sums=per_shard("sums_{shard}.npz"),
        groups="results/{dataset}/work/groups.parquet",
        genes="results/{dataset}/work/genes.parquet",
    output:
        "results/{dataset}/pseudobulk.h5ad",
    log:
        "logs/{dataset}/pseudobulk.log",
    benchmark:
        "logs/{dataset}/pseudobulk.benchmark.tsv"
    wildcard_constraints:
        dataset=CELLS,
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1000, 4),
    params:
        origin=origin("pseudobulk.target_sum"),
        core=digest("pseudobulk.py"),
    message:
        "{wildcards.dataset}: pseudobulk"
    script:
        "../../scripts/pseudobulk.py"


rule control_cells:
    """Keep the network's panel of genes of the control cells, with quality metrics."""
    input:
        shards=per_shard("control_{shard}.h5"),
        pseudobulk="results/{dataset}/pseudobulk.h5ad",
        panel=network_file("panel"),
    output:
        "results/{dataset}/control_cells.h5ad",
    log:
        "logs/{dataset}/control_cells.log",
    benchmark:
        "logs/{dataset}/control_cells.benchmark.tsv"
    wildcard_constraints:
        dataset=CELLS,
    conda:
        "../../envs/cells.yaml"
    resources:
        mem_mb=memory(1500, 8),
    params:
        panel=CONFIG.network.panel,
        min_detected=CONFIG.network.min_detected,
        target_sum=CONFIG.pseudobulk.target_sum,
        origin=origin("pseudobulk.target_sum", "network.panel", "network.min_detected"),
        core=digest("control_cells.py"),
    message:
        "{wildcards.dataset}: control cells of the network's panel"
    script:
        "../../scripts/control_cells.py"


rule profile_pseudobulk:
    """Group profiles by perturbation and batch: bulk data enter the chain here."""
    input:
        unpack(table_files),
    output:
        cells="results/{dataset}/work/cells.parquet",
        pseudobulk="results/{dataset}/pseudobulk.h5ad",
    log:
        "logs/{dataset}/profile_pseudobulk.log",
    benchmark:
        "logs/{dataset}/profile_pseudobulk.benchmark.tsv"
    wildcard_constraints:
        dataset=PROFILES,
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1000, 6),
    params:
        screen=screen_of,
        seed=CONFIG.seed,
        origin=origin(),
        core=digest("profile_pseudobulk.py"),
    message:
        "{wildcards.dataset}: grouping profiles"
    script:
        "../../scripts/profile_pseudobulk.py"


rule panel_profiles:
    """Keep the network's panel of genes of all profiles."""
    input:
        unpack(table_files),
        checked=checked_profiles,
        panel=network_file("panel"),
    output:
        "results/{dataset}/control_cells.h5ad",
    log:
        "logs/{dataset}/panel_profiles.log",
    benchmark:
        "logs/{dataset}/panel_profiles.benchmark.tsv"
    wildcard_constraints:
        dataset=PROFILES,
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1000, 6),
    params:
        screen=screen_of,
        panel=CONFIG.network.panel,
        origin=origin("network.panel"),
        core=digest("panel_profiles.py"),
    message:
        "{wildcards.dataset}: profiles of the network's panel"
    script:
        "../../scripts/panel_profiles.py"


rule qc:
    """Say for every perturbation how many cells it has, whether it hit its target, if it stays."""
    input:
        cells="results/{dataset}/work/cells.parquet",
        pseudobulk="results/{dataset}/pseudobulk.h5ad",
        control="results/{dataset}/control_cells.h5ad",
    output:
        table="results/{dataset}/qc.tsv",
        summary="results/{dataset}/qc.json",
    log:
        "logs/{dataset}/qc.log",
    benchmark:
        "logs/{dataset}/qc.benchmark.tsv"
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1000, 4),
    params:
        screen=screen_of,
        min_cells=CONFIG.pseudobulk.min_cells,
        adjust_batch=CONFIG.pseudobulk.adjust_batch,
        origin=origin("pseudobulk"),
        core=digest("qc.py"),
    message:
        "{wildcards.dataset}: quality control"
    script:
        "../../scripts/qc.py"


rule effects:
    """Estimate the effect of every perturbation, adjusted for batch where the design allows."""
    input:
        pseudobulk="results/{dataset}/pseudobulk.h5ad",
        qc="results/{dataset}/qc.tsv",
    output:
        effects="results/{dataset}/effects.h5ad",
        systems="results/{dataset}/work/systems_effects.json",
        differential="results/{dataset}/differential_expression.parquet",
        strongest="results/{dataset}/differential_expression.tsv",
    log:
        "logs/{dataset}/effects.log",
    benchmark:
        "logs/{dataset}/effects.benchmark.tsv"
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1000, 6),
    params:
        adjust_batch=CONFIG.pseudobulk.adjust_batch,
        screen=screen_of,
        origin=origin("pseudobulk"),
        core=digest("effects.py"),
    message:
        "{wildcards.dataset}: effects of perturbations"
    script:
        "../../scripts/effects.py"
