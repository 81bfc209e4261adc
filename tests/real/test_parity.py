"""The paper preset against predictions that the published R code itself made."""

import numpy as np
import pandas as pd
import pytest

from lgem.config import load
from lgem.layout import Layout
from lgem.prediction.model import fit_predictor
from lgem.prediction.training import PREDICTED, Training
from lgem.screen.labels import CONTROL, TargetIndex

pytestmark = pytest.mark.real


def read(parity, screen):
    """Log-expression (genes × perturbations), training perturbations, expected predictions."""
    profiles = pd.read_csv(parity / f"{screen}.pseudobulk.csv", index_col="gene")
    training = (parity / f"{screen}.train.txt").read_text("utf-8").split()
    expected = pd.read_csv(parity / f"{screen}.expected.csv", index_col=0)
    return profiles, [name for name in training if name != CONTROL], expected


def preset(dimensions):
    """Kind and settings of preset paper, as config gives them to the fit."""
    model = {"name": "paper", "preset": "paper", "dimensions": dimensions}
    raw = {"dataset": "d", "datasets": {"d": {"simulate": {}}}, "models": [model]}
    return Layout(load(raw)).model("paper")


@pytest.mark.parametrize(("screen", "dimensions"), [("papalexi", 4), ("tapseq", 5)])
def test_predictions_equal_those_of_the_published_code(parity, screen, dimensions):
    profiles, training, expected = read(parity, screen)
    assert list(expected.index) == list(profiles.index)
    assert not set(expected.columns) & set(training)
    control = profiles[CONTROL].to_numpy()
    index = TargetIndex(list(profiles.index))
    known = Training(
        effects=profiles[training].to_numpy() - control[:, None],
        control=control,
        perturbations=training,
        targets=[index.find(name) for name in training],
    )
    model = preset(dimensions)
    predictor = fit_predictor(model["kind"], known, model["settings"])
    for name in expected:
        answer = predictor.predict(name, index.find(name))
        assert answer.status == PREDICTED
        np.testing.assert_allclose(control + answer.effect, expected[name], rtol=0, atol=1e-8)
