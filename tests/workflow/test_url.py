"""Screens from an address, through the command line: the file, an archive, and what goes wrong."""

from __future__ import annotations

import hashlib
import socket
import zipfile

import anndata
import numpy as np
import pytest
import yaml

from tests.workflow.running import ended_in_words, files, snakemake, succeed, write_config
from tests.workflow.screens import CELLS, PERTURBATIONS, cells_of, profiles_of
from tests.workflow.served import serving

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """What the server has: a screen, the same in an archive, and profiles in another."""
    folder = tmp_path_factory.mktemp("place")
    cells_of().write_h5ad(folder / "screen.h5ad")
    with zipfile.ZipFile(folder / "12345", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "screen.h5ad", "norman/perturb_processed.h5ad")
    table, metadata = profiles_of()
    table.to_csv(folder / "table.csv")
    metadata.to_csv(folder / "samples.csv")
    with zipfile.ZipFile(folder / "bulk.zip", "w") as archive:
        for name in ("table.csv", "samples.csv"):
            archive.write(folder / name, f"data/{name}")
    return folder


@pytest.fixture(scope="module")
def downloaded(place, tmp_path_factory):
    """One run of screens from an address, and from archives."""
    folder = tmp_path_factory.mktemp("downloaded")
    with pytest.MonkeyPatch.context() as patch, serving(place) as (address, asked):
        patch.setenv("no_proxy", "127.0.0.1")
        checksum = hashlib.sha256((place / "12345").read_bytes()).hexdigest()
        datasets = {
            "file": {"url": f"{address}/screen.h5ad?download=1&token=hush", **CELLS},
            "archive": {
                "url": f"{address}/12345",
                "path": "norman/perturb_processed.h5ad",
                "sha256": checksum,
                **CELLS,
            },
            "bulk": {
                "url": f"{address}/bulk.zip",
                "path": "data/table.csv",
                "metadata": "data/samples.csv",
                "kind": "profiles",
                "perturbation": "gene",
                "control": CELLS["control"],
            },
        }
        write_config(folder, dataset=list(datasets), datasets=datasets)
        targets = [f"results/{name}/pseudobulk.h5ad" for name in datasets]
        first = succeed(folder, *targets, "results/file/config.yaml")
        yield first, targets, asked


def test_downloads_are_read_like_files_of_the_user(downloaded, place):
    first, targets, asked = downloaded
    paths = ["/12345", "/bulk.zip", "/screen.h5ad?download=1&token=hush"]
    assert sorted(asked) == paths
    assert first.jobs["download"] == 3
    assert first.jobs["unpack"] == 4
    resources = files(first.folder / "resources")
    screen = (place / "screen.h5ad").read_bytes()
    assert resources["file/files/screen.h5ad"] == resources["file/download"] == screen
    assert resources["archive/files/norman/perturb_processed.h5ad"] == screen
    assert (
        resources["archive/download.sha256"].split()[0].decode()
        in (first.folder / "config.yaml").read_text()
    )
    # One file under two names, and nothing that is unfinished.
    names = [first.folder / "resources/file" / name for name in ("download", "files/screen.h5ad")]
    assert names[0].samefile(names[1])
    assert not [name for name in resources if "part" in name.rpartition("/")[2].split(".")]
    both = [anndata.read_h5ad(first.folder / target) for target in targets[:2]]
    assert set(PERTURBATIONS) <= {*both[0].obs["perturbation"]} == {*both[1].obs["perturbation"]}
    np.testing.assert_array_equal(both[0].X, both[1].X)
    assert "hush" not in first.output
    assert "hush" not in (first.folder / "results/file/config.yaml").read_text("utf-8")


def test_a_checksum_that_is_added_later_asks_for_no_second_download(downloaded):
    first, targets, asked = downloaded
    log = (first.folder / "logs/file/download.log").read_text("utf-8")
    record = (first.folder / "resources/file/download.sha256").read_text("utf-8")
    checksum = record.split()[0]
    assert f"sha256 {checksum}; put it in the config" in log
    config = yaml.safe_load((first.folder / "config.yaml").read_text("utf-8"))
    config["datasets"]["file"]["sha256"] = checksum
    before = list(asked)
    write_config(first.folder, **config)
    again = succeed(first.folder, *targets, "--dry-run")
    assert again.jobs == {}

    wrong = checksum[:-1] + ("0" if checksum[-1] != "0" else "1")
    config["datasets"]["file"]["sha256"] = wrong
    write_config(first.folder, **config)
    run = snakemake(first.folder, *targets)
    ended_in_words(run)
    expected = f"datasets.file.sha256: found {wrong}; expected {checksum}, that of resources/file/"
    assert expected in run.output
    assert (first.folder / "resources/file/download").exists()
    assert asked == before


def test_a_wrong_file_and_a_silent_server_end_the_run_in_words(place, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as held, serving(place) as (address, _):
        held.bind(("127.0.0.1", 0))
        closed = f"http://me:hush@127.0.0.1:{held.getsockname()[1]}/screen.h5ad"
        datasets = {
            "wrong": {"url": f"{address}/screen.h5ad", "sha256": "0" * 64, **CELLS},
            "closed": {"url": closed, **CELLS},
            "member": {"url": f"{address}/12345", "path": "norman/perturb.h5ad", **CELLS},
        }
        write_config(tmp_path, dataset=list(datasets), datasets=datasets)
        targets = [f"results/{name}/pseudobulk.h5ad" for name in datasets]
        ended = snakemake(tmp_path, *targets, "--keep-going")
    ended_in_words(ended)
    found = hashlib.sha256((place / "screen.h5ad").read_bytes()).hexdigest()
    assert len(ended.errors) == len(datasets)
    words = ("sha256: found", "Connection refused", "norman/perturb.h5ad")
    wrong, silent, member = [next(e for e in ended.errors if word in e) for word in words]
    assert "found no such file in the archive; expected one of: norman/perturb_proc" in member
    assert member.endswith("did you mean 'norman/perturb_processed.h5ad'?")
    assert wrong == f"url: {address}/screen.h5ad: sha256: found {found}; expected {'0' * 64}"
    assert "found no way to it (Connection refused); expected an answer; try again later" in silent
    assert "hush" not in ended.output
    assert not [
        name
        for name in files(tmp_path / "resources")
        if "download" in name and "member/" not in name
    ]
