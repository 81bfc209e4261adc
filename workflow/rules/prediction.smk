# What would happen: splits, models and baselines, held-out predictions, scores.


rule splits:
    """Decide which perturbations are held out together."""
    input:
        effects="results/{dataset}/effects.h5ad",
        pseudobulk="results/{dataset}/pseudobulk.h5ad",
        file=given(CONFIG.splits.file) if CONFIG.splits.file else [],
    output:
        "results/{dataset}/splits.tsv",
    log:
        "logs/{dataset}/splits.log",
    benchmark:
        "logs/{dataset}/splits.benchmark.tsv"
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1000, 6),
    params:
        splits=CONFIG.splits.model_dump(mode="json"),
        screen=screen_of,
        min_cells=min_cells,
        seed=CONFIG.seed,
        core=digest("splits.py"),
    message:
        "{wildcards.dataset}: splits"
    script:
        "../../scripts/splits.py"


rule fit:
    """Fit a model or baseline to the training perturbations of every fold, and to nothing else."""
    input:
        pseudobulk="results/{dataset}/pseudobulk.h5ad",
        effects="results/{dataset}/effects.h5ad",
        splits="results/{dataset}/splits.tsv",
        genes=embedding_file("genes"),
        perturbations=embedding_file("perturbations"),
    output:
        directory("results/{dataset}/models/{model}"),
    log:
        "logs/{dataset}/fit_{model}.log",
    benchmark:
        "logs/{dataset}/fit_{model}.benchmark.tsv"
    conda:
        model_environment
    resources:
        mem_mb=memory(1000, 10),
    params:
        model=model_settings,
        screen=screen_of,
        origin=origin("pseudobulk", "splits"),
        core=digest("fit.py"),
    message:
        "{wildcards.dataset}: fitting {wildcards.model}"
    script:
        "../../scripts/fit.py"


rule predict:
    """Predict the held-out perturbations of every fold."""
    input:
        models="results/{dataset}/models/{model}",
        effects="results/{dataset}/effects.h5ad",
        pseudobulk="results/{dataset}/pseudobulk.h5ad",
        splits="results/{dataset}/splits.tsv",
    output:
        "results/{dataset}/predictions/{model}.h5ad",
    log:
        "logs/{dataset}/predict_{model}.log",
    benchmark:
        "logs/{dataset}/predict_{model}.benchmark.tsv"
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1000, 6),
    params:
        screen=screen_of,
        level=CONFIG.evaluation.interval,
        origin=origin("pseudobulk", "splits", "evaluation.interval"),
        core=digest("predict.py"),
    message:
        "{wildcards.dataset}: predicting held-out perturbations with {wildcards.model}"
    script:
        "../../scripts/predict.py"


rule technical_duplicate:
    """Estimate every effect from each half of the cells: how well data predict themselves."""
    input:
        pseudobulk="results/{dataset}/pseudobulk.h5ad",
        effects="results/{dataset}/effects.h5ad",
    output:
        "results/{dataset}/technical_duplicate.h5ad",
    log:
        "logs/{dataset}/technical_duplicate.log",
    benchmark:
        "logs/{dataset}/technical_duplicate.benchmark.tsv"
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1000, 6),
    params:
        context=held_out_context,
        min_cells=min_cells,
        origin=origin("pseudobulk", "splits.scheme"),
        core=digest("technical_duplicate.py"),
    message:
        "{wildcards.dataset}: technical duplicate"
    script:
        "../../scripts/technical_duplicate.py"


rule evaluate:
    """Score all predictions, with intervals, paired comparisons and the result in one sentence."""
    input:
        predictions=prediction_files,
        effects="results/{dataset}/effects.h5ad",
        duplicate="results/{dataset}/technical_duplicate.h5ad",
    output:
        metrics="results/{dataset}/metrics.tsv",
        summary="results/{dataset}/summary.tsv",
        comparisons="results/{dataset}/comparisons.tsv",
        headline="results/{dataset}/headline.txt",
    log:
        "logs/{dataset}/evaluate.log",
    benchmark:
        "logs/{dataset}/evaluate.benchmark.tsv"
    conda:
        "../../envs/screen.yaml"
    resources:
        mem_mb=memory(1000, 4),
    params:
        evaluation=CONFIG.evaluation.model_dump(mode="json"),
        models=[model.name for model in CONFIG.models],
        baselines=LAYOUT.baselines,
        controls=list(CONTROLS),
        seed=CONFIG.seed,
        core=digest("evaluate.py"),
    message:
        "{wildcards.dataset}: scoring predictions"
    script:
        "../../scripts/evaluate.py"


rule screen:
    """Fit the first model on all perturbations and predict those that nobody has made."""
    input:
        pseudobulk="results/{dataset}/pseudobulk.h5ad",
        effects="results/{dataset}/effects.h5ad",
        genes=embedding_file("genes", first=True),
        perturbations=embedding_file("perturbations", first=True),
    output:
        screen="results/{dataset}/screen.tsv",
        model="results/{dataset}/screen_model.npz",
        fitted="results/{dataset}/screen_model.json",
    log:
        "logs/{dataset}/screen.log",
    benchmark:
        "logs/{dataset}/screen.benchmark.tsv"
    conda:
        model_environment
    resources:
        mem_mb=memory(1000, 10),
    params:
        model=LAYOUT.model(LAYOUT.models[0]),
        name=LAYOUT.models[0],
        screen=screen_of,
        targets=CONFIG.screen.targets,
        level=CONFIG.evaluation.interval,
        origin=origin(
            "pseudobulk", "screen", "evaluation.interval", models=LAYOUT.models[:1]
        ),
        core=digest("screen.py"),
    message:
        "{wildcards.dataset}: predicting perturbations that nobody has made"
    script:
        "../../scripts/screen.py"
