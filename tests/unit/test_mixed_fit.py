"""Fits of the free form at the ends of what can be asked: any penalty, any schedule."""

import numpy as np
import pytest
from test_mixed_forms import blocks

from lgem.prediction.mixed_fit import ACCELERATED, CYCLIC, MONOTONE, fit_forms


@pytest.mark.parametrize("schedule", [ACCELERATED, MONOTONE])
def test_a_penalty_too_large_leaves_no_code_at_all(schedule):
    data, _ = blocks(3, 30, 20, 5, 3, 3, noise=0.3)
    size = sum(np.linalg.norm(block, 2) for block in (data.Y, data.X, data.Z))
    fitted = fit_forms(data, 3, 2 * size, schedule=schedule)
    assert not fitted.forms.code.any()
    assert not fitted.forms.alpha.any()
    assert fitted.objectives[-1] == pytest.approx(data.squares(), rel=1e-12)


@pytest.mark.parametrize("schedule", [ACCELERATED, MONOTONE, CYCLIC])
@pytest.mark.parametrize("penalty", [1e-12, 1e-300])
def test_a_penalty_next_to_nothing_is_no_singular_system(schedule, penalty):
    data, _ = blocks(4, 20, 30, 4, 3, 2, noise=0.1)
    fitted = fit_forms(data, 6, penalty, schedule=schedule, sweeps=50)
    assert np.isfinite(fitted.objectives).all()


def test_a_cycle_is_no_rest():
    data, _ = blocks(2, 40, 60, 6, 3, 3, noise=0.3)
    fitted = fit_forms(data, 3, 0.1, schedule=CYCLIC, tolerance=1e-6)
    last = fitted.objectives[-4:]
    assert fitted.converged == (np.ptp(last) <= 1e-6 * last[-1])
    assert not fitted.converged
