"""Writing of AnnData files: whole or not there, with their provenance."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from anndata import AnnData
from anndata.io import write_elem

from lgem.files import atomic
from lgem.h5 import GZIP, new_h5


def write_h5ad(
    data: AnnData, path: str | os.PathLike[str], provenance: Mapping[str, Any] | None = None
) -> None:
    """Write an AnnData, with its provenance under ``uns["provenance"]``."""
    if provenance is not None:
        data.uns["provenance"] = json.dumps(provenance, sort_keys=True)
    data.strings_to_categoricals()
    with atomic(path) as temporary, new_h5(temporary) as file:
        write_elem(file, "/", data, dataset_kwargs=GZIP)
        if data.raw is None:
            del file["raw"]  # says no more than its absence, and older readers stumble on it
