"""Addresses: the names of their files, and how they are told."""

import re
from pathlib import Path

import pytest
import yaml

from lgem.config import load
from lgem.layout import Layout
from lgem.screen.entry import cell_rules
from lgem.urls import file_name, masked

ROOT = Path(__file__).resolve().parents[2]


def public_screens():
    """The entries that config.yaml has commented out, and those that the docs show."""
    config = (ROOT / "config.yaml").read_text("utf-8")
    commented = re.search(r"^  # adamson:.*?(?=\n\n)", config, re.DOTALL | re.MULTILINE)[0]
    shown = (ROOT / "docs/datasets.md").read_text("utf-8")
    blocks = re.findall(r"```yaml\n(  \w.*?)```", shown, re.DOTALL)
    entries = {}
    for block in (commented.replace("  # ", "  "), *blocks):
        entries |= yaml.safe_load(block)
    return entries


def test_the_public_screens_of_the_config_and_the_docs_are_ready_to_use():
    entries = public_screens()
    assert list(entries) == ["adamson", "norman", "replogle_k562", "replogle_rpe1", "norman_gears"]
    config = load({"dataset": list(entries), "datasets": entries})
    layout = Layout(config)
    layout.check_files()
    assert layout.fetched == list(entries)
    files = [shard for name in entries for shard in layout.shards(name)]
    assert files[0] == "resources/adamson/files/AdamsonWeissman2016_GSM2406681_10X010.h5ad"
    assert files[-1] == "resources/norman_gears/files/norman/perturb_processed.h5ad"


@pytest.mark.parametrize(
    ("screen", "label", "meant"),
    [
        ("adamson", "SPI1_pDS255", "SPI1"),
        ("adamson", "63(mod)_pBA580", "control"),
        ("adamson", "*", None),
        ("norman", "KLF1_MAP2K6", "KLF1+MAP2K6"),
        ("norman", "control", "control"),
        ("replogle_k562", "NOP2", "NOP2"),
        ("norman_gears", "ctrl+CEBPE", "CEBPE"),
        ("norman_gears", "ctrl", "control"),
    ],
)
def test_labels_of_the_public_screens_are_read(screen, label, meant):
    config = load({"dataset": screen, "datasets": public_screens()})
    rules = cell_rules(config.datasets[screen].model_dump(mode="json")).labels
    assert rules.parse(label) == meant


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://zenodo.org/records/1/files/a.h5ad?download=1", "a.h5ad"),
        ("https://a.org/x/b%20c+d.csv.gz#top", "b_c+d.csv.gz"),
        ("https://a.org/datafile/123", "123"),
        ("https://a.org/x/", ""),
        ("https://a.org/..%2F..%2F.profile", "profile"),
    ],
)
def test_a_file_is_called_by_the_last_part_of_the_path(url, name):
    assert file_name(url) == name


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://a.org/b?download=1#c", "https://a.org/b?download=1#c"),
        ("https://me:p%40ss@a.org:8080/b", "https://***@a.org:8080/b"),
        ("https://a.org/b?acc=1&access_token=x", "https://a.org/b?acc=1&access_token=***"),
        ("https://a.org/b?X-Amz-Signature=x&key=", "https://a.org/b?X-Amz-Signature=***&key=***"),
    ],
)
def test_passwords_and_keys_are_hidden(url, told):
    assert masked(url) == told
