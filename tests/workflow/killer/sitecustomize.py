"""Ends scripts of the workflow by SIGKILL while they write results, for tests of interrupted runs.

Python imports this module at its start where the folder is on PYTHONPATH. `LGEM_KILLED` names a
folder that remembers who has been killed: every script dies once when its first result is written
but not yet renamed, and once between two results. `LGEM_KILL_ALL` names a script that takes all of
its session with it the second time.
"""

import os
import re
import signal
import sys
from pathlib import Path

SCRIPT = re.compile(r"\.snakemake/scripts/tmp[^/]*\.(\w+)\.py$")


def doomed(script: str, moment: str) -> bool:
    """Whether the script has not yet died at a moment; from now on it has."""
    folder = Path(os.environ["LGEM_KILLED"], moment)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / script).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def arm(script: str) -> None:
    """Let the process kill itself when it gives results their final names."""
    rename, renamed = os.replace, []

    def replace(source, target, **options):
        if not renamed and doomed(script, "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        if renamed and doomed(script, "between"):
            if os.environ.get("LGEM_KILL_ALL") == script:
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target, **options)
        renamed.append(target)
        if len(renamed) == 2:
            doomed(script, "several")

    os.replace = replace


for argument in sys.orig_argv[1:2]:
    if "LGEM_KILLED" in os.environ and (found := SCRIPT.search(argument)):
        arm(found[1])
