"""Tables beside the counts: every cell gets its own row, and guides the genes they aim at."""

import pandas as pd
import pytest
from count_files import ENTRY, make_screen
from ten_x import write_calls, write_reference

from lgem.errors import InputError
from lgem.screen.annotation import Guides, Shard, annotated, shards_of
from lgem.screen.counting import describe_shards
from lgem.screen.entry import cell_rules
from lgem.screen.labels import LabelRules

TARGETS = {"a1": "GENE1", "a2": "GENE1", "b1": "GENE2", "n1": "Non-Targeting"}
CALLS = {
    "c1": "a1",
    "c2": "a1|a2",
    "c3": "b1|a1",
    "c4": "b1|n1",
    "c5": "n1",
    "c6": "a2 (name)|b1 (name)",
}
CELLS = pd.DataFrame(index=[f"c{number}" for number in range(8)])


def path_of(folder, name, text):
    (folder / name).write_text(text, "utf-8")
    return str(folder / name)


@pytest.fixture
def screen(tmp_path):
    """Paths of guide calls and of targets."""
    write_calls(CALLS, tmp_path / "calls.csv")
    write_reference(TARGETS, tmp_path / "reference.csv")
    return str(tmp_path / "calls.csv"), str(tmp_path / "reference.csv")


def described(calls, reference, cells=CELLS, **rest):
    shard = Shard("a.h5ad", "lane_1", guide_calls=calls)
    return annotated(cells, shard, Guides(reference, rest.get("column", "feature_call"), "+"))


def refused(*arguments, **keys):
    with pytest.raises(InputError) as error:
        described(*arguments, **keys)
    return str(error.value)


# Guides


def test_cells_get_the_targets_of_the_guides_called_in_them_each_once(screen):
    found = described(*screen)
    assert list(found.index) == list(CELLS.index)
    named = found["target_gene_name"]
    assert named.dropna().to_dict() == {
        "c1": "GENE1",
        "c2": "GENE1",
        "c3": "GENE1+GENE2",
        "c4": "GENE2+Non-Targeting",
        "c5": "Non-Targeting",
        "c6": "GENE1+GENE2",
    }
    assert named.isna().to_dict()["c0"]
    assert found["target_gene_id"]["c3"] == "ENSG_GENE1+ENSG_GENE2"
    assert found["feature_call"]["c3"] == "b1|a1"


def test_labels_of_guides_are_read_as_perturbations(screen):
    rules = LabelRules(control=("Non-Targeting",))
    labels = described(*screen)["target_gene_name"].dropna().map(rules.parse)
    assert labels.tolist() == ["GENE1", "GENE1", "GENE1+GENE2", "GENE2", "control", "GENE1+GENE2"]


def test_guides_may_be_a_column_of_the_cells_themselves(screen):
    for guides in (["a1", "a1|b1", "", None], pd.Categorical(["a1", "a1|b1", " ", None])):
        cells = pd.DataFrame({"sgRNA": guides}, index=list("wxyz"))
        found = described(None, screen[1], cells, column="sgRNA")["target_gene_name"]
        assert found.tolist()[:2] == ["GENE1", "GENE1+GENE2"]
        assert found.isna().tolist() == [False, False, True, True]


def test_guides_may_be_numbers(tmp_path):
    reference = path_of(tmp_path, "r.csv", "guide,gene\n1,A\n2,B\n")
    cells = pd.DataFrame({"sgRNA": [1.0, 2.0, None]}, index=list("xyz"))
    assert described(None, reference, cells, column="sgRNA")["gene"].tolist()[:2] == ["A", "B"]


def test_a_guide_that_aims_at_nothing_known_adds_no_target(tmp_path):
    reference = path_of(tmp_path, "r.csv", "guide,gene\ng1,A\ng2,\n")
    cells = pd.DataFrame({"sgRNA": ["g1|g2", "g2"]}, index=list("xy"))
    found = described(None, reference, cells, column="sgRNA")["gene"]
    assert found["x"] == "A"
    assert pd.isna(found["y"])


def test_an_unknown_guide_is_told_with_the_nearest(screen, tmp_path):
    write_calls({**CALLS, "c7": "a1|b11", "c0": "x"}, tmp_path / "calls.csv")
    assert refused(*screen) == (
        f"{screen[1]}: found no row for 2 guides that were called: b11, x; expected a row for "
        "every guide, in its first column the name; did you mean 'b1'?"
    )


def test_a_missing_column_of_guides_is_told(screen):
    assert refused(*screen, column="feature_cal") == (
        f"{screen[0]}: guide: column 'feature_cal': found no such column; expected one of: "
        "num_features, feature_call, num_umis, shard; did you mean 'feature_call'?"
    )


def test_a_guide_of_two_rows_is_told(tmp_path):
    reference = path_of(tmp_path, "r.csv", "guide,gene\ng1,A\ng1,B\n")
    cells = pd.DataFrame({"sgRNA": ["g1"]}, index=["x"])
    assert "found more than one row for g1" in refused(None, reference, cells, column="sgRNA")


# Tables of cells


