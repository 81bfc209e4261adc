"""Differential expression: least squares gene by gene, as a file that is written as it comes."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm
from statsmodels.stats.multitest import multipletests

from lgem.files import read_table, write_table
from lgem.screen.differential import (
    differential_expression,
    strongest_genes,
    write_differential,
)
from lgem.screen.effects import GroupStatistics, estimate_effects
from lgem.screen.labels import CONTROL, TargetIndex

GENES = [f"G{number:02}" for number in range(25)]
PERTURBED = ["G03", "G03+G07", "absent"]
ORIGIN = {"dataset": "demo", "seed": 1}


def screen(cells_each=30, seed=0):
    """Return expression of cells (cells × genes), and what was done to them."""
    rng = np.random.default_rng(seed)
    label = np.repeat([CONTROL, CONTROL, *PERTURBED], cells_each)
    batch = rng.choice(["u", "v"], len(label))
    expression = rng.normal(3, 1, (len(label), len(GENES)))
    expression += (batch == "v")[:, None] * rng.normal(0, 1, len(GENES))
    for row, name in enumerate(label):
        for gene in name.split("+"):
            if gene in GENES:
                expression[row, GENES.index(gene)] -= 2.5
    expression[:, -1] = 4.2  # a gene that does not vary
    return pd.DataFrame(expression, columns=GENES), pd.DataFrame(
        {"perturbation": label, "batch": batch}
    )


def estimated(expression, cells, factors=("batch",)):
    keys = [cells[column] for column in ("perturbation", *factors)]
    parts = expression.groupby(keys)
    statistics = GroupStatistics(
        parts.size().rename("n_cells").reset_index(),
        parts.mean().to_numpy(),
        parts.var(ddof=1).fillna(0).to_numpy(),
    )
    return estimate_effects(statistics, list(factors)), statistics.control


@pytest.fixture(scope="module")
def found():
    expression, cells = screen()
    effects, control = estimated(expression, cells)
    var = pd.DataFrame({"symbol": [f"s{gene}" for gene in GENES], "control": control}, GENES)
    return effects, var, expression, cells


def test_every_gene_of_every_perturbation_is_tested_as_on_the_cells(found):
    effects, var, expression, cells = found
    design = pd.get_dummies(cells, dtype=float).drop(columns=["perturbation_control", "batch_u"])
    X = sm.add_constant(design)
    tables = list(differential_expression(effects, var))
    assert [set(table["perturbation"]) for table in tables] == [{name} for name in PERTURBED]
    fits = {gene: sm.OLS(expression[gene], X).fit() for gene in GENES[:-1]}
    for name, table in zip(PERTURBED, tables, strict=True):
        assert list(table.columns) == [
            *("perturbation", "gene", "symbol", "control"),
            *("effect", "se", "t", "p_value", "q_value"),
        ]
        assert table["gene"].tolist() == GENES
        assert table["symbol"].tolist() == [f"s{gene}" for gene in GENES]
        np.testing.assert_array_equal(table["control"], var["control"])
        known = table[:-1]
        for column, slow in (("effect", "params"), ("se", "bse"), ("t", "tvalues")):
            expected = [getattr(fits[g], slow)[f"perturbation_{name}"] for g in known["gene"]]
            np.testing.assert_allclose(known[column], expected, rtol=1e-8, atol=1e-10)
        p = [fits[gene].pvalues[f"perturbation_{name}"] for gene in known["gene"]]
        np.testing.assert_allclose(known["p_value"], p, rtol=1e-6)
        q = multipletests([*p, 1.0], method="fdr_bh")[1]
        np.testing.assert_allclose(table["q_value"], q, rtol=1e-6)
        assert table.iloc[-1][["t", "p_value", "q_value"]].tolist() == [0, 1, 1]


def test_a_table_agrees_with_the_effects_file(found):
    effects, var, *_ = found
    q_values = effects.q_values()
    for row, table in enumerate(differential_expression(effects, var)):
        np.testing.assert_array_equal(table["q_value"], q_values[row])
    without = next(differential_expression(effects, var.drop(columns="symbol")))
    assert "symbol" not in without


def test_the_file_has_a_row_group_for_each_perturbation_and_its_provenance(found, tmp_path):
    effects, var, *_ = found
    path = tmp_path / "differential_expression.parquet"
    write_differential(differential_expression(effects, var), path, ORIGIN)
    file = pq.ParquetFile(path)
    assert file.num_row_groups == len(PERTURBED)
    for number, table in enumerate(differential_expression(effects, var)):
        pd.testing.assert_frame_equal(file.read_row_group(number).to_pandas(), table)
        column = file.metadata.row_group(number).column(0).statistics
        assert (column.min, column.max) == (PERTURBED[number],) * 2
    assert json.loads(file.schema_arrow.metadata[b"provenance"]) == ORIGIN
    again = tmp_path / "again.parquet"
    write_differential(differential_expression(effects, var), again, ORIGIN)
    assert path.read_bytes() == again.read_bytes()


def test_tables_are_written_while_they_come_and_a_broken_file_never_appears(found, tmp_path):
    effects, var, *_ = found
    path = tmp_path / "differential_expression.parquet"

    def interrupted():
        yield next(differential_expression(effects, var))
        (temporary,) = tmp_path.iterdir()  # the first is on its way before the second is asked for
        assert temporary.name != path.name
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_differential(interrupted(), path, ORIGIN)
    assert list(tmp_path.iterdir()) == []


def test_the_strongest_genes_are_listed_with_the_own_target(found, tmp_path):
    effects, var, *_ = found
    targets = TargetIndex(GENES)
    tables = list(differential_expression(effects, var))
    strongest = strongest_genes(tables, targets)
    assert strongest["perturbation"].tolist() == [name for name in PERTURBED for _ in range(10)]
    assert strongest["rank"].tolist() == [*range(1, 11)] * 3
    for name, table in zip(PERTURBED, tables, strict=True):
        part = strongest[strongest["perturbation"] == name]
        slow = table.assign(size=table["t"].abs()).sort_values("size", ascending=False)
        assert part["gene"].tolist() == slow["gene"].tolist()[:10]
        assert set(part["significant"]) == {(table["q_value"] <= 0.05).sum()}
    own = strongest[strongest["own"]]
    assert sorted(zip(own["perturbation"], own["gene"], strict=True)) == [
        *[("G03", "G03"), ("G03+G07", "G03"), ("G03+G07", "G07")]
    ]
    assert (own["rank"] <= 2).all()
    assert (own["significant"] >= 1).all()
    write_table(strongest, tmp_path / "strongest.tsv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "strongest.tsv"), strongest)


def test_few_genes_are_all_listed(found):
    effects, var, *_ = found
    tables = (table[:4] for table in differential_expression(effects, var))
    assert len(strongest_genes(tables, TargetIndex(GENES))) == 4 * len(PERTURBED)


def test_single_cells_have_effects_and_no_tests(tmp_path):
    expression, cells = screen(cells_each=1)
    cells = cells.assign(batch="u")[1:].reset_index(drop=True)
    effects, control = estimated(expression[1:].reset_index(drop=True), cells, ())
    assert effects.degrees_of_freedom == 0
    var = pd.DataFrame({"control": control}, GENES)
    tables = list(differential_expression(effects, var))
    for table in tables:
        assert table["effect"].notna().all()
        assert table[["se", "t", "p_value", "q_value"]].isna().all(axis=None)
    strongest = strongest_genes(tables, TargetIndex(GENES))
    assert (strongest["significant"] == 0).all()
    first = strongest[strongest["perturbation"] == "absent"]["effect"].abs()
    assert first.is_monotonic_decreasing
    assert first.iloc[0] == tables[2]["effect"].abs().max()
