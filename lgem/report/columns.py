"""What the columns of the result tables mean, for their heads and the lists below them."""

from __future__ import annotations

import re
from collections.abc import Mapping

_BOOTSTRAP = "bounds of the bootstrap interval"
_RHO = {
    "gene_a": "one gene of the pair",
    "gene_b": "the other gene",
    "symbol_a": "symbol of gene_a",
    "symbol_b": "symbol of gene_b",
    "before": "partial correlation before the updates",
    "after": "partial correlation after the updates",
    "change": "change of its absolute value by the updates: above 0, the edge became stronger",
}
_METRIC = "what is measured: L2 distance, correlations, coverage … (docs/methods.md, “Scores”)"
_GENE_SET = "genes scored: top = most expressed in control and the target; top_off_target; target"

MEANINGS: Mapping[str, Mapping[str, str]] = {
    "screen.tsv": {
        "target": "the gene, or combination, whose perturbation is predicted",
        "effect_size": "length of the predicted effect over all genes but the target, log units",
        "lower": "lower bound for the size of the true effect (blank: too few to judge by)",
        "upper": "upper bound for the size of the true effect",
        "distance_to_training": "1 = as far from the nearest training perturbation as these are "
        "from one another; 0 = in training",
        "top_genes": "genes predicted to change most, with their change in log units",
        "in_training": "whether the screen did make this perturbation",
        "basis": "what the prediction rests on; only a bilinear part is specific to the gene",
        "symbol": "symbol of the target",
    },
    "summary.tsv": {
        "model": "model, baseline, random control or technical_duplicate (the ceiling)",
        "gene_set": _GENE_SET,
        "perturbations": "scored = by this model; shared = by all, for comparisons; seen_k = "
        "combinations with k genes seen alone",
        "metric": _METRIC,
        "mean": "mean over perturbations",
        "lower": _BOOTSTRAP,
        "upper": _BOOTSTRAP,
        "n": "perturbations in the mean",
        "n_asked": "perturbations asked for",
        "calibrated": "0 = mean effect of the others, 1 = technical duplicate",
        "calibrated_reason": "why there is no calibrated value",
    },
    "comparisons.tsv": {
        "model_a": "first of the two",
        "model_b": "second of the two",
        "gene_set": _GENE_SET,
        "metric": _METRIC,
        "n": "perturbations that both score",
        "difference": "mean of model_a minus model_b; below 0 is better for a, if less is better",
        "lower": _BOOTSTRAP,
        "upper": _BOOTSTRAP,
    },
    "metrics.tsv": {
        "model": "model, baseline, random control or technical_duplicate",
        "repeat": "repeat of the folds",
        "fold": "fold that held the perturbation out",
        "perturbation": "what was held out",
        "gene_set": _GENE_SET,
        "metric": _METRIC,
        "value": "the score",
        "status": "predicted, mean_only, not_embeddable, not_applicable or left_out",
        "reason": "why there is no value, or none of its own",
        "context": "the context held out",
    },
    "splits.tsv": {
        "scheme": "how folds are made",
        "repeat": "repeat of the folds",
        "fold": "the fold",
        "perturbation": "the perturbation",
        "set": "train, test or excluded",
        "context": "the context held out, under scheme context",
        "seen": "genes of a tested combination that are trained on alone",
    },
    "qc.tsv": {
        "perturbation": "as labelled; A+B is a combination",
        "n_cells": "cells, or profiles",
        "n_guides": "guides seen in them",
        "on_target_gene": "the measured target; blank where it is not measured",
        "on_target_log2_fold_change": "change of the target against control, log2 (counts only)",
        "on_target_effect": "the same as a difference of mean log-expression, natural log",
        "on_target_z": "that difference over its standard error; beyond ±1.96 it is significant",
        "status": "kept, left_out (too few cells) or not_estimable (by the design)",
        "reason": "why it was not kept",
    },
    "differential_expression.tsv": {
        "perturbation": "the perturbation",
        "significant": "how many of all genes have q ≤ 0.05",
        "rank": "rank by |t| within the perturbation",
        "own": "whether the gene is the perturbation's own target",
        "gene": "the gene",
        "symbol": "its symbol",
        "control": "its log-expression in control",
        "effect": "log-expression minus control",
        "se": "standard error of the effect",
        "t": "effect over standard error",
        "p_value": "two-sided t-test",
        "q_value": "p adjusted over the genes of the perturbation (Benjamini–Hochberg)",
    },
    "network/strongest.tsv": {
        **_RHO,
        "selected_by": "threshold, or top where fewer pairs than asked for pass it",
        "q_value": "false discovery rate of the partial correlation before the updates",
    },
    "network/changes.tsv": {
        "update": "all updates, or the one response that would change this pair alone",
        "rank": "rank by size of the change",
        **_RHO,
    },
    "network/genes.tsv": {
        "gene": "the gene",
        "symbol": "its symbol",
        "target": "whether a perturbation targets it",
        "degree_before": "strong edges before the updates (all listed ones where none is strong)",
        "degree_after": "the same after the updates",
        "strength_before": "sum of |partial correlation| over listed edges before the updates",
        "strength_after": "the same after the updates",
        "module": "community of the updated network, 1 the largest",
    },
    "network/statistics.tsv": {
        "metric": "what is counted or measured",
        "before": "before the updates",
        "after": "after the updates",
    },
    "network/estimators.tsv": {
        "estimator": "of the covariance",
        "log_likelihood": "of held-out cells, per gene and cell",
        "difference": "to independent genes: above 0, the network describes new cells better",
        "se": "standard error of the difference",
        "gain": "to the first estimator",
        "gain_se": "standard error of the gain",
        "reason": "why there is none",
        "choice": "what the estimator that was taken chose",
        "value": "the value that it chose",
    },
    "network/responses_summary.tsv": {
        "network": "network, updated, mean of the other effects, or shuffled targets",
        "metric": "correlation over genes, without the target",
        "mean": "mean over perturbations",
        "lower": _BOOTSTRAP,
        "upper": _BOOTSTRAP,
        "n": "perturbations in the mean",
        "n_asked": "perturbations asked for",
    },
    "network/responses_comparisons.tsv": {
        "network": "what is compared",
        "against": "with what",
        "metric": "correlation over genes, without the target",
        "n": "perturbations that both score",
        "mean": "mean of network on these",
        "mean_against": "mean of the other on these",
        "difference": "above 0, network is better",
        "lower": _BOOTSTRAP,
        "upper": _BOOTSTRAP,
    },
    "network/scores.tsv": {
        "estimator": "of the covariance",
        "network": "before or after the updates",
        "metric": "auroc, aupr (average precision), its ratio to chance, early precision",
        "value": "the score",
        "chance": "what a random order would score",
        "lower": _BOOTSTRAP,
        "upper": _BOOTSTRAP,
        "shuffled_mean": "mean score with gene labels of the known edges permuted",
        "shuffled_lower": "bounds of these scores",
        "shuffled_upper": "bounds of these scores",
        "p_value": "share of permutations that reach the value",
    },
    "network/updates.tsv": {
        "order": "order of the updates",
        "source": "what updated the network",
        "operation": "add or remove",
        "rank": "rank of the update",
        "drift": "distance of precision × covariance from the identity",
        "limit": "drift at which the covariance is factorised afresh",
        "refactorised": "whether it was",
    },
    "design.tsv": {
        "system": "what is solved for",
        "rows": "equations (of effects: cells or profiles)",
        "columns": "unknowns",
        "rank": "independent columns; fewer than columns means not all can be told apart",
        "condition": "condition number, infinite where the rank falls short",
        "verdict": "unique, infinite (many solutions), or not solved (part switched off)",
        "explanation": "the system in words",
        "aliased": "which columns cannot be told apart",
        "cause": "why",
        "remedy": "what to do",
    },
    "mixed_forms/variance.tsv": {
        "form": "free or constrained (a mixed model)",
        "start": "start of the fit",
        "part": "fixed (perturbations), random (batches), overlap, residual",
        "share": "share of the squared length of the profiles; shares add up to 1",
    },
    "mixed_forms/codes.tsv": {
        "sample": "group of cells",
        "form": "free or constrained",
        "perturbation": "its perturbation",
        "batch": "its batch, with covariates",
        "n_cells": "its cells",
    },
}
_CODES = {"K": "code of the perturbation, axis {}", "H": "code of batch and covariates, axis {}"}


def meaning(file: str, column: str) -> str:
    """Return what a column of a result table means; blank where that is not known."""
    known = MEANINGS.get(file, {}).get(column, "")
    axis = re.fullmatch(r"([KH])(\d+)", column)
    if not known and axis and file == "mixed_forms/codes.tsv":
        return _CODES[axis[1]].format(axis[2])
    return known
