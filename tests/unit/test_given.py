"""Embeddings that come from elsewhere: tables of users and other data sets."""

import anndata
import numpy as np
import pandas as pd
import pytest

from lgem.errors import InputError
from lgem.prediction.components import principal_scores
from lgem.prediction.embedding import GeneEmbedding, PerturbationEmbedding
from lgem.prediction.given import (
    genes_from_table,
    perturbation_components,
    read_embedding,
    read_given,
    read_perturbation_embedding,
)
from lgem.prediction.model import fit_predictor
from lgem.screen.labels import LabelRules, Target
from tests.unit.model_cases import GENES, INDEX, training


def table_of(path, lines, separator="\t"):
    path.write_text("\n".join(line.replace(" ", separator) for line in lines) + "\n", "utf-8")
    return str(path)


@pytest.mark.parametrize(("name", "separator"), [("e.tsv", "\t"), ("e.csv", ","), ("e", "\t")])
def test_a_table_has_names_first_and_numbers_in_all_other_columns(name, separator, tmp_path):
    lines = ["gene x y", "STAT1 1 -2.5", "NA 3 4e-1"]
    found = read_embedding(table_of(tmp_path / name, lines, separator))
    assert list(found) == ["STAT1", "NA"]
    np.testing.assert_array_equal(found["STAT1"], [1, -2.5])
    np.testing.assert_array_equal(found["NA"], [3, 0.4])


def test_combinations_are_found_under_their_normal_form(tmp_path):
    found = read_embedding(table_of(tmp_path / "e.tsv", ["name x", "B+A 1", "C 2"]))
    assert list(found) == ["A+B", "C"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["gene"], "found 0 rows with 1 number each; expected a name and at least one number"),
        (["gene x"], "found 0 rows with 1 number each"),
        (["gene", "A"], "column 'gene': found 'A' for '1'; expected finite numbers"),
        (["gene x", "A 1", "A 2"], "found more than one row for 'A'; expected one row each"),
        (["gene x y", "A 1 2", "B 3 high"], "column 'y': found 'high' for 'B'; expected finite"),
        (["gene x", "A inf"], "column 'x': found 'inf' for 'A'"),
        (["gene x", "A nan"], "column 'x': found 'nan' for 'A'"),
        (["gene x y", "A 1"], "for 'A'; expected finite numbers"),
        (["gene x", "A 1e200"], "'1e200' for 'A'; expected finite numbers, at most 1e+09 in size"),
        (["gene x", "A 0", "B 0"], "found zeros alone"),
        (["A 0.5 1.5", "B 2 3"], "measurements in the first line: 0.5, 1.5"),
        (["gene,x", "A,1"], "expected commas in .csv files, tabs in all others"),
        (["gene x", " 1"], "no name in row 1"),
    ],
    ids=[
        *("empty", "no rows", "no numbers", "twice", "a word", "infinite", "missing", "short"),
        *("huge", "zeros", "no header", "commas", "no name"),
    ],
)
def test_a_table_that_is_no_embedding_is_refused_with_the_place(lines, message, tmp_path):
    path = table_of(tmp_path / "e.tsv", lines)
    with pytest.raises(InputError) as error:
        read_embedding(path)
    assert str(error.value).startswith(path)
    assert message in str(error.value)


@pytest.mark.parametrize("content", [b"", b"a\tb\n\xff\xfe\t1\n", b"a\tb\n1\t2\t3\n1\t2\t3\t4\n"])
def test_a_file_that_is_no_table_is_refused(content, tmp_path):
    (tmp_path / "e.tsv").write_bytes(content)
    with pytest.raises(InputError, match="expected"):
        read_embedding(str(tmp_path / "e.tsv"))
    with pytest.raises(InputError, match="no such file"):
        read_embedding(str(tmp_path / "nowhere.tsv"))


def test_a_table_whose_first_line_does_not_name_the_names_is_not_misread(tmp_path):
    path = table_of(tmp_path / "e.tsv", ["x y", "STAT1 1 2", "GATA1 3 4"])
    found = read_embedding(path)
    assert list(found) == ["STAT1", "GATA1"]
    np.testing.assert_array_equal(found["GATA1"], [3, 4])


def test_two_spellings_of_one_combination_are_two_rows_for_it(tmp_path):
    path = table_of(tmp_path / "e.tsv", ["name x", "B+A 1", "A+B 2"])
    with pytest.raises(InputError, match="more than one row for"):
        read_embedding(path)


def test_genes_are_found_by_identifier_then_by_symbol_and_missing_ones_are_nought():
    table = {"e0": np.array([1.0, 2]), "B": np.array([3.0, 4]), "A": np.array([9.0, 9])}
    genes = genes_from_table(table, ["e0", "e1", "e2"], ["A", "B", "C"], "t.tsv")
    np.testing.assert_array_equal(genes.values, [[1, 2], [3, 4], [0, 0]])
    assert (genes.source, genes.unknown) == ("file", {2})


def test_half_of_the_genes_may_be_missing_and_more_are_refused_by_name():
    table = {f"g{k}": np.ones(2) for k in range(7)}
    assert genes_from_table(table, ["g0", "g1", "h0", "h1"], None, "t.tsv").unknown == {2, 3}
    with pytest.raises(InputError) as error:
        genes_from_table(table, ["g0", "h0", "h1"], None, "t.tsv")
    assert str(error.value) == (
        "t.tsv: found no row for 2 of 3 genes: h0, h1; expected rows for at least half of the "
        "genes; there are: g0, g1, g2, g3, g4 and 2 more"
    )


