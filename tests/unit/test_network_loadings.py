"""What updates a covariance: predicted responses, published pathways, new cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.network.covariance import centre, standardise
from lgem.network.loadings import cell_loadings, read_pathways, response_loadings
from lgem.network.names import AMBIGUOUS, lookup

# Responses.


def test_response_loadings_add_the_mean_square_of_the_standardised_responses():
    rng = np.random.default_rng(17)
    responses, scale = rng.normal(size=(7, 5)), rng.uniform(0.5, 2, 5)
    x = response_loadings(responses, scale, 0.5)
    assert x.shape == (5, 7)
    standardised = [row / scale for row in responses]
    expected = 0.25 * np.mean([np.outer(row, row) for row in standardised], axis=0)
    np.testing.assert_allclose(x @ x.T, expected, rtol=1e-12)


def test_responses_repeated_add_no_more_than_once():
    responses, scale = np.random.default_rng(18).normal(size=(3, 6)), np.ones(6)
    once = response_loadings(responses, scale, 1.0)
    twice = response_loadings(np.vstack([responses, responses]), scale, 1.0)
    np.testing.assert_allclose(twice @ twice.T, once @ once.T, rtol=1e-12)


def test_no_strength_is_no_update():
    np.testing.assert_array_equal(response_loadings(np.ones((2, 3)), np.ones(3), 0.0), 0.0)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_responses_that_were_not_predicted_are_refused(broken):
    responses = np.zeros((3, 4))
    responses[1, 2] = broken
    with pytest.raises(InputError, match=r"1 of 3 .*number 2"):
        response_loadings(responses, np.ones(4), 1.0)
    with pytest.raises(InputError, match="at least one perturbation"):
        response_loadings(np.empty((0, 4)), np.ones(4), 1.0)


# Names.


def test_a_gene_goes_by_its_id_or_its_symbol():
    assert lookup(["g1", "g2"], None) == {"g1": 0, "g2": 1}
    assert lookup(["g1", "g2"], ["GATA1", "SPI1"]) == {"g1": 0, "g2": 1, "GATA1": 0, "SPI1": 1}
    assert lookup(["g1", "g2", "g3"], ["", None, float("nan")]) == {"g1": 0, "g2": 1, "g3": 2}


def test_a_symbol_of_several_genes_is_of_none_and_an_id_goes_before_a_symbol():
    assert lookup(["g1", "g2", "g3"], ["TBCE", "TBCE", "TBCE"])["TBCE"] == AMBIGUOUS
    assert lookup(["g1", "g2"], ["g2", "X"]) == {"g1": 0, "g2": 1, "X": 1}
    assert lookup(["g1", "g2", "g3"], ["g3", "g3", "X"])["g3"] == 2


# Pathways.

GENES, SYMBOLS = ["ENSG1", "ENSG2", "ENSG3", "ENSG4"], ["GATA1", "SPI1", "TBCE", "TBCE"]
ROWS = lookup(GENES, SYMBOLS)
MEASURED = {*ROWS, "ENSG9", "KLF1"}
HEADER = "gene\tpathway\tloading\n"


@pytest.fixture
def pathways(tmp_path):
    """Read a file with some text."""

    def read(text, encoding="utf-8"):
        path = tmp_path / "pathways.tsv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return read_pathways(path, ROWS, len(GENES), MEASURED)

    return read


def test_pathways_are_read_by_id_and_symbol_in_the_order_of_the_file(pathways):
    found = pathways(HEADER + "SPI1\tp53\t1\nENSG1\tp53\t-2e-1\nENSG4\tWnt\t0.5\nENSG2\tWnt\t3\n")
    assert found.names == ["p53", "Wnt"]
    np.testing.assert_array_equal(found.loadings, [[-0.2, 0], [1, 3], [0, 0], [0, 0.5]])
    assert found.counts["rows"] == found.counts["used"] == 4


def test_every_row_is_accounted_for(pathways):
    rows = [
        "ENSG1\tone\t1",
        "TBCE\tone\t1",  # of two genes
        "KLF1\tone\t1",  # measured, not of the panel
        "ENSG9\ttwo\t1",
        "KLF1\ttwo\t2",  # the same, of a pathway that the panel knows nothing of
        "TBCE\tthree\t1",
        "SPI1\tfour\t1",
        "GATA1\tfour\t0",
    ]
    found = pathways(HEADER + "\n".join(rows))
    assert found.names == ["one", "four"]
    assert found.loadings.shape == (4, 2)
    counts = found.counts
    assert counts == {
        "rows": 8,
        "not_in_panel": 3,
        "ambiguous": 2,
        "used": 3,
        "pathways": 2,
        "pathways_left_out": 2,
    }
    assert counts["not_in_panel"] + counts["ambiguous"] + counts["used"] == counts["rows"]


@settings(deadline=None, max_examples=20)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(sorted(MEASURED)), st.sampled_from("abc")),
        unique_by=lambda row: (ROWS.get(row[0], row[0]), row[1]),
        max_size=12,
    )
)
def test_counts_add_up_and_loadings_are_those_of_the_rows(tmp_path_factory, rows):
    rows = [("ENSG1", "first"), *rows]
    path = tmp_path_factory.mktemp("pathways") / "pathways.tsv"
    lines = [f"{gene}\t{pathway}\t{i + 1}" for i, (gene, pathway) in enumerate(rows)]
    path.write_text(HEADER + "\n".join(lines))
    found = read_pathways(path, ROWS, len(GENES), MEASURED)
    counts = found.counts
    assert counts["not_in_panel"] + counts["ambiguous"] + counts["used"] == len(rows)
    assert counts["pathways"] + counts["pathways_left_out"] == len({pathway for _, pathway in rows})
    assert np.count_nonzero(found.loadings) == counts["used"]
    for i, (gene, pathway) in enumerate(rows):
        if ROWS.get(gene, -1) >= 0:
            assert found.loadings[ROWS[gene], found.names.index(pathway)] == i + 1


PLAIN = HEADER + "ENSG1\tp53\t1\nSPI1\tWnt, β\t2\n"
SAME = {
    "byte order mark": "\ufeff" + PLAIN,
    "lines end in CR LF": PLAIN.replace("\n", "\r\n"),
    "no end of the last line": PLAIN.rstrip("\n"),
    "blank lines at the end": PLAIN + "\n\n",
    "spaces": PLAIN.replace("ENSG1\tp53\t1", " ENSG1 \tp53 \t 1 "),
    "tabs at the end of rows": PLAIN.replace("1\nSPI1", "1\t\nSPI1").replace("2\n", "2\t\n"),
    "other order": "loading\tgene\tpathway\n1\tENSG1\tp53\n2\tSPI1\tWnt, β\n",
    "further columns": "gene\tsource\tpathway\tloading\nENSG1\ta\tp53\t1\nSPI1\tb\tWnt, β\t2\n",
}


@pytest.mark.filterwarnings("ignore::pandas.errors.ParserWarning")
@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_how_a_file_was_saved_is_of_no_account(pathways, text):
    found, expected = pathways(text), pathways(PLAIN)
    assert found.names == expected.names == ["p53", "Wnt, β"]
    np.testing.assert_array_equal(found.loadings, expected.loadings)


def test_names_that_look_like_missing_values_are_names(pathways):
    assert pathways(HEADER + "ENSG1\tNA\t1\nENSG2\tnan\t1\n").names == ["NA", "nan"]


BAD = {
    "empty": ("", "no table"),
    "header only": (HEADER, "no rows"),
    "commas": (HEADER.replace("\t", ","), "no column 'gene'; there are: gene,pathway,loading"),
    "other names": ("Gene\tpathway\tloading\n", "no column 'gene'.*did you mean 'Gene'"),
    "misspelt": ("gene\tpathway\tloadings\n", "no column 'loading'.*did you mean 'loadings'"),
    "ragged": (HEADER + "ENSG1\ta\t1\nENSG2\ta\t1\t7\n", "row 3: .*4 fields.*expected 3"),
    "text": (HEADER + "ENSG1\ta\t1\nENSG2\tb\tstrong\n", "row 3: .*'ENSG2'.*'b'.*'strong'"),
    "nan": (HEADER + "ENSG1\ta\tnan\n", "row 2: .*'nan'.*finite number"),
    "inf": (HEADER + "ENSG1\ta\t-inf\n", "row 2: .*'-inf'.*finite number"),
    "overflow": (HEADER + "ENSG1\ta\t1e999\n", "row 2: .*1e999"),
    "decimal comma": (HEADER + "ENSG1\ta\t0,5\n", "row 2: .*0,5"),
    "no loading": (HEADER + "ENSG1\ta\n", "row 2: "),
    "no pathway": (HEADER + "ENSG1\t\t1\n", "row 2: .*pathway ''"),
    "no gene": (HEADER + "\ta\t1\n", "row 2: .*gene ''"),
    "short": ("loading\tgene\tpathway\n1\tENSG1\n", "row 2: .*pathway"),
    "stranger": (
        HEADER + "ENSG1\ta\t1\nGATA11\ta\t1\nxyz\tb\t1\n",
        "column 'gene': found 2 genes not measured: GATA11, xyz.*did you mean 'GATA1'",
    ),
    "no gene of the panel": (HEADER + "KLF1\ta\t1\nTBCE\tb\t1\n", "no gene of the panel"),
    "twice": (
        HEADER + "ENSG1\ta\t1\nENSG1\tb\t1\nENSG1\ta\t1\n",
        "row 4: found a second loading of gene 'ENSG1' on pathway 'a'",
    ),
    "twice by its two names": (
        HEADER + "ENSG1\ta\t1\nGATA1\ta\t2\n",
        "row 3: found a second loading of gene 'GATA1' on pathway 'a'",
    ),
    "latin-1": (HEADER.encode() + "ENSG1\tβ\t1\n".encode("iso-8859-7"), "no table"),
    "binary": (bytes(range(256)), "no table|no column"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_used_is_told_with_its_place(pathways, text, message):
    with pytest.raises(InputError, match=rf"(?s)pathways\.tsv.*{message}"):
        pathways(text)


def test_a_file_that_is_not_there_is_told(tmp_path):
    for path in (tmp_path / "missing.tsv", tmp_path):
        with pytest.raises(InputError, match="no table"):
            read_pathways(path, ROWS, len(GENES), MEASURED)


# New cells.


def cells(seed, count, genes):
    rng = np.random.default_rng(seed)
    mixing, level = rng.normal(size=(genes, genes)), rng.normal(size=genes)
    return rng.normal(size=(count, genes)) @ mixing + level


def pooled(values, batch=None):
    """Covariance about the mean, or the means of batches."""
    centred = centre(values, np.zeros(len(values)) if batch is None else np.asarray(batch))
    return centred.T @ centred / len(values)


def batches(seed, count, number):
    codes = np.random.default_rng(seed).integers(0, number, count)
    codes[: 2 * number] = np.repeat(np.arange(number), 2)[:count]  # no cell alone
    return codes


NUMBERS = st.integers(2, 60)
SIZES = st.tuples(st.integers(0, 2**32 - 1), NUMBERS, NUMBERS, st.integers(1, 20))


@settings(deadline=None, max_examples=40)
@given(case=SIZES)
def test_old_and_new_cells_with_their_shift_are_the_covariance_of_all(case):
    seed, n, m, genes = case
    old, new = cells(seed, n, genes), cells(seed + 1, m, genes)
    x = cell_loadings(new - old.mean(axis=0), None, n, shift=True)
    assert x.shape == (genes, min(m, genes) + 1)
    expected = (n + m) / n * pooled(np.vstack([old, new]))
    found = pooled(old) + x @ x.T
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@settings(deadline=None, max_examples=40)
@given(case=SIZES, old_batches=st.integers(1, 3), new_batches=st.integers(1, 4))
def test_without_shift_they_are_the_covariance_within_all_batches(case, old_batches, new_batches):
    seed, n, m, genes = case
    old_batches, new_batches = min(old_batches, n // 2), min(new_batches, m // 2)
    old, new = cells(seed, n, genes), cells(seed + 1, m, genes)
    codes, more = batches(seed, n, old_batches), batches(seed + 1, m, new_batches)
    x = cell_loadings(new, [f"new lane {code}" for code in more], n, shift=False)
    assert x.shape == (genes, min(m, genes))
    everything, labels = np.vstack([old, new]), np.concatenate([codes, 100 + more])
    expected = (n + m) / n * pooled(everything, labels)
    found = pooled(old, codes) + x @ x.T
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


def test_shift_and_batches_together_add_up():
    new = cells(5, 30, 6) + np.arange(6.0)
    delta, lanes = new.mean(axis=0), batches(6, 30, 3)
    plain, shifted = (cell_loadings(new, lanes, 50, shift) for shift in (False, True))
    difference = shifted @ shifted.T - plain @ plain.T
    np.testing.assert_allclose(difference, 30 / 80 * np.outer(delta, delta), atol=1e-11)


def test_cells_alone_in_their_batch_are_left_out():
    new = cells(7, 12, 5)
    lanes = ["a", "b", "a", "lonely", "b", "a", "lonely too", "b", None, None, "a", "b"]
    together = [lane not in ("lonely", "lonely too") for lane in lanes]
    kept = [lane for lane, shares in zip(lanes, together, strict=True) if shares]
    for shift in (False, True):
        np.testing.assert_array_equal(
            cell_loadings(new, lanes, 40, shift), cell_loadings(new[together], kept, 40, shift)
        )


@pytest.mark.parametrize(("count", "batch"), [(1, None), (3, ["a", "b", "c"]), (0, None)])
def test_cells_without_company_are_refused(count, batch):
    message = rf"network.new_cells: found {count} control cells?, no two in one batch"
    with pytest.raises(InputError, match=message):
        cell_loadings(np.zeros((count, 4)), batch, 10, shift=False)


def test_new_cells_enter_in_the_units_of_the_covariance_of_the_old():
    """Standardised by the spread of the old cells, new cells give the covariance of all of them."""
    old, new = cells(8, 80, 7), cells(9, 40, 7)
    panel = standardise(old, None)
    spread = old.std(axis=0)
    np.testing.assert_allclose(panel.spread, spread, rtol=1e-12)
    x = cell_loadings((new - panel.mean) / panel.spread, None, 80, shift=True)
    sigma = panel.values.T @ panel.values / 80 + x @ x.T
    expected = 120 / 80 * pooled(np.vstack([old, new]) / spread)
    np.testing.assert_allclose(sigma, expected, atol=1e-11)


def test_the_input_of_new_cells_is_not_changed():
    new = cells(10, 20, 4)
    copy = new.copy()
    cell_loadings(new, None, 10, shift=True)
    np.testing.assert_array_equal(new, copy)
