"""The linear systems behind a fitted model: its weights, and the effects that it trains on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lgem.designs import CONFOUNDED, REDUNDANT, TOO_FEW
from lgem.errors import listing
from lgem.prediction.linear_model import LinearModel
from lgem.prediction.model import Fitted
from lgem.prediction.training import Training
from lgem.systems import (
    Diagnosis,
    System,
    diagnose,
    diagnose_product,
    diagnose_spectrum,
    worst,
)

TRAINING_SETS = "effects: training sets"


def systems_of(
    name: str,
    predictor: Fitted,
    training: Training,
    dropped: Mapping[str, str],
    settings: Mapping[str, Any],
) -> list[System]:
    """Return the systems met in a fold: that of the training effects, and that of W.

    Parameters
    ----------
    name
        Of the model.
    predictor
        As it was fitted.
    training
        What it was fitted to.
    dropped
        Perturbations that the design of this fold cannot estimate, with the reason.
    settings
        Those of `Settings`.
    """
    found = []
    if training.design is not None:
        text = "effects estimated afresh from control and the training perturbations"
        cause = remedy = ""
        if not training.design.full_column_rank:
            cause = REDUNDANT
            remedy = "none needed: only terms of batch and covariates depend on one another"
        if dropped:
            text += f"; left out, {next(iter(dropped.values()))}: {listing(dropped)}"
            cause = CONFOUNDED
            remedy = "none needed to predict them; to train on them, control in their batches"
        design = System.of(TRAINING_SETS, training.design, text, cause=cause, remedy=remedy)
        found.append(design)
    weights = weights_system(name, predictor, training, settings)
    return found if weights is None else [*found, weights]


def weights_system(
    name: str, predictor: Fitted, training: Training, settings: Mapping[str, Any]
) -> System | None:
    """Return the system P ⊗ G behind the weights of a linear model; None for other predictors."""
    model = predictor.inner
    if not isinstance(model, LinearModel) or model.never_bilinear:
        return None
    row = f"LGEM: {name}"
    if not model.dimensions:
        return System.of(row, None, "the bilinear part is switched off: there is no W to solve for")
    pairs = zip(training.perturbations, training.targets, strict=True)
    P = np.array([model.embed(p, target) for p, target in pairs if not model.why_not(p, target)])
    genes, G = len(training.control), model.gene_embedding
    # Without an embedding every gene stands for itself: the identity, which is not formed.
    of_genes = diagnose_spectrum(np.ones(genes), (genes, genes)) if G is None else diagnose(G)
    of_perturbations = diagnose(P)
    found = diagnose_product(of_perturbations, of_genes)
    # With their zeros where there are fewer rows than columns: a penalty counts there too.
    spectra = [
        np.pad(one.singular, (0, one.columns - len(one.singular)))
        for one in (of_genes, of_perturbations)
    ]
    text = (
        f"W ({of_genes.columns} × {P.shape[1]}) from the effects of {len(P)} perturbations on "
        f"{genes} genes; {_remark(found, spectra, model, settings)}"
    )
    if found.full_column_rank:
        return System.of(row, found, text)
    cause, mend = _why_deficient(of_perturbations, of_genes)
    if model.choice.parameters.penalty:
        mend = f"none needed: the penalty alone decides what the data leave open; or {mend}"
    return System.of(row, found, text, cause=cause, remedy=mend)


def _why_deficient(of_perturbations: Diagnosis, of_genes: Diagnosis) -> tuple[str, str]:
    """Return cause and remedy where P ⊗ G lacks rank."""
    if of_perturbations.rows < of_perturbations.columns:
        return TOO_FEW, "fewer dimensions, or more perturbations that can be embedded"
    if not of_genes.full_column_rank:
        return REDUNDANT, "fewer dimensions: the genes' embedding has fewer independent ones"
    return (
        REDUNDANT,
        "fewer dimensions, or other perturbations: a combination is the sum of its genes and adds "
        "no dimension",
    )


def _remark(
    found: Diagnosis,
    spectra: Sequence[np.ndarray],
    model: LinearModel,
    settings: Mapping[str, Any],
) -> str:
    """Say what the solver makes of the system."""
    solver, penalty = settings["solver"], model.choice.parameters.penalty
    if solver == "gradient":
        # Conjugate gradients on the normal equations gain a factor (κ−1)/(κ+1) a step.
        if not found.full_column_rank:
            return "conjugate gradients from 0 find the solution of minimum norm"
        steps = np.ceil(np.log(2e6) / 2 * found.condition)
        return f"conjugate gradients need at most {steps:.0f} steps for 1e-6"
    if solver in ("pinv", "kronecker"):
        short = "" if found.full_column_rank else ", of minimum norm"
        return f"least squares{short}, without a penalty"
    if not penalty:
        return "penalty 0"
    return f"{solver} with penalty {penalty:.3g} acts like condition number " + (
        f"{_damped(spectra, solver, penalty):.3g}"
    )


def _damped(spectra: Sequence[np.ndarray], solver: str, penalty: float) -> float:
    """Return the condition number of the least-squares problem with its penalty's rows.

    `spectra` are the singular values of G and of P, one for each of their columns.
    """
    if solver == "ridge":
        damped = [s**2 + penalty for s in spectra]
        return float(np.sqrt(np.prod([d.max() / d.min() for d in damped])))
    products = np.outer(*[s**2 for s in spectra])
    damped = products + penalty * products.mean()
    return float(np.sqrt(damped.max() / damped.min()))


def over_folds(systems: Sequence[System]) -> list[System]:
    """Return one system per name: the worst of the folds, saying so; where off, in how many."""
    met: dict[str, list[System]] = {}
    for system in systems:
        met.setdefault(system.system, []).append(system)
    return [_one_of(folds) for folds in met.values()]


def _one_of(folds: Sequence[System]) -> System:
    chosen = worst(folds)
    if len(folds) == 1:
        return chosen
    off = sum(system.rank is None for system in folds)
    text = chosen.explanation + ("" if off == len(folds) else f"; the worst of {len(folds)} folds")
    if off:
        text += f"; off in {off} of {len(folds)} folds"
    return replace(chosen, explanation=text)
