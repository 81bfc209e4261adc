"""Technical duplicate: every effect measured twice, in disjoint halves of the cells.

What one half says of the other is as good as a prediction can be expected to get: both halves
have the same perturbations, batches and genes, and differ by noise alone, in control as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import anndata
import numpy as np
import pandas as pd

from lgem.errors import InputError, counted
from lgem.screen.effects import Effects, GroupStatistics, estimate_effects
from lgem.screen.io import ESTIMATED, LEFT_OUT, group_statistics
from lgem.screen.labels import CONTROL

HALVES = (1, 2)
EMPTY = "too few to halve"


def half_statistics(pseudobulk: anndata.AnnData, half: int) -> GroupStatistics:
    """Return the sufficient statistics of one technical half; groups without cells drop out.

    The variance of a group is that of all its cells, which is the half's in expectation.
    """
    whole = group_statistics(pseudobulk)
    size = whole.groups[f"n_half_{half}"].to_numpy()
    mean = np.asarray(pseudobulk.layers[f"half_{half}"])
    halved = GroupStatistics(whole.groups.assign(n_cells=size), mean, whole.variance)
    return halved.at(size > 0)


def effects_of_half(
    statistics: GroupStatistics, perturbations: Sequence[str], factors: Sequence[str], half: int
) -> tuple[Effects | None, dict[str, str]]:
    """Return the effects that one half can estimate, and why it cannot estimate the others."""
    there = set(statistics.groups["perturbation"])
    place = f"half {half} of the cells"
    if CONTROL not in there:
        return None, dict.fromkeys(perturbations, f"{place} has no control")
    left_out = {name: EMPTY for name in perturbations if name not in there}
    present = [name for name in perturbations if name in there]
    if not present:
        return None, left_out
    try:
        found = estimate_effects(statistics.only(present), factors)
    except InputError:
        why = f"not connected with control through {' and '.join(factors)} in {place}"
        return None, left_out | dict.fromkeys(present, why)
    left_out |= {name: f"{why} in {place}" for name, why in found.left_out.items()}
    return found, left_out


def duplicate_by_context(
    pseudobulk: anndata.AnnData, effects: anndata.AnnData, context: str, fewest: int
) -> anndata.AnnData:
    """Return the technical duplicates of the effects within each context, below one another.

    Parameters
    ----------
    pseudobulk, effects
        As for `technical_duplicate`.
    context
        Column of the groups with the cell line or condition.
    fewest
        Cells that a perturbation needs within a context.
    """
    level = pseudobulk.obs[context].astype(str)
    parts = []
    for name in sorted(set(level)):
        part = pseudobulk[(level == name).to_numpy()]
        cells = part.obs.groupby(part.obs["perturbation"].astype(str))["n_cells"].sum()
        there = effects.obs_names.astype(str).isin(cells.index[cells >= fewest])
        if CONTROL in cells.index and there.any():
            found = technical_duplicate(part, effects[there])
            found.obs_names = [f"{row}/{name}" for row in found.obs_names]
            parts.append(found)
    if not parts:
        return technical_duplicate(pseudobulk, effects)
    joined = anndata.concat(parts)
    joined.var = effects.var
    return joined


def technical_duplicate(pseudobulk: anndata.AnnData, effects: anndata.AnnData) -> anndata.AnnData:
    """Return what half 1 of the cells says of half 2, in the form of predictions.

    Parameters
    ----------
    pseudobulk
        Groups with the means and sizes of both technical halves.
    effects
        Effects of the whole screen; ``uns["factors"]`` is what both halves are adjusted for.

    Returns
    -------
    AnnData
        obs: the perturbations with an effect (perturbation, status estimated or left_out,
        reason); X: control + effect in half 1; layers ``observed`` and ``observed_se``: control +
        effect in half 2 and its standard error. Missing where a half cannot estimate the effect.
    """
    kept = effects.obs_names[(effects.obs["status"] == ESTIMATED).to_numpy()].astype(str).tolist()
    factors = [str(factor) for factor in effects.uns["factors"]]
    control = effects.var["control"].to_numpy(dtype=float)
    profiles, errors, reasons = [], [], dict.fromkeys(kept, "")
    for half in HALVES:
        found, left_out = effects_of_half(half_statistics(pseudobulk, half), kept, factors, half)
        reasons |= {name: why for name, why in left_out.items() if not reasons[name]}
        effect, se = np.full((2, len(kept), len(control)), np.nan)
        if found is not None:
            rows = [kept.index(name) for name in found.perturbations]
            effect[rows], se[rows] = found.effect, found.se
        profiles.append(control + effect)
        errors.append(se)
    sizes = _sizes(pseudobulk)
    whys = [sizes[name] + why if why == EMPTY else why for name, why in reasons.items()]
    obs = pd.DataFrame(
        {
            "perturbation": kept,
            "status": [LEFT_OUT if why else ESTIMATED for why in whys],
            "reason": whys,
        },
        index=pd.Index(kept, name="name"),
    )
    both = np.array([not why for why in whys], dtype=bool)[:, None]
    first, second = (np.where(both, values, np.nan) for values in profiles)
    return anndata.AnnData(
        X=first,
        obs=obs,
        var=effects.var,
        layers={"observed": second, "observed_se": np.where(both, errors[1], np.nan)},
    )


def _sizes(pseudobulk: anndata.AnnData) -> dict[str, str]:
    """Return how many cells or profiles a perturbation has in how many groups, in words."""
    unit = "cell" if "sum" in pseudobulk.layers else "profile"
    groups = pseudobulk.obs.astype({"perturbation": str}).groupby("perturbation")["n_cells"]
    return {
        str(name): f"{counted(int(n.sum()), unit)} in {counted(len(n), 'group')}, "
        for name, n in groups
    }
