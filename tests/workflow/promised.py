"""What a run leaves behind: files, figures, and the columns of its tables."""

RESULTS = {
    *("config.yaml", "report.html", "headline.txt", "qc.tsv", "qc.json", "control_cells.h5ad"),
    *("pseudobulk.h5ad", "effects.h5ad", "design.tsv", "splits.tsv", "metrics.tsv", "summary.tsv"),
    *("comparisons.tsv", "technical_duplicate.h5ad", "screen.tsv", "screen_model.npz"),
    *("screen_model.json", "network/precision.npz", "network/edges.parquet"),
    *("network/network.graphml", "network/updates.tsv", "network/statistics.tsv"),
    *("network/strongest.tsv", "network/changes.tsv", "network/scores.tsv"),
    *("network/headline.txt", "differential_expression.parquet", "differential_expression.tsv"),
    *("network/panel.json", "network/estimators.tsv", "network/genes.tsv", "network/responses.tsv"),
    *(f"network/responses_{part}" for part in ("summary.tsv", "comparisons.tsv", "headline.txt")),
    *("singular_values.tsv", "mixed_forms/model.npz", "mixed_forms/model.json"),
    *(f"mixed_forms/{table}.tsv" for table in ("convergence", "starts", "variance", "codes")),
}
# The name of every figure of a simulated screen: what is promised, whatever the layout says.
FIGURES = {
    *("on_target", "held_out_error", "observed_against_predicted", "error_by_genes", "doubles"),
    *("embedding_swaps", "calibration", "predicted_against_truth", "partial_correlations"),
    *("largest_changes", "network_scores", "linear_systems", "mixed_forms"),
    *("network_graph", "rewired", "network_responses"),
}
KINDS, FITTED = ("pdf", "png", "tsv"), ("npz", "json")
COLUMNS = {
    "qc.tsv": "perturbation n_cells n_guides on_target_log2_fold_change on_target_z status reason",
    "differential_expression.tsv": "perturbation significant rank own gene control effect se t "
    "p_value q_value",
    "design.tsv": "system rows columns rank condition verdict explanation aliased cause remedy",
    "singular_values.tsv": "system order singular_value",
    "mixed_forms/convergence.tsv": "schedule start sweep objective",
    "mixed_forms/starts.tsv": "start objective sweeps converged fixed random distance",
    "mixed_forms/variance.tsv": "form start part share",
    "mixed_forms/codes.tsv": "sample perturbation batch n_cells K1 H1",
    "splits.tsv": "scheme repeat fold perturbation set context seen",
    "metrics.tsv": "model repeat fold perturbation gene_set metric value status reason",
    "summary.tsv": "model gene_set perturbations metric mean lower upper n n_asked calibrated "
    "calibrated_reason",
    "comparisons.tsv": "model_a model_b metric n difference lower upper",
    "screen.tsv": "target effect_size lower upper distance_to_training top_genes in_training basis",
    "network/updates.tsv": "order source operation rank drift limit refactorised",
    "network/statistics.tsv": "metric before after",
    "network/strongest.tsv": "gene_a gene_b before after change selected_by q_value",
    "network/changes.tsv": "update rank gene_a gene_b before after change",
    "network/scores.tsv": "estimator network metric value chance lower upper shuffled_mean "
    "shuffled_lower shuffled_upper p_value",
    "network/estimators.tsv": "estimator log_likelihood difference se gain gain_se reason choice "
    "value",
    "network/genes.tsv": "gene target degree_before degree_after strength_before strength_after "
    "module",
    "network/responses.tsv": "perturbation gene network metric value reason",
    "network/responses_summary.tsv": "network metric mean lower upper n n_asked",
    "network/responses_comparisons.tsv": "network against metric n mean mean_against difference "
    "lower upper",
}
