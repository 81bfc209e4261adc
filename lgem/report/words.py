"""The words and names that the page uses without explaining them each time."""

from __future__ import annotations

from collections.abc import Iterable

WORDS = {
    "held out": "left out of the fit, then predicted and compared with what was observed",
    "L2": "distance between predicted and observed log-expression over the genes scored (natural "
    "log units): 0 is a perfect prediction, less is better",
    "Pearson": "correlation over genes of the predicted and the observed change against control: "
    "1 is perfect, more is better; it sees the direction of a response, not its size",
    "pearson_delta": "the name of that in tables; pearson_delta_perturbed is the same against the "
    "mean of the perturbations, so that what all of them share earns nothing",
    "mse_unbiased": "mean squared error without the part that is the noise of the measurement",
    "retrieval": "rank, by closeness to a prediction, of the perturbation that it is for among "
    "those held out together: 1 is always the closest, 0.5 is chance",
    "on target, off target": "at the perturbed gene itself; at all other genes. The loss of the "
    "target is the easy part of a prediction",
    "interval, coverage": "of a mean, by resampling perturbations (bootstrap): a difference whose "
    "interval holds 0 may be chance. A prediction has one for every gene, and coverage is the "
    "share of observed values within it",
    "technical duplicate": "the same effects measured twice, in one half of the cells and in the "
    "other: how well one half predicts the other is what can be expected of a very good model. "
    "Half of the cells are noisier than all of them, so that a model may pass it",
    "shrunk mean": "the mean effect of the other perturbations, made smaller as far as that helped "
    "in training; what the model answers where it cannot place a perturbation",
}

_NAMES = {
    "no_change": "baseline: all genes stay as in control",
    "mean": "baseline: the mean effect of the training perturbations",
    "additive": "baseline for combinations: the sum of the effects of their genes alone",
    "same_effect": "baseline: the effect of the same perturbation in the other contexts",
    "no_change_on_target": "no_change, but for the target, which changes as targets did in "
    "training",
    "mean_on_target": "mean, with the same change of the target",
    "additive_on_target": "additive, with the same change of the target",
    "lgem_random_P": "control: the default model with random numbers for what is known of "
    "perturbations; a model must beat it to have learned from them",
    "lgem_random_G": "control: the same with random numbers for what is known of genes",
}
_MODEL = "a model of the config: its settings are at the end of this page"
_PUBLISHED = "the published linear model (preset paper), for comparison"

NETWORK_WORDS = {
    "partial correlation": "how two genes go together across unperturbed cells once all other "
    "genes are accounted for, from -1 to 1",
    "false discovery rate": "the share of chance findings to be expected among the pairs that are "
    "at least as strong",
    "updates": "changes to the network without computing it anew, by the responses that the model "
    "predicts unless the config asks for others",
}


def explained(
    models: Iterable[str], published: Iterable[str], others: Iterable[str]
) -> dict[str, str]:
    """Return what words and names on the page of a screen mean.

    Parameters
    ----------
    models
        Names of the models of the config.
    published
        Those of them that are the published one.
    others
        Names of the baselines and controls that were scored.
    """
    known = set(published)
    named = {model: _PUBLISHED if model in known else _MODEL for model in models}
    return {**WORDS, **named, **{name: _NAMES[name] for name in others if name in _NAMES}}
