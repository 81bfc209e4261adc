"""A stand-in for the commands of conda that Snakemake gives: py-rattler solves and links.

It is started as ``conda.py HOME CHANNELS ARGUMENTS...``, where HOME is what conda calls its prefix,
and CHANNELS the folder with the channels that environment files name. ``index`` lists a channel's
packages, as conda-build's command does. What the stand-in cannot do, it refuses.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import yaml
from rattler import Subdir, install, solve
from rattler.index import index_fs

VERSION = "24.7.1"
ACTIVATE = 'export CONDA_PREFIX="$1"\nexport PATH="$1/bin:$PATH"\n'


def install_stand_in(home: Path, channels: Path) -> Path:
    """Install the commands ``conda`` and ``activate``, and return the folder for the PATH."""
    folder = home / "bin"
    folder.mkdir(parents=True)
    called = (
        f"exec '{sys.executable}' -E '{Path(__file__).resolve()}' '{home}' '{channels}' \"$@\"\n"
    )
    (folder / "conda").write_text(f"#!/bin/sh\n{called}", "utf-8")
    (folder / "conda").chmod(0o755)
    (folder / "activate").write_text(ACTIVATE, "utf-8")
    return folder


def conda(folder: Path, *arguments: str | Path) -> None:
    """Give a command to the stand-in that was installed to a folder."""
    done = subprocess.run(
        [folder / "conda", *arguments], text=True, capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr


async def create(home: Path, channels: Path, file: Path, prefix: Path) -> None:
    """Solve an environment file, and link its packages into a folder."""
    wanted = yaml.safe_load(file.read_text("utf-8"))
    named = [name for name in wanted["channels"] if name != "nodefaults"]
    solved = await solve(
        [(channels / name).as_uri() for name in named],
        wanted["dependencies"],
        platforms=[Subdir.current(), "noarch"],
    )
    await install(solved, prefix, cache_dir=home / "packages", show_progress=False)


def main(home: Path, channels: Path, arguments: Sequence[str]) -> None:
    """Do what conda would do."""
    match arguments:
        case ["--version"]:
            print("conda", VERSION)
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": str(home), "platform": str(Subdir.current())}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["clean", "-y", "--tarballs"]:
            for archive in (home / "packages").glob("*.conda"):
                archive.unlink()
        case ["index", channel]:
            asyncio.run(index_fs(Path(channel)))
        case ["env", "create", *options]:
            parser = argparse.ArgumentParser("conda env create", allow_abbrev=False)
            parser.add_argument("--quiet", action="store_true")
            parser.add_argument("--no-default-packages", action="store_true")
            parser.add_argument("--file", type=Path, required=True)
            parser.add_argument("--prefix", type=Path, required=True)
            given = parser.parse_args(options)
            asyncio.run(create(home, channels, given.file, given.prefix))
        case _:
            raise NotImplementedError(f"conda {' '.join(arguments)}")


if __name__ == "__main__":
    status = 1
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        # py-rattler's threads live on, and now and then crash an interpreter that tidies up
        # (PyO3/pyo3-async-runtimes, issue 40). All is done and on disk: leave without tidying.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
