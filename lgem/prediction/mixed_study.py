"""Mixed forms of a whole screen: both forms, every schedule, several starts, as tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import linalg

from lgem.prediction.codes import CONSTRAINED, FREE, FormSettings, fit_free
from lgem.prediction.mixed_constrained import Constrained, fit_constrained
from lgem.prediction.mixed_fit import SCHEDULES, Fitted, largest_dimensions
from lgem.prediction.mixed_forms import Modalities
from lgem.prediction.mixed_use import MixedForms, subspace_distance
from lgem.prediction.samples import Samples
from lgem.systems import System, diagnose_spectrum

# Schedules that are run for comparison alone need not settle.
MOST_COMPARED = 500
FIRST = 1


@dataclass(frozen=True)
class Study:
    """Both forms of a screen's samples, and the tables of ``results/DATASET/mixed_forms``.

    Parameters
    ----------
    free, constrained
        The fits; the free one from the deterministic start.
    convergence
        Objective after every sweep: schedule, start, sweep, objective.
    starts
        Per start: objective, sweeps, whether it settled, shares of the fixed and the random part,
        and the sine of the largest angle between its column space of α and the first one's.
    variance
        Shares of the squared length of the profiles: form, start, part, share.
    codes
        Codes of every sample: sample, form, perturbation, batch (and covariates), n_cells, K1 …,
        H1 … .
    """

    free: MixedForms
    constrained: Constrained
    convergence: pd.DataFrame
    starts: pd.DataFrame
    variance: pd.DataFrame
    codes: pd.DataFrame

    @property
    def split_settled(self) -> bool:
        """Whether there are as many features of both kinds as codes.

        With fewer, nothing but the penalty says which part of a free code is fixed or random.
        """
        forms = self.free.forms
        return min(len(forms.beta), len(forms.u) or len(forms.beta)) >= forms.K.shape[1]

    def systems(self) -> list[System]:
        """Return the linear systems behind both forms."""
        covariance = self.constrained.fixed_covariance
        spread = np.maximum(linalg.eigvalsh(covariance), 0.0)
        known = spread > np.finfo(float).eps * len(spread) * spread.max(initial=0.0)
        singular = np.divide(1.0, np.sqrt(spread), out=np.zeros_like(spread), where=known)
        found = diagnose_spectrum(singular, (len(self.codes), len(covariance)))
        text = (
            f"fixed effects by generalised least squares, variance ratio "
            f"{self.constrained.ratio:.3g} by REML"
        )
        return [*self.free.systems(), System.of("mixed forms: constrained", found, text)]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return both fits as named arrays."""
        return {
            **{f"free_{name}": value for name, value in self.free.arrays().items()},
            **{f"constrained_{name}": value for name, value in self.constrained.arrays().items()},
        }

    def described(self) -> dict[str, object]:
        """Return the result in words and numbers."""
        first = self.starts.iloc[0]
        spread = self.starts["fixed"].max() - self.starts["fixed"].min()
        return {
            "dimensions": self.free.forms.K.shape[1],
            "random_part": len(self.free.forms.u) > 0,
            "split_settled_by_features": self.split_settled,
            "objective": float(first["objective"]),
            "sweeps": int(first["sweeps"]),
            "converged": bool(first["converged"]),
            "variance_ratio": self.constrained.ratio,
            "spread_of_fixed_share": float(spread),
            "largest_distance": float(self.starts["distance"].max()),
        }


def study(samples: Samples, settings: FormSettings, starts: int) -> Study:
    """Fit both forms, the free one by every schedule and from several starts.

    Parameters
    ----------
    samples
        Groups of cells, at least two that differ.
    settings
        What config says; codes are those of its form.
    starts
        Starts of the free form under its schedule, the deterministic one included.
    """
    data = samples.modalities()
    seeds = [None, *range(FIRST + 1, FIRST + starts)]
    fits = [fit_free(data, settings, seed) for seed in seeds]
    short = replace(settings, sweeps=min(settings.sweeps, MOST_COMPARED))
    compared = {
        schedule: fit_free(data, replace(short, schedule=schedule))
        for schedule in SCHEDULES
        if schedule != settings.schedule
    }
    mixed_model = samples.with_intercept()
    constrained = fit_constrained(mixed_model, largest_dimensions(mixed_model, settings.dimensions))
    frees = [MixedForms(fit.forms, settings.penalty) for fit in fits]
    forms = {FREE: frees[0], CONSTRAINED: MixedForms(constrained.forms(mixed_model), 0.0)}
    records = [(settings.schedule, FIRST + at, fit) for at, fit in enumerate(fits)]
    records += [(schedule, FIRST, fit) for schedule, fit in compared.items()]
    variance = _variance(data, frees, forms[CONSTRAINED])
    return Study(
        free=forms[FREE],
        constrained=constrained,
        convergence=_convergence(records),
        starts=_starts(fits, variance),
        variance=variance,
        codes=_codes(samples, settings.codes, forms[settings.codes]),
    )


def _convergence(records: list[tuple[str, int, Fitted]]) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "schedule": schedule,
                "start": start,
                "sweep": np.arange(len(fit.objectives)),
                "objective": fit.objectives,
            }
        )
        for schedule, start, fit in records
    ]
    return pd.concat(parts, ignore_index=True)


def _starts(fits: list[Fitted], variance: pd.DataFrame) -> pd.DataFrame:
    of_free = variance[variance["form"] == FREE]
    shares = of_free.pivot_table(index="start", columns="part", values="share")
    rows = []
    for at, fit in enumerate(fits):
        rows.append(
            {
                "start": FIRST + at,
                "objective": fit.objectives[-1],
                "sweeps": len(fit.objectives) - 1,
                "converged": fit.converged,
                **{name: shares.loc[FIRST + at, name] for name in ("fixed", "random")},
                "distance": subspace_distance(fits[0].forms.alpha, fit.forms.alpha) if at else 0.0,
            }
        )
    return pd.DataFrame(rows)


def _variance(data: Modalities, frees: list[MixedForms], constrained: MixedForms) -> pd.DataFrame:
    found = [(CONSTRAINED, FIRST, constrained)]
    found += [(FREE, FIRST + at, mixed) for at, mixed in enumerate(frees)]
    rows = [
        (form, start, part, share)
        for form, start, fit in found
        for part, share in fit.variance_by_part(data.Y).items()
    ]
    return pd.DataFrame(rows, columns=["form", "start", "part", "share"])


def _codes(samples: Samples, form: str, mixed: MixedForms) -> pd.DataFrame:
    """Return the codes of every sample, as they are without the weight of its cells."""
    levels = zip(*samples.levels.values(), strict=True)
    batch = [" | ".join(level) for level in levels] or ["all"] * len(samples.cells)
    table = pd.DataFrame({"form": form, "perturbation": samples.perturbations, "batch": batch})
    table["n_cells"] = samples.cells.astype(int)
    weights = samples.weights[:, None]
    for name, codes in (("K", mixed.forms.K), ("H", mixed.forms.H)):
        names = [f"{name}{axis + 1}" for axis in range(codes.shape[1])]
        table[names] = codes / weights
    table.insert(0, "sample", np.arange(1, len(table) + 1))
    return table
