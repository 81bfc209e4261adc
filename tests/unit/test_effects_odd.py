"""Effects of odd designs: genes that do not vary, levels without control, what is said of them."""

import numpy as np
import pandas as pd

from lgem.screen.effects import (
    GroupStatistics,
    design_report,
    effects_of_screen,
    effects_system,
    estimate_effects,
    explain_effects,
    not_estimable,
)
from lgem.screen.labels import CONTROL


def of_groups(rows, mean, variance=0.0):
    """Statistics of (perturbation, batch, n_cells[, day]) with the means of genes given."""
    columns = ["perturbation", "batch", "n_cells", "day"][: len(rows[0])]
    mean = np.asarray(mean, dtype=float)
    return GroupStatistics(
        pd.DataFrame(rows, columns=columns), mean, np.full(mean.shape, float(variance))
    )


def test_a_gene_that_varies_in_no_group_but_between_them_is_the_surest_finding():
    groups = [(CONTROL, "u", 8), ("A", "u", 4), ("B", "u", 4)]
    found = estimate_effects(of_groups(groups, [[5, 1], [0, 1], [5, 1]]), [])
    assert found.t_values()[0].tolist() == [-np.inf, 0]
    assert found.p_values().tolist() == [[0, 1], [1, 1]]
    assert found.q_values()[0, 0] == 0


def test_controls_that_only_other_levels_connect_are_kept():
    rows = [
        (CONTROL, "2", 5, "2"), ("P0", "0", 5, "2"), ("P0", "1", 5, "2"), ("P1", "1", 5, "1"),
        ("P1", "2", 5, "1"), ("P2", "0", 5, "2"),
    ]  # fmt: skip
    statistics = of_groups(rows, np.arange(6.0)[:, None], 1.0)
    found = estimate_effects(statistics, ["batch", "day"])
    known = not_estimable(statistics, ["batch", "day"])
    assert set(found.perturbations) == {"P0", "P1", "P2"} - set(known)
    assert set(found.left_out) == set(known)


def test_singular_values_are_those_of_all_cells():
    rows = [(CONTROL, "u", 20), (CONTROL, "v", 3), ("A", "u", 4), ("A", "v", 9), ("B", "v", 30)]
    found = estimate_effects(of_groups(rows, np.eye(5), 1.0), ["batch"])
    label = np.repeat([name for name, *_ in rows], [n for *_, n in rows])
    batch = np.repeat([lane for _, lane, _ in rows], [n for *_, n in rows])
    cells = np.column_stack([np.ones(66), label == "A", label == "B", batch == "v"])
    assert found.diagnosis_of_cells.rows == 66
    np.testing.assert_allclose(found.diagnosis.singular, np.linalg.svd(cells)[1], rtol=1e-12)


def test_without_adjustment_what_batches_stand_for_is_named():
    rows = [(CONTROL, "u", 5), ("A", "u", 5), ("B", "v", 5)]
    statistics = of_groups(rows, np.eye(3), 1.0)
    found, factors = effects_of_screen(statistics, ["batch"], False)
    row = effects_system(found, factors, explain_effects(statistics, ["batch"]))
    assert row.explanation == (
        "2 effects estimated, not adjusted for batch, whose differences count as effects where "
        "B = v"
    )
    assert row.cause == "confounded batch"


def test_missing_levels_are_called_so():
    rows = [(CONTROL, "u", 5), ("A", "-", 5), ("B", "u", 5)]
    found = explain_effects(of_groups(rows, np.eye(3), 1.0), ["batch"])
    assert "(missing) holds only A cells" in found.aliases[0].sentence


def test_without_degrees_of_freedom_the_row_says_so():
    rows = [(CONTROL, "u", 1), ("A", "u", 1)]
    assert "no standard errors" in design_report(
        estimate_effects(of_groups(rows, np.eye(2)), []), []
    )
