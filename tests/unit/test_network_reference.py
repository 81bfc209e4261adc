"""Reference networks: every way to write one, and an account of every row."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.network.reference import read_reference

GENES = ["b1", "b2", "b3", "b4", "b5"]
SYMBOLS = ["thrA", "thrB", "insA", "insA", None]
EXPECTED = [("b1", "b2"), ("b2", "b3")]


def read(tmp_path, text, symbols=None, encoding="utf-8"):
    path = tmp_path / "reference.txt"
    path.write_text(text, encoding)
    return read_reference(path, GENES, symbols)


def pairs(reference):
    return list(reference.edges.itertuples(index=False, name=None))


@pytest.mark.parametrize("header", ["", "source{0}target\n"])
@pytest.mark.parametrize("separator", [",", "\t", ";", " ", ", "])
def test_two_columns(tmp_path, separator, header):
    text = header.format(separator) + f"b3{separator}b2\nb1{separator}b2\n"
    assert pairs(read(tmp_path, text)) == EXPECTED


@pytest.mark.parametrize("header", ["", "regulator,gene,present\n"])
@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("1.0", "0.0")])
def test_three_columns_say_which_edges_are_absent(tmp_path, header, yes, no):
    reference = read(tmp_path, f"{header}b1,b2,{yes}\nb1,b3,{no}\nb2,b3,{yes}\n")
    assert pairs(reference) == EXPECTED
    assert reference.counts["absent"] == 1
    assert reference.counts["rows"] == 3


def test_the_sign_of_an_action_is_an_edge(tmp_path):
    reference = read(tmp_path, "regulator,gene,effect\nb1,b2,+\nb3,b2,-\nb1,b4,+-\nb1,b5,?\n")
    assert pairs(reference) == [("b1", "b2"), ("b1", "b4"), ("b1", "b5"), ("b2", "b3")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_quotes_blank_lines_and_byte_order_marks_are_no_obstacle(tmp_path, encoding):
    text = '"b1","b2"\r\n\r\n"b3","b2"\r\n'
    assert pairs(read(tmp_path, text, encoding=encoding)) == EXPECTED


def test_a_first_edge_beyond_the_panel_is_no_header_if_its_genes_recur(tmp_path):
    assert read(tmp_path, "x1,x2\nb1,b2\nx1,b2\n").counts["rows"] == 3
    assert read(tmp_path, "x1,b2\nb1,b2\n").counts["rows"] == 2
    assert read(tmp_path, "from,to\nb1,b2\nx1,b2\n").counts["rows"] == 2


def test_a_gene_may_be_called_like_a_missing_value(tmp_path):
    (tmp_path / "edges.tsv").write_text("NA\tnan\n")
    reference = read_reference(tmp_path / "edges.tsv", ["NA", "nan"])
    assert pairs(reference) == [("NA", "nan")]


def test_symbols_stand_for_ids_unless_several_genes_share_them(tmp_path):
    text = "thrA,b2\nthrB,b3\ninsA,b1\ninsA,b5\n"
    reference = read(tmp_path, text, SYMBOLS)
    assert pairs(reference) == EXPECTED
    assert reference.counts["ambiguous"] == 2
    assert reference.counts["not_in_panel"] == 0
    assert read(tmp_path, "thrA,b2\nb1,b2\n").counts["not_in_panel"] == 1


def test_an_id_comes_before_another_genes_symbol(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("g1,g2\n")
    reference = read_reference(path, ["g1", "g2", "g3"], ["x", "y", "g1"])
    assert pairs(reference) == [("g1", "g2")]


def test_every_row_is_accounted_for(tmp_path):
    text = (
        "source,target,present\n"
        "b2,b1,1\nb1,b2,1\nb2,b1,0\n"  # kept, reversed, absent
        "b3,b3,1\ninsA,b1,1\nx,b1,1\nx,x,1\nthrB,thrB,1\nthrB,b3,1\n"
    )
    reference = read(tmp_path, text, SYMBOLS)
    assert pairs(reference) == EXPECTED
    assert reference.counts == {
        "rows": 9,
        "absent": 1,
        "not_in_panel": 2,
        "ambiguous": 1,
        "self_loops": 2,
        "duplicates": 1,
        "edges": 2,
    }


names = st.sampled_from([*GENES, "x1", "x2"])
rows = st.lists(st.tuples(names, names, st.booleans()), min_size=1, max_size=30)


@settings(deadline=None, max_examples=60)
@given(rows=rows)
def test_reading_agrees_with_a_loop_over_the_rows(tmp_path_factory, rows):
    rows = [("b5", "b4", True), *rows]
    path = tmp_path_factory.mktemp("reference") / "edges.tsv"
    path.write_text("".join(f"{a}\t{b}\t{int(present)}\n" for a, b, present in rows))
    expected = {
        tuple(sorted((a, b)))
        for a, b, present in rows
        if present and a != b and a in GENES and b in GENES
    }
    reference = read_reference(path, GENES)
    assert pairs(reference) == sorted(expected)
    counts = dict(reference.counts)
    assert counts.pop("rows") == len(rows) == sum(counts.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no table"),
        ("b1\nb2\n", "1 columns.*two columns"),
        ("b1,b2,1,x\n", "4 columns"),
        ("b1,b2\nb1,b2,1\n", "no table .*line 2"),
        ("b1,b2,1\nb1,b3\n", "row 2: .*empty field"),
        ("b1,b2\nb1,\n", "row 2: .*empty field"),
        ("a,b,score\nb1,b2,1\nb1,b3,0.7\n", "row 3: found '0.7' in the third column"),
        ("B1x,c\nB1x,d\n", "not_in_panel 2.*like B1x, c, d.*like b1, b2, b3.*did you mean 'b1'"),
        ("b1,b1\n", "no edge.*self_loops 1"),
        ("from,to\n", "no edge below the first line"),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=f"reference.txt.*{message}"):
        read(tmp_path, text)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.csv.*cannot be read"):
        read_reference(tmp_path / "nowhere.csv", GENES)
    (tmp_path / "binary.csv").write_bytes(b"\x89HDF\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary.csv.*cannot be read"):
        read_reference(tmp_path / "binary.csv", GENES)


def test_edges_are_a_table_of_ids(tmp_path):
    reference = read(tmp_path, "thrB,thrA\n", SYMBOLS)
    pd.testing.assert_frame_equal(
        reference.edges, pd.DataFrame({"gene_a": ["b1"], "gene_b": ["b2"]})
    )
