"""What every script does around its work: log, threads, errors in words."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from lgem.errors import InputError, JointInputError, in_words


@contextmanager
def job(snakemake: Any) -> Iterator[logging.Logger]:
    """Run the body of a script.

    Messages go to the rule's log and to standard error. A problem of the user's input ends the
    job with its message instead of a traceback. Linear algebra runs on the threads of the rule
    (one, whatever ``--cores`` says: its results depend on their number); Snakemake sees to that.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    logging.raiseExceptions = False  # no traceback where the log itself finds the disk full
    if snakemake.log:
        with suppress(OSError):  # standard error tells it all the same
            handlers.append(logging.FileHandler(str(snakemake.log[0]), mode="w"))
    logging.basicConfig(level=logging.WARNING, format="lgem: %(message)s", handlers=handlers)
    log = logging.getLogger("lgem")
    # Barcodes of lanes and symbols of genes may occur twice; what matters of that is told.
    warnings.filterwarnings("ignore", message=".*names are not unique")
    log.setLevel(logging.INFO)  # libraries speak up from warnings on
    try:
        yield log
    except InputError as error:
        log.error("error: %s", error)
        sys.exit(1)
    except JointInputError as errors:
        for problem in errors.problems:
            log.error("error: %s", problem)
        sys.exit(1)
    except MemoryError:
        log.error("error: out of memory in rule %s; give it more mem_mb", snakemake.rule)
        sys.exit(1)
    except OSError as error:
        # Disk full, no permission: a traceback adds nothing.
        log.error("error: %s", in_words(error))
        sys.exit(1)
    except Exception:
        log.exception("error: unexpected, please report it")
        sys.exit(1)
