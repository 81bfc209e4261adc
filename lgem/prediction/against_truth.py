"""Predicted and observed effects of a simulated screen beside the true ones."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd

from lgem.screen.labels import SEPARATOR, genes_of


def with_truth(pairs: pd.DataFrame, truth: anndata.AnnData) -> pd.DataFrame:
    """Add the true effect to pairs of predicted and observed ones.

    Parameters
    ----------
    pairs
        perturbation, gene and what is to be compared.
    truth
        True effects, perturbations × genes.

    Returns
    -------
    DataFrame
        The pairs with ``true_effect``; those of which the truth knows nothing are left out.
    """
    # Labels of combinations are sorted in a screen, not in its truth.
    names = [SEPARATOR.join(sorted(genes_of(str(name)))) for name in truth.obs_names]
    rows = pd.Index(names).get_indexer(pd.Index(pairs["perturbation"].astype(str)))
    columns = truth.var_names.get_indexer(pd.Index(pairs["gene"].astype(str)))
    known = (rows >= 0) & (columns >= 0)
    effects = np.asarray(truth.X)[rows[known], columns[known]]
    return pairs[known].assign(true_effect=effects).reset_index(drop=True)