def test_calls_of_other_barcodes_are_told(screen):
    cells = CELLS.set_axis([f"{name}-1" for name in CELLS.index])
    assert refused(*screen, cells) == (
        f"{screen[0]}: found no row for any cell; there are: c1, c2, c3 and 3 more; expected "
        "rows for cells such as: c0-1, c1-1, c2-1 and 5 more"
    )


def test_a_barcode_called_twice_is_told(tmp_path, screen):
    path_of(tmp_path, "calls.csv", "cell_barcode,feature_call\nc1,a1\nc1,b1\n")
    assert "calls.csv: found more than one row for c1; expected one row each" in refused(*screen)


def test_metadata_are_joined_by_name_and_must_have_every_cell(tmp_path):
    whole = path_of(tmp_path, "m.tsv", "cell\tday\nc1\t01\nc0\t02\nother\t3\n")
    cells = pd.DataFrame({"n": [1, 2]}, index=["c0", "c1"])
    found = annotated(cells, Shard("a", "1", whole), None)
    assert found.to_dict("list") == {"n": [1, 2], "day": ["02", "01"], "shard": ["1", "1"]}
    with pytest.raises(InputError, match=r"m\.tsv: found no row for 6 of 8 cells: c2, c3, c4 and"):
        annotated(CELLS, Shard("a", "1", whole), None)
    both = path_of(tmp_path, "b.tsv", "cell\tn\nc1\t1\nc0\t2\n")
    with pytest.raises(InputError, match="columns that the expression file has too: n; expected"):
        annotated(cells, Shard("a", "1", both), None)


def test_the_name_of_the_shard_is_a_column_unless_the_cells_have_one(tmp_path):
    assert annotated(CELLS, Shard("a", "lane_1"), None)["shard"].tolist() == ["lane_1"] * 8
    own = CELLS.assign(shard="own")
    assert annotated(own, Shard("a", "lane_1"), None)["shard"].tolist() == ["own"] * 8
    rows = "".join(f"{name}\tits\n" for name in CELLS.index)
    table = path_of(tmp_path, "m.tsv", f"cell\tshard\n{rows}")
    assert annotated(CELLS, Shard("a", "1", table), None)["shard"].tolist() == ["its"] * 8


# Shards


def two_shards(tmp_path, prefix):
    paths = []
    for number in (1, 2):
        cells = make_screen(seed=number)
        cells.obs = cells.obs[["gene"]]
        if prefix:
            cells.obs_names = [f"{name}-{number}" for name in cells.obs_names]
        paths.append(str(tmp_path / f"{number}.h5ad"))
        cells.write_h5ad(paths[-1])
    return paths


def describe(paths, tables):
    entry = {**ENTRY, "batch": ["lane"]}
    shards = shards_of(paths, ["1", "2"], tables)
    return describe_shards(shards, entry, cell_rules(entry))[0]


def lanes(names, lane):
    return "cell\tlane\n" + "".join(f"{name}\t{lane}\n" for name in names)


def test_one_table_may_describe_several_shards_where_their_cells_have_names_of_their_own(tmp_path):
    paths = two_shards(tmp_path, prefix=True)
    names = [f"cell{cell}-{shard}" for cell in range(120) for shard in (1, 2)]
    table = path_of(tmp_path, "m.tsv", lanes(names, "x"))
    assert [set(cells["batch"]) for cells in describe(paths, [table] * 2)] == [{"x"}, {"x"}]


def test_one_table_cannot_describe_cells_of_one_name_in_two_shards(tmp_path):
    paths = two_shards(tmp_path, prefix=False)
    names = [f"cell{cell}" for cell in range(120)]
    table = path_of(tmp_path, "m.tsv", lanes(names, "x"))
    with pytest.raises(InputError) as error:
        describe(paths, [table] * 2)
    assert str(error.value) == (
        f"{table}: found 120 names that more than one cell has: cell0, cell1, cell2 and 117 more; "
        "expected a name of its own for every cell that one table describes; or a table for each "
        "file of path, by a glob"
    )
    other = path_of(tmp_path, "n.tsv", lanes(names, "y"))
    assert [set(cells["batch"]) for cells in describe(paths, [table, other])] == [{"x"}, {"y"}]


def test_calls_that_mostly_name_other_cells_are_refused_and_a_few_are_told(tmp_path, caplog):
    cells = pd.DataFrame(index=[f"c{number}" for number in range(20)])
    table = tmp_path / "calls.csv"
    for own, refused in ((3, True), (5, False)):
        rows = [f"c{number},g" for number in range(own)]
        rows += [f"other{number},g" for number in range(20 - own)]
        table.write_text("\n".join(["cell,guide", *rows]), "utf-8")
        shard = Shard("a.h5ad", "1", guide_calls=str(table))
        if refused:
            with pytest.raises(InputError, match="rows for 3 cells, and 17 for cells that are not"):
                annotated(cells, shard, None)
        else:
            with caplog.at_level("WARNING", logger="lgem"):
                assert annotated(cells, shard, None)["guide"].notna().sum() == own
            assert "15 of 20 rows name cells that are not there, such as other0" in caplog.text
