"""The page on figures names all of them, with the columns that their tables have."""

import re
from pathlib import Path

import pytest

from lgem.config import load
from lgem.figures import (
    calibration,
    doubles,
    gene_counts,
    graph,
    mixed_forms,
    network,
    pairs,
    prediction,
    responses,
    rewired,
    screen,
    swaps,
    systems,
    truth,
)
from lgem.layout import ACROSS_FIGURES, Layout

PAGE = (Path(__file__).parents[2] / "docs" / "figures.md").read_text("utf-8")
COLUMNS = {
    "on_target": screen.ON_TARGET_COLUMNS,
    "held_out_error": prediction.HELD_OUT_COLUMNS,
    "error_by_genes": gene_counts.ERROR_COLUMNS,
    "embedding_swaps": swaps.SWAP_COLUMNS,
    "doubles": doubles.DOUBLES_COLUMNS,
    "observed_against_predicted": pairs.OBSERVED_COLUMNS,
    "calibration": calibration.CALIBRATION_COLUMNS,
    "mixed_forms": mixed_forms.FORMS_COLUMNS,
    "predicted_against_truth": truth.TRUTH_COLUMNS,
    "partial_correlations": network.PARTIAL_COLUMNS,
    "largest_changes": network.CHANGE_COLUMNS,
    "network_graph": graph.GRAPH_COLUMNS,
    "rewired": rewired.REWIRED_COLUMNS,
    "network_responses": responses.NETWORK_RESPONSES_COLUMNS,
    "network_scores": network.SCORE_COLUMNS,
    "linear_systems": systems.SYSTEM_COLUMNS,
}


def rows(heading):
    """Return the rows of the table below a heading, by the figure that they describe."""
    part = PAGE.partition(heading)[2].partition("\n## ")[0]
    found = re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", part, re.MULTILINE)
    return {name: columns.split(", ") for name, columns in found}


@pytest.fixture(scope="module")
def layout():
    return Layout(load({"dataset": "d", "datasets": {"d": {"simulate": {}}}}))


def test_every_figure_of_a_dataset_is_described_with_its_columns(layout):
    described = rows("## Of one dataset")
    assert described.keys() == set(layout.figures("d")) == COLUMNS.keys()
    assert described == {name: list(columns) for name, columns in COLUMNS.items()}


def test_every_figure_of_several_datasets_is_described():
    assert tuple(rows("## Of several datasets")) == ACROSS_FIGURES
