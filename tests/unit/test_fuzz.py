"""Whatever a user's label, config, table or file holds: an answer or an error in words."""

from __future__ import annotations

import copy
import string
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from lgem.config import Config, ConfigError, load
from lgem.errors import InputError
from lgem.files import read_table, write_table
from lgem.network.loadings import check_pathways
from lgem.network.reference import read_reference
from lgem.prediction.given import read_embedding
from lgem.prediction.splits import make_splits, read_split_table
from lgem.screen.labels import CONTROL, SEPARATOR, LabelRules, genes_of
from lgem.screen.matrices import count_matrix
from lgem.screen.panel import read_names
from lgem.screen.stores import open_store
from lgem.screen.tables import numbers, read_any_table
from tests.unit.config_cases import WHOLE as VALID
from tests.workflow.screens import cells_of

GENES = [f"GENE{row}" for row in range(1, 7)]


def few(examples: int):
    """Settings of a test: so many examples, however slow the machine."""
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=slow, derandomize=True
    )


def refusal(act: Callable[[], object]) -> str:
    """Return what an InputError tells, or nothing where there is none; any other error is one."""
    try:
        act()
    except InputError as error:
        return str(error)
    return ""


# Labels

anything = st.text(max_size=30)
name = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=8)
rules = st.builds(
    LabelRules,
    control=st.lists(anything.map(str.strip).filter(bool), min_size=1, max_size=3).map(tuple),
    separator=st.none() | st.text(min_size=1, max_size=3),
    pattern=st.none() | st.sampled_from([r"del_(\w+)", r"\w+", r"(x)?", r"[^,]+", r"", r"(a)(b)"]),
)


@few(200)
@given(rules, anything)
def test_any_label_is_read_or_refused_in_words(rules, raw):
    found = rules.parse(raw)
    assert found is None or found
    if told := refusal(lambda: rules.check(raw, "place")):
        assert told.startswith("place: label ")
        return
    if found not in (None, CONTROL):
        # What is sound is made of genes, each once and in order, none of them control.
        genes = genes_of(found)
        assert list(genes) == sorted(set(genes))
        assert not set(genes) & {*rules.control, CONTROL, ""}


@few(100)
@given(st.lists(name, min_size=1, max_size=4), st.randoms(), st.sampled_from(["+", "_and_", "|"]))
def test_the_order_of_genes_is_of_no_account_and_a_normal_form_stays(genes, random, separator):
    rules = LabelRules(("ctrl", "safe"), separator)
    genes = [gene for gene in genes if separator not in gene]
    label = separator.join(genes)
    shuffled = list(genes)
    random.shuffle(shuffled)
    parsed = rules.parse(label)
    assert rules.parse(separator.join(shuffled)) == parsed
    assert rules.parse(separator.join([*genes, "ctrl"])) == (parsed or CONTROL)
    assert rules.parse(separator.join(["safe", *shuffled])) == (parsed or CONTROL)
    if parsed not in (None, CONTROL):
        again = LabelRules(rules.control, SEPARATOR)
        assert again.parse(parsed) == parsed


# The config

strange = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), anything, st.just([]), st.just({}),
    st.lists(st.integers() | anything, max_size=2), st.dictionaries(anything, anything, max_size=2),
)  # fmt: skip