LABELS = LabelRules(("nt",), "_")


def test_names_of_perturbations_are_read_as_the_screen_reads_its_labels(tmp_path):
    path = table_of(tmp_path / "p.tsv", ["name x", "B_A 1", "C_nt 2", "nt 9"])
    embedding = read_perturbation_embedding(path, "file", LABELS, ["A+B"])
    assert list(embedding.table) == ["A+B", "C"]


@pytest.mark.parametrize("source", ["file", "dataset"])
def test_an_embedding_of_none_of_the_perturbations_is_refused(source, tmp_path):
    path = table_of(tmp_path / "p.tsv", ["name x", "g3 1", "G55 2"])
    if source == "dataset":
        path, _ = effects_file(tmp_path / "other")
    with pytest.raises(InputError) as error:
        read_perturbation_embedding(path, source, LABELS, ["STAT1", "GATA1+STAT1"])
    assert "none of the screen's perturbations; there are: " in str(error.value)
    assert "expected some of: STAT1, GATA1+STAT1" in str(error.value)


def test_the_first_columns_of_a_table_may_be_asked_for_and_no_more_than_there_are():
    G = GeneEmbedding("file", np.arange(12.0).reshape(4, 3))
    np.testing.assert_array_equal(G.first(2).values, G.values[:, :2])
    P = PerturbationEmbedding("file", {"A": np.array([1.0, 2, 3])})
    np.testing.assert_array_equal(P.first(1).table["A"], [1])
    for embedding, what in ((G, "gene"), (P, "perturbation")):
        with pytest.raises(InputError) as error:
            embedding.first(4)
        assert str(error.value) == (
            "dimensions: found 4; expected at most 3, the columns of the "
            f"{what} embedding's table, or auto"
        )
    assert GeneEmbedding("pca").first(4) == GeneEmbedding("pca")


def effects_file(folder, seed=3):
    """Effects of another data set; the second perturbation was left out there."""
    folder.mkdir()
    X = np.random.default_rng(seed).normal(size=(5, 12))
    X[1] = np.nan
    obs = pd.DataFrame({"status": ["estimated", "left_out", *["estimated"] * 3]})
    obs.index = ["G3", "G8", "G5", "G11", "G20+G21"]
    data = anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"m{k}" for k in range(12)]))
    data.write_h5ad(folder / "effects.h5ad")
    return str(folder / "effects.h5ad"), X


def test_another_dataset_gives_its_components_of_the_perturbations(tmp_path):
    path, X = effects_file(tmp_path / "other")
    embedding = read_perturbation_embedding(path, "dataset", LABELS, ["G3", "G9"])
    assert embedding.source == "dataset"
    assert list(embedding.table) == ["G3", "G5", "G11", "G20+G21"]
    assert embedding.width == 4
    vectors = np.array(list(embedding.table.values()))
    known = X[[0, 2, 3, 4]]
    np.testing.assert_allclose(vectors @ vectors.T, known @ known.T, atol=1e-12)
    np.testing.assert_array_equal(vectors, principal_scores(known, 4))
    assert embedding.why_not("G8", Target((8,))) == "not in the perturbation embedding: G8"


def test_of_a_large_dataset_fifty_components_are_kept():
    effects = np.random.default_rng(1).normal(size=(70, 60))
    found = perturbation_components(effects, [f"p{k}" for k in range(70)])
    assert {len(vector) for vector in found.values()} == {50}


def test_a_model_learns_from_the_components_of_another_dataset(tmp_path):
    path, _ = effects_file(tmp_path / "other")
    embedding = read_perturbation_embedding(path, "dataset", LABELS, ["G3"])
    known = training(["G3", "G5", "G11", "X1"])
    settings = {"dimensions": 2, "mean_weight": 0.0, "solver": "pinv", "gene_embedding": "identity"}
    predictor = fit_predictor("linear", known, settings, None, embedding)
    assert predictor.inner.trained == 3
    P = np.array([embedding.table[name][:2] for name in ("G3", "G5", "G11")])
    expected = known.effects[:, :3] @ np.linalg.pinv(P).T @ (P[0] + P[1])
    found = predictor.predict("G3+G5", INDEX.find("G3+G5")).effect
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_dataset_with_fewer_components_than_asked_for_is_refused(tmp_path):
    path, _ = effects_file(tmp_path / "other")
    embedding = read_perturbation_embedding(path, "dataset", LABELS, ["G3"])
    with pytest.raises(InputError, match="dimensions: found 5; expected at most 4"):
        fit_predictor("linear", training(), {"dimensions": 5}, None, embedding)


def test_only_files_that_are_named_are_read(tmp_path):
    var = pd.DataFrame({"symbol": [f"S{k}" for k in range(30)]}, index=GENES)
    obs = pd.DataFrame({"status": ["estimated", "left_out"]}, index=["G3", "G5"])
    effects = anndata.AnnData(np.zeros((2, 30)), obs=obs, var=var)
    assert read_given("", "", "target", effects, LABELS) == (None, None)
    assert read_given([], [], "target", effects, LABELS) == (None, None)
    genes = table_of(tmp_path / "g.tsv", ["gene x", *(f"S{k} {k}" for k in range(30))])
    perturbations = table_of(tmp_path / "p.csv", ["name x", "G3 1"], ",")
    G, P = read_given(genes, perturbations, "file", effects, LABELS)
    np.testing.assert_array_equal(G.values[:, 0], np.arange(30))
    np.testing.assert_array_equal(P.vector("G3", 1), [1])
    assert P.source == "file"
