"""Tables of annotation in AnnData files, column by column: those alone that are asked for.

The usual columns of an HDF5 file are read here; AnnData reads all others, and older layouts.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import h5py
import pandas as pd
import pyarrow as pa

from lgem.screen.tables import AT_ONCE, NAMES

# Arrow's own pool keeps more memory for itself than a small screen needs.
pa.set_memory_pool(pa.system_memory_pool())


def read_frame(stored: Any, only: Collection[str] | None = None) -> Any:
    """Return a table of annotation, as AnnData reads it but for the type of names (Arrow's texts).

    Parameters
    ----------
    stored
        A group of HDF5 or of zarr.
    only
        Columns to read, if they are all there; None for every one.
    """
    if not _is_usual(stored):
        return _by_anndata(stored)
    names = [str(name) for name in stored.attrs["column-order"]]
    wanted = [name for name in names if only is None or name in only]
    if only is not None and len(wanted) < len(set(only)):
        wanted = names
    index = stored.attrs["_index"]
    columns = {name: _read_column(stored[name]) for name in wanted}
    table = pd.DataFrame(columns, index=pd.Index(_read_names(stored[index])), columns=wanted)
    return table if index == "_index" else table.rename_axis(index)


def _is_usual(stored: Any) -> bool:
    if not isinstance(stored, h5py.Group) or "column-order" not in stored.attrs:
        return False
    index = stored.get(str(stored.attrs.get("_index")))
    return stored.attrs.get("encoding-version") == "0.2.0" and _holds_texts(index)


def _holds_texts(stored: Any) -> bool:
    """Whether it is a list of texts of any length."""
    kind = h5py.check_string_dtype(stored.dtype) if isinstance(stored, h5py.Dataset) else None
    return kind is not None and kind.length is None and stored.ndim == 1


def _read_names(stored: h5py.Dataset) -> Any:
    parts = [
        pa.array(stored[start : start + AT_ONCE], pa.large_binary()).cast(pa.large_string())
        for start in range(0, stored.shape[0], AT_ONCE)
    ]
    return pd.array(pa.chunked_array(parts, pa.large_string()), dtype=NAMES)


def _read_column(stored: Any) -> Any:
    kind = stored.attrs.get("encoding-type")
    if isinstance(stored, h5py.Dataset) and kind == "array" and stored.dtype.kind in "iufb":
        return stored[()]
    if kind == "categorical" and _holds_texts(stored["categories"]):
        texts = stored["categories"].asstr()[()]
        ordered = bool(stored.attrs["ordered"])
        return pd.Categorical.from_codes(stored["codes"][()], texts, ordered=ordered)
    return _by_anndata(stored)


def _by_anndata(stored: Any) -> Any:
    import anndata

    return anndata.io.read_elem(stored)
