"""What every script does around its work: log, threads, errors in words."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

from lgem.errors import InputError


@contextmanager
def job(snakemake: Any) -> Iterator[logging.Logger]:
    """Run the body of a script.

    Messages go to the rule's log and to standard error. A problem of the user's input ends the
    job with its message instead of a traceback. Linear algebra runs on one thread, whatever
    ``--cores`` says, since its results depend on the number of threads.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if snakemake.log:
        handlers.append(logging.FileHandler(str(snakemake.log[0]), mode="w"))
    logging.basicConfig(level=logging.INFO, format="lgem: %(message)s", handlers=handlers)
    log = logging.getLogger("lgem")
    try:
        with threadpool_limits(1):
            yield log
    except InputError as error:
        log.error("error: %s", error)
        sys.exit(1)
    except MemoryError:
        log.error("error: out of memory in rule %s; give it more mem_mb", snakemake.rule)
        sys.exit(1)
    except OSError as error:
        log.error("error: %s", error)
        raise