def places(value, path=()):
    """Return every place of a config, as the keys that lead to it."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(inner, (*path, key))
    return found


def config_refusal(raw: dict[str, Any]) -> str:
    """Return what a ConfigError tells, or nothing where the config is loaded."""
    try:
        assert isinstance(load(raw), Config)
    except ConfigError as error:
        return str(error)
    return ""


WHOLE = load(VALID).model_dump(mode="json")


@few(150)
@given(st.data())
def test_a_config_with_anything_at_any_place_is_loaded_or_refused_in_words(data):
    raw = copy.deepcopy(WHOLE)
    path = data.draw(st.sampled_from(places(raw)))
    section = raw
    for key in path[:-1]:
        section = section[key]
    if isinstance(section, dict) and data.draw(st.booleans()):
        key = data.draw(anything.filter(lambda key: key not in section))
        section[key] = section.pop(path[-1])
    else:
        section[path[-1]] = data.draw(strange)
    told = config_refusal(raw)
    if told:
        assert told.startswith("config: ")
        for jargon in ("Traceback", "pydantic", "Input should", "validation error", "input_value"):
            assert jargon not in told
        assert path[0] in told or "dataset" in told or repr(key)[1:-1] in told


# Tables


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


cell = st.sampled_from(["", "1", "-2.5", "1e400", "nan", "NA", "GENE1", "GENE2", "train", "test",
                        "perturbation", "set", "fold", "gene", "pathway", "loading", '"', 'a"b',
                        "'", " ", "é", "\x00", "0x1", "True", "1_000", "9" * 30])  # fmt: skip
lines = st.lists(st.lists(cell, max_size=5), max_size=6)
like_a_table = st.builds(
    lambda rows, between, end: end.join(between.join(row) for row in rows).encode(),
    lines, st.sampled_from([",", "\t", ";"]), st.sampled_from(["\n", "\r\n", "\r"]),
)  # fmt: skip
content = st.binary(max_size=200) | anything.map(str.encode) | like_a_table
known = {gene: row for row, gene in enumerate(GENES)}
READERS = {
    "table": lambda path: numbers(read_any_table(path), path),
    "named": lambda path: read_any_table(path, named=True),
    "embedding": read_embedding,
    "splits": lambda path: make_splits(
        GENES, {"scheme": "file", "file": path}, 1, read_split_table(path), LabelRules(("ctrl",))
    ),
    "pathways": lambda path: check_pathways(path, known, GENES),
    "reference": lambda path: read_reference(path, GENES),
    "panel": read_names,
}


@pytest.mark.parametrize("reader", READERS)
@few(60)
@given(content, st.sampled_from([".csv", ".tsv", ".tsv.gz"]))
@example(b"perturbation\tset\tfold\nGENE1\ttrain\t9999999999999999999999\n", ".tsv")
@example(b"gene\tpathway\tloading\nGENE1\tP\t1\t2\t3\n", ".tsv")
@example(b'gene,a\nGENE1,"1\nGENE2,2\n', ".csv")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_any_bytes_are_a_table_or_refused_in_words(folder, reader, content, suffix):
    path = folder / f"any{suffix}"
    path.write_bytes(content)
    if told := refusal(lambda: READERS[reader](str(path))):
        assert str(path) in told
        assert len(told.splitlines()) == 1


text = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\x85\u2028\u2029"),
    min_size=1, max_size=6,
)  # fmt: skip


@few(100)
@given(
    st.integers(1, 5).flatmap(
        lambda rows: st.dictionaries(
            text,
            st.lists(text, min_size=rows, max_size=rows)
            | st.lists(st.floats(allow_infinity=False), min_size=rows, max_size=rows)
            | st.lists(st.integers(-(2**53), 2**53), min_size=rows, max_size=rows),
            min_size=2, max_size=4,
        )
    )
)  # fmt: skip
def test_a_table_that_is_written_is_read_back(folder, columns):
    table = pd.DataFrame(columns)
    write_table(table, folder / "table.tsv")
    read = read_table(folder / "table.tsv")
    assert list(read.columns) == list(table.columns)
    for column in table:
        for mine, others in zip(table[column], read[column], strict=True):
            same = mine == others or str(mine) == str(others)
            assert same or (pd.isna(mine) and pd.isna(others))


@few(60)
@given(
    st.lists(name.filter(lambda n: not n.replace(".", "").isdigit()), min_size=1, max_size=5,
             unique=True),
    st.integers(1, 4), st.integers(0, 2**32 - 1), st.sampled_from(["\n", "\r\n"]), st.booleans(),
)  # fmt: skip
def test_an_embedding_that_is_written_is_read_back(folder, names, width, seed, end, mark):
    values = np.random.default_rng(seed).normal(size=(len(names), width))
    columns = [f"d{number}" for number in range(width)]
    frame = pd.DataFrame(values, index=pd.Index(names, name="gene"), columns=columns)
    written = ("\ufeff" if mark else "") + frame.to_csv(sep="\t", lineterminator=end)
    (folder / "embedding.tsv").write_bytes(written.encode())
    read = read_embedding(str(folder / "embedding.tsv"))
    assert list(read) == names
    np.testing.assert_array_equal(np.array(list(read.values())), values)


# Files of counts


@pytest.fixture(scope="module")
def whole(folder):
    """A small .h5ad, and its counts."""
    screen = cells_of(each=2, controls=4)
    path = folder / "whole.h5ad"
    screen.write_h5ad(path)
    return path.read_bytes(), screen.X.toarray()


def counts_of(path):
    with open_store(str(path)) as store:
        store.frame("obs")
        store.frame("var")
        matrix = count_matrix(store, None)
        shape = matrix.shape
        blocks = [block for _, block in matrix.blocks(50)]
    return shape, sparse.vstack(blocks).toarray() if blocks else np.zeros(shape)


def test_the_whole_file_is_read(folder, whole):
    shape, counts = counts_of(folder / "whole.h5ad")
    assert shape == whole[1].shape
    np.testing.assert_array_equal(counts, whole[1])


@few(150)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_file_with_changed_bytes_is_read_or_refused_in_words(folder, whole, changes):
    content = bytearray(whole[0])
    for place, value in changes:
        content[int(place * (len(content) - 1))] = value
    path = folder / "changed.h5ad"
    path.write_bytes(content)
    told = refusal(lambda: counts_of(path))
    assert told == "" or str(path) in told


@few(25)
@given(st.floats(0, 0.999))
def test_a_file_that_is_cut_off_is_refused_in_words(folder, whole, share):
    path = folder / "cut.h5ad"
    path.write_bytes(whole[0][: int(share * len(whole[0]))])
    with pytest.raises(InputError, match=r"cut\.h5ad: found "):
        counts_of(path)
