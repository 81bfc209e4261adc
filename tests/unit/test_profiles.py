"""Tables of profiles: names where there are names, numbers where there are numbers."""

import gzip

import anndata
import numpy as np
import pandas as pd
import pytest
from count_files import ENTRY

from lgem.errors import InputError
from lgem.screen.entry import (
    cell_rules,
    group_profiles,
    read_dataset_profiles,
)
from lgem.screen.network_cells import panel_profiles
from lgem.screen.profiles import Profiles, read_profiles
from lgem.screen.tables import read_any_table


def table(tmp_path, text, name="t.tsv"):
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, "utf-8")
    return str(path)


def refused(path, *rest, **keys):
    with pytest.raises(InputError) as error:
        read_profiles(path, *rest or ("samples_by_genes", None, None, None), **keys)
    return str(error.value)


# Any table


@pytest.mark.parametrize(
    ("text", "index", "columns"),
    [
        ("\ta\tb\nx\t1\t2\ny\t3\t4\n", ["x", "y"], ["a", "b"]),
        ("id\ta\tb\nx\t1\t2\ny\t3\t4\n", ["x", "y"], ["a", "b"]),
        ("a\tb\nx\t1\t2\ny\t3\t4\n", ["x", "y"], ["a", "b"]),  # as R writes it
        ("a\tb\n1.5\t2\n3\t4\n", ["1", "2"], ["a", "b"]),  # no names
        ("a\tb\n1\t2\n1\t4\n", ["1", "2"], ["a", "b"]),
        ("a\tb\n1\t2\n3\t4\n", ["1", "3"], ["b"]),  # distinct whole numbers: names
        ("id\ta\tb\n\n7\t1\t2\n\n5\t3\t4\n\n\n", ["7", "5"], ["a", "b"]),  # blank lines
        ("\n\ta\tb\nx\t1\t2\n  \n", ["x"], ["a", "b"]),
        ("\ta\tb\n1\t1\t2\n9\t3\t4\n", ["1", "9"], ["a", "b"]),
        ("entrez\ta\tb\n7157\t1.5\t2\n672\t3\t4\n", ["7157", "672"], ["a", "b"]),
        ("id\ta\n001\t1.5\n010\t2.5\n", ["001", "010"], ["a"]),  # names as they are spelled
        ("\ta\nNA\t1\nnan\t2\n", ["NA", "nan"], ["a"]),
        ("\tg\tg\nx\t1\t2\nx\t3\t4\n", ["x", "x"], ["g", "g"]),  # doubles stay doubles
        ("\t7157\t672\nx\t1\t2\n", ["x"], ["7157", "672"]),
        ("gene\nA\nB\n", ["1", "2"], ["gene"]),
    ],
)
def test_the_first_column_names_the_rows_where_it_holds_names(tmp_path, text, index, columns):
    for name, content in [
        ("t.tsv", text),
        ("t.txt", text),
        ("t.tsv.gz", text),
        ("t.csv", text.replace("\t", ",")),
        ("t.csv.gz", text.replace("\t", ",")),
    ]:
        found = read_any_table(table(tmp_path, content, name))
        assert list(found.index) == index
        assert list(found.columns) == columns


def test_the_caller_may_know_that_the_first_column_holds_names(tmp_path):
    path = table(tmp_path, "sample\tbatch\n3\t1\n3\t2\n\n")
    assert list(read_any_table(path).columns) == ["sample", "batch"]
    named = read_any_table(path, named=True)
    assert list(named.index) == ["3", "3"]
    assert named["batch"].tolist() == ["1", "2"]


def test_a_table_of_names_stays_as_it_is_written(tmp_path):
    path = table(tmp_path, "s\tday\tdose\tnote\na\t01\t1.0\tNA\nb\t1\t1\tnan\nc\t\t1e3\t\n")
    found = read_any_table(path, named=True)
    assert found["day"].tolist()[:2] == ["01", "1"]
    assert found["dose"].tolist() == ["1.0", "1", "1e3"]
    assert found["note"].tolist()[:2] == ["NA", "nan"]
    assert found.isna().sum().tolist() == [1, 0, 1]


