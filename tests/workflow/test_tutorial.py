"""The commands of README and tutorial: every one exists, and finds what the ones before it left."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import anndata
import pytest

from tests.workflow.running import ROOT, snakemake

pytestmark = pytest.mark.workflow

BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\S+\.(?:py|yaml))\n")


@pytest.fixture
def clone(tmp_path, whole_run) -> Path:
    """What a reader has after the first command: the project's files, and a finished demo."""
    for name in ("config.yaml", "Makefile", "requirements.lock"):
        shutil.copy2(ROOT / name, tmp_path)
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    (tmp_path / "lgem").symlink_to(ROOT / "lgem")
    for name in ("qc.tsv", "control_cells.h5ad", "differential_expression.parquet"):
        made = tmp_path / "results" / "demo" / name
        made.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(whole_run.folder / "results" / "tiny" / name, made)
    screen = whole_run.folder / "resources" / "tiny" / "screen.h5ad"
    for copy in ("resources/demo/screen.h5ad", "screen.h5ad"):
        (tmp_path / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(screen, tmp_path / copy)
    return tmp_path


def run(command: str, folder: Path) -> None:
    """Run a command of the documentation; of Snakemake and make, only what they would do."""
    words = shlex.split(command, comments=True)
    if words[0] == ".venv/bin/snakemake":
        done = snakemake(folder, "--dry-run", *words[1:])
        assert done.status == 0, f"{command}\n{done.output}"
        assert done.jobs, command
        assert "Report: " not in done.output  # there is none yet
        return
    known = {".venv/bin/python": [sys.executable], "make": ["make", "--dry-run"]}
    arguments = [*known[words[0]], *words[1:]]
    told = subprocess.run(arguments, cwd=folder, text=True, capture_output=True, check=False)
    assert told.returncode == 0, f"{command}\n{told.stderr}"


def follow(text: str, folder: Path) -> list[str]:
    """Do what a page says, block by block; return the commands."""
    commands = []
    for _, kind, block in BLOCK.findall(text):
        if named := FILE.match(block):
            (folder / named[1]).write_text(block, "utf-8")
        elif kind == "python":
            subprocess.run([sys.executable, "-c", block], cwd=folder, check=True)
        elif kind == "sh":
            for command in block.splitlines():
                run(command, folder)
                commands.append(command)
    return commands


def test_the_tutorial_can_be_followed(clone):
    commands = follow((ROOT / "docs" / "tutorial.md").read_text("utf-8"), clone)
    assert len(commands) == 11
    assert (clone / "my_genes.tsv").is_file()
    assert "test" in (clone / "my_splits.tsv").read_text("utf-8")


def test_readme_takes_a_file_to_its_report(clone):
    text = (ROOT / "README.md").read_text("utf-8")
    entry = next(block for _, kind, block in BLOCK.findall(text) if kind == "yaml")
    # The columns that README names, in the file and in the config.
    cells = anndata.read_h5ad(clone / "screen.h5ad")
    cells.obs = cells.obs.rename(columns={"perturbation": "gene", "batch": "lane"})
    cells.obs["total_counts"] = 10 * cells.X.sum(axis=1)
    cells.write_h5ad(clone / "screen.h5ad")
    config = (clone / "config.yaml").read_text("utf-8")
    pasted = config.replace("datasets:\n", entry, 1)
    (clone / "config.yaml").write_text(pasted, "utf-8")
    commands = follow(text, clone)
    assert len(commands) == 7
    done = snakemake(
        clone, "--cores", "1", "--config", "dataset=mine", "--", "results/mine/work/cells.parquet"
    )
    assert done.status == 0, done.output
    assert "Report: " not in done.output  # it was not asked for