def test_values_keep_their_kinds_and_blanks_are_missing(tmp_path):
    found = read_any_table(table(tmp_path, "\tn\tt\nx\t1.5\tNo\ny\t\t\nz\tNA\tNA\n"))
    assert found["n"].tolist()[0] == 1.5
    assert found["t"].tolist()[0] == "No"
    assert found.iloc[1:].isna().all(axis=None)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("t.tsv", "", "found an unreadable table ("),
        ("t.tsv", "a\tb\n1\t2\n1\t2\t3\t4\n", "found an unreadable table ("),
        ("t.csv.gz", None, "found an unreadable table ("),
        ("t.tsv", ",a,b\nx,1,2\n", "a first line without the tab of its kind: ',a,b'; expected"),
        ("t.csv", "\ta\tb\nx\t1\t2\n", "a first line without the comma of its kind"),
        (
            "t.csv", ";a;b\nx;1,5;2\n",
            "found a first line without the comma of its kind: ';a;b'; expected commas in .csv "
            "files, tabs in all others",
        ),
        ("t.txt", "id;a\nx;1\n", "a first line without the tab of its kind: 'id;a'; expected"),
        ("t.csv", "g" * 99 + ";b\nx;1\n", f"of its kind: '{'g' * 60}'; expected"),
        ("t.tsv", "x\t1.5\t-0.25\ny\t3.5\t4.5\n", "measurements in the first line: 1.5, -0.25"),
        ("no.tsv", None, "found no such file; expected a CSV or TSV table"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_told(tmp_path, name, text, found):
    path = tmp_path / name
    if text is not None:
        table(tmp_path, text, name)
    elif name != "no.tsv":
        path.write_bytes(b"not gzip")
    with pytest.raises(InputError) as error:
        read_any_table(str(path))
    assert str(error.value).startswith(f"{path}: found ")
    assert found in str(error.value)


# Profiles

EXPRESSION = "\ts1\ts2\ts3\ng1\t1\t2\t3\ng2\t4\t5\t6.5\n"
EXPECTED = np.array([[1, 4], [2, 5], [3, 6.5]])


def test_a_table_may_lie_either_way(tmp_path):
    tall = table(tmp_path, EXPRESSION)
    wide = table(tmp_path, "\tg1\tg2\ns1\t1\t4\ns2\t2\t5\ns3\t3\t6.5\n", "w.tsv")
    for path, orientation in [(tall, "genes_by_samples"), (wide, "samples_by_genes")]:
        found = read_profiles(path, orientation, None, None, None)
        np.testing.assert_array_equal(found.values, EXPECTED)
        assert list(found.obs.index) == ["s1", "s2", "s3"]
        assert list(found.var.index) == ["g1", "g2"]


@pytest.mark.parametrize("layer", [None, "log"])
@pytest.mark.parametrize("sparse", [False, True])
def test_an_h5ad_may_hold_profiles_in_x_or_a_layer(tmp_path, layer, sparse):
    from scipy.sparse import csr_matrix

    values = csr_matrix(EXPECTED) if sparse else EXPECTED
    obs = pd.DataFrame({"batch": ["u", "v", "v"]}, index=["s1", "s2", "s3"])
    data = anndata.AnnData(
        X=values if layer is None else values * 0, obs=obs, layers={"log": values}
    )
    data.write_h5ad(tmp_path / "p.h5ad")
    found = read_profiles(str(tmp_path / "p.h5ad"), "samples_by_genes", None, None, layer)
    np.testing.assert_array_equal(found.values, EXPECTED)
    assert found.obs["batch"].tolist() == ["u", "v", "v"]
    assert refused(str(tmp_path / "p.h5ad"), "samples_by_genes", None, None, "lag").endswith(
        "layer 'lag': found no such layer; expected one of: log; did you mean 'log'?"
    )


def test_metadata_are_joined_by_name_not_by_row(tmp_path):
    metadata = table(tmp_path, "sample\tbatch\ns3\t3\ns9\t9\ns1\t1\ns2\t2\n", "m.tsv")
    genes = table(tmp_path, "gene\tsymbol\ng2\ttwo\n", "g.tsv")
    found = read_profiles(table(tmp_path, EXPRESSION), "genes_by_samples", metadata, genes, None)
    assert found.obs["batch"].tolist() == ["1", "2", "3"]
    assert found.var["symbol"].isna().tolist() == [True, False]
    assert found.var["symbol"].iloc[1] == "two"


def test_replicates_may_share_a_name_and_its_metadata(tmp_path):
    path = table(tmp_path, "\tNT\tA\tNT\ng1\t1\t2\t3\n")
    metadata = table(tmp_path, "\tday\nA\t7\nNT\t8\n", "m.tsv")
    found = read_profiles(path, "genes_by_samples", metadata, None, None)
    assert list(found.obs.index) == ["NT", "A", "NT"]
    assert found.obs["day"].tolist() == ["8", "7", "8"]
    np.testing.assert_array_equal(found.values, [[1], [2], [3]])


@pytest.mark.parametrize(
    ("text", "orientation", "message"),
    [
        (
            "\ts1\ts2\ng1\t1\t2\ng2\t3\tlow\n", "genes_by_samples",
            "column 's2': found 'low' in row 'g2'; expected numbers",
        ),
        (
            "\tg1\tg2\ns1\t1\t2\ns2\tlow\t3\n", "samples_by_genes",
            "column 'g1': found 'low' in row 's2'; expected numbers",
        ),
        (
            "\ts1\ts2\ng1\t1\t\ng2\t3\t4\n", "genes_by_samples",
            "found nan for sample 's2', gene 'g1'; expected finite values on a log scale, at "
            "most 100 in size",
        ),
        (
            "\tg1\tg2\ns1\t1\t250\n", "samples_by_genes",
            "found 250 for sample 's1', gene 'g2'; expected finite values on a log scale, at most "
            "100 in size",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_on_a_log_scale_is_told_with_its_place(tmp_path, text, orientation, message):
    path = table(tmp_path, text)
    assert refused(path, orientation, None, None, None).removeprefix(path).lstrip(": ") == message


def test_metadata_that_do_not_fit_are_told(tmp_path):
    path = table(tmp_path, EXPRESSION)
    m = table(tmp_path, "sample\tbatch\ns1\t1\ns1\t2\ns2\t1\ns3\t1\n", "m.tsv")
    assert refused(path, "genes_by_samples", m, None, None) == (
        f"{m}: found more than one row for s1; expected one row each"
    )
    m = table(tmp_path, "sample\tbatch\ns1\t1\n", "m.tsv")
    assert refused(path, "genes_by_samples", m, None, None).startswith(
        f"{m}: found no row for 2 samples: s2, s3; expected a row for every sample"
    )
    assert refused(path, "genes_by_samples", m, None, None).endswith("in its first column the name")
    turned = refused(path, "samples_by_genes", m, None, None)
    assert "no row for 2 samples: g1, g2" in turned
    assert turned.endswith("; it has rows for what are taken for genes: see orientation")
    g = table(tmp_path, "gene\tsymbol\nENSG1\ta\nENSG2\tb\n", "g.tsv")
    assert refused(path, "genes_by_samples", None, g, None) == (
        f"{g}: found no row for any gene; there are: ENSG1, ENSG2; expected rows for genes such "
        "as: g1, g2"
    )
    g = table(tmp_path, "gene\tsymbol\ng1\ta\ng1\tb\ng2\tc\n", "g.tsv")
    assert "found more than one row for g1" in refused(path, "genes_by_samples", None, g, None)


def test_genes_that_occur_twice_in_a_header_are_told(tmp_path):
    path = table(tmp_path, "\tg1\tg1\ns1\t1\t2\ns2\t3\t4\n")
    with pytest.raises(InputError, match=r"genes: found gene names that occur more than once: 1"):
        read_dataset_profiles({"table": path}, ENTRY)


def test_numbers_name_samples_and_genes_though_all_values_are_whole(tmp_path):
    path = table(tmp_path, "entrez\t11\t12\t13\n7157\t1\t2\t3\n672\t4\t5\t6\n")
    metadata = table(tmp_path, "id\tgene\n11\t0\n12\t7157\n13\t672\n", "m.tsv")
    found = read_profiles(path, "genes_by_samples", metadata, None, None)
    assert list(found.var.index) == ["7157", "672"]
    assert found.obs["gene"].to_dict() == {"11": "0", "12": "7157", "13": "672"}
    np.testing.assert_array_equal(found.values, [[1, 4], [2, 5], [3, 6]])
    cells, groups, _ = group_profiles(
        found, cell_rules({**ENTRY, "control": ["0"], "batch": None}), 1, metadata
    )
    assert cells["perturbation"].tolist() == ["control", "7157", "672"]
    assert groups["n_cells"].tolist() == [1, 1, 1]


def test_batches_of_profiles_stay_apart_as_they_are_spelled(tmp_path):
    names = ["a", "b", "c", "d", "e"]
    path = table(tmp_path, "\tg1\n" + "".join(f"{name}\t1.5\n" for name in names))
    lanes = ["01", "1", "NA", "", "1.0"]
    labels = ["NT", "A", "B", "NT", "A"]
    rows = zip(names, labels, lanes, strict=True)
    text = "s\tgene\tlane\n" + "".join("\t".join(row) + "\n" for row in rows)
    tables = {"table": path, "metadata": table(tmp_path, text, "m.tsv")}
    cells, _, _ = group_profiles(read_dataset_profiles(tables, ENTRY), cell_rules(ENTRY), 1, "m")
    assert cells["batch"].tolist() == ["01", "1", "NA", "-", "1.0"]


def test_samples_of_one_name_cannot_be_found_in_metadata_unless_the_name_is_the_label(tmp_path):
    path = table(tmp_path, "\tg1\ng\t1\nNT\t2.5\nNT\t3\nA\t4\nB\t5\n")
    metadata = table(tmp_path, "s\tgene\tlane\ng\tA\t1\nNT\tNT\t1\nA\tA\t1\nB\tB\t1\n", "m.tsv")
    tables = {"table": path, "metadata": metadata}
    with pytest.raises(InputError) as error:
        read_dataset_profiles(tables, ENTRY)
    assert str(error.value) == (
        f"{path}: found more than one sample called NT; expected a name of its own for every "
        "sample, to find it in the metadata"
    )
    found = read_dataset_profiles(tables, {**ENTRY, "perturbation": "index"})
    assert found.obs["lane"].tolist() == ["1"] * 5
    alone = read_dataset_profiles({"table": path}, {**ENTRY, "perturbation": None})
    assert list(alone.obs.index) == ["g", "NT", "NT", "A", "B"]


# Profiles as a screen


@pytest.fixture
def bulk(tmp_path):
    rng = np.random.default_rng(0)
    labels = ["NT", "A", "NT", "B", "A", "B", "NT", "x"]
    values = rng.normal(5, 2, (8, 5))
    values[:, 4] = 0.1
    frame = pd.DataFrame(values, index=labels, columns=["A", "g1", "g2", "B", "flat"])
    frame.to_csv(tmp_path / "bulk.csv")
    entry = {**ENTRY, "perturbation": "index", "batch": None, "control": ["NT", "x"]}
    profiles = read_dataset_profiles({"table": str(tmp_path / "bulk.csv")}, entry)
    return entry, profiles, frame


def test_sample_names_may_be_the_labels_of_replicates(bulk):
    entry, profiles, frame = bulk
    cells, groups, sums = group_profiles(profiles, cell_rules(entry), 1, "bulk.csv")
    assert groups["perturbation"].tolist() == ["A", "B", "control"]
    assert groups["n_cells"].tolist() == [2, 2, 4]
    np.testing.assert_allclose(sums.log[0] / 2.0**36, frame.loc["A"].sum(axis=0), rtol=1e-10)
    assert cells["group"].tolist() == [2, 0, 2, 1, 0, 1, 2, 2]


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_the_panel_of_profiles_is_targets_then_variance_and_never_a_constant(bulk):
    entry, profiles, frame = bulk
    assert list(panel_profiles(profiles, entry, 2).var_names) == ["A", "B"]
    everything = panel_profiles(profiles, entry, 99)
    assert list(everything.var_names) == ["A", "g1", "g2", "B"]
    np.testing.assert_allclose(everything.X, frame[["A", "g1", "g2", "B"]])
    free = panel_profiles(profiles, {**entry, "perturbation": None}, 1)
    assert list(free.var_names) == [frame.var().idxmax()]


def test_equal_values_do_not_vary_though_their_variance_may_round_to_more_than_zero(bulk):
    entry, profiles, _ = bulk
    for value in np.linspace(0.1, 1, 200):
        values = profiles.values.copy()
        values[:, 4] = value
        if values.var(axis=0, ddof=1)[4] > 0:
            break
    assert values.var(axis=0, ddof=1)[4] > 0
    free = {**entry, "perturbation": None}
    flat = Profiles(values, profiles.obs.reset_index(drop=True), profiles.var)
    assert list(panel_profiles(flat, free, 5).var_names) == ["A", "g1", "g2", "B"]
