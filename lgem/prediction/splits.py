"""Which perturbations are held out together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lgem.errors import InputError, listing, nearest
from lgem.screen.labels import CONTROL, LabelRules, genes_of

TRAIN, TEST, EXCLUDED = "train", "test", "excluded"
COLUMNS = ["scheme", "repeat", "fold", "perturbation", "set"]


def kfold(perturbations: Sequence[str], folds: int, repeats: int, seed: int) -> pd.DataFrame:
    """Hold out each perturbation once per repeat, in `folds` parts of about equal size.

    Raises
    ------
    InputError
        Where there are fewer perturbations than folds.
    """
    names = sorted(perturbations)
    if len(names) < folds:
        raise InputError(
            "splits.folds", f"{folds} folds for {len(names)} perturbations", f"at most {len(names)}"
        )
    tables = []
    for repeat in range(1, repeats + 1):
        order = np.random.default_rng([seed, repeat]).permutation(len(names))
        parts = np.array_split([names[i] for i in order], folds)
        tables += [
            _fold("kfold", repeat, fold, names, set(part)) for fold, part in enumerate(parts, 1)
        ]
    return pd.concat(tables, ignore_index=True)


def leave_one_out(perturbations: Sequence[str]) -> pd.DataFrame:
    """Hold out one perturbation at a time."""
    names = sorted(perturbations)
    tables = [_fold("leave_one_out", 1, fold, names, {name}) for fold, name in enumerate(names, 1)]
    return pd.concat(tables, ignore_index=True)


def from_table(
    table: pd.DataFrame, perturbations: Sequence[str], labels: LabelRules, place: str
) -> pd.DataFrame:
    """Read folds from a table with the columns perturbation, set (train or test) and maybe fold.

    Labels are normalised as the screen's are; control may be listed and is always in training.
    Perturbations that the table does not name are excluded from training.

    Raises
    ------
    InputError
        Where a column, a perturbation or a set is unknown, or a fold lacks training or test.
    """
    for column in ("perturbation", "set"):
        if column not in table.columns:
            raise InputError(
                f"{place}: column '{column}'",
                "no such column",
                f"columns perturbation, set[, fold]; there are: {listing(table.columns)}",
                nearest(column, table.columns),
            )
    chosen = pd.DataFrame(
        {
            "perturbation": [labels.parse(str(raw)) for raw in table["perturbation"]],
            "set": table["set"].astype(str).str.strip(),
            "fold": table["fold"] if "fold" in table.columns else 1,
        }
    )
    for raw, name in zip(table["perturbation"], chosen["perturbation"], strict=True):
        if name != CONTROL and name not in perturbations:
            raise InputError(
                f"{place}: perturbation",
                f"'{raw}'",
                f"a usable perturbation of the screen: {listing(sorted(perturbations))}",
                nearest(raw, perturbations),
            )
    wrong = chosen.loc[~chosen["set"].isin([TRAIN, TEST]), "set"]
    if len(wrong):
        found = wrong.iloc[0]
        close = nearest(found, [TRAIN, TEST])
        raise InputError(f"{place}: set", f"'{found}'", "train or test", close)
    tables = []
    for number, (_, part) in enumerate(chosen.groupby("fold", sort=True), 1):
        train = set(part.loc[part["set"] == TRAIN, "perturbation"]) - {CONTROL}
        test = set(part.loc[part["set"] == TEST, "perturbation"]) - {CONTROL}
        _check_sets(train, test, f"{place}: fold {number}")
        tables.append(_fold("file", 1, number, sorted(perturbations), test, train))
    return pd.concat(tables, ignore_index=True)


def _check_sets(train: set[str], test: set[str], place: str) -> None:
    if both := train & test:
        raise InputError(place, f"{listing(sorted(both))} in train and test", "one set for each")
    if not train or not test:
        raise InputError(place, f"{len(train)} train and {len(test)} test", "at least one of each")


def _fold(
    scheme: str,
    repeat: int,
    fold: int,
    names: Sequence[str],
    test: set[str],
    train: set[str] | None = None,
) -> pd.DataFrame:
    """Return the sets of one fold.

    A held-out gene's combinations leave training too: they carry its effect.
    """
    held_out = {name for name in test if len(genes_of(name)) == 1}
    rows = []
    for name in names:
        if name in test:
            where = TEST
        elif held_out & set(genes_of(name)) or (train is not None and name not in train):
            where = EXCLUDED
        else:
            where = TRAIN
        rows.append((scheme, repeat, fold, name, where))
    return pd.DataFrame(rows, columns=COLUMNS)


def make_splits(
    perturbations: Sequence[str],
    settings: Mapping[str, Any],
    seed: int,
    table: pd.DataFrame | None,
    labels: LabelRules,
) -> pd.DataFrame:
    """Return the splits that config's ``splits`` asks for.

    Raises
    ------
    InputError
        Where fewer than two perturbations are usable, or as the schemes do.
    """
    if len(perturbations) < 2:
        raise InputError("splits", f"{len(perturbations)} usable perturbations", "at least two")
    if settings["scheme"] == "leave_one_out":
        return leave_one_out(perturbations)
    if settings["scheme"] == "kfold":
        return kfold(perturbations, settings["folds"], settings["repeats"], seed)
    if table is None:
        raise ValueError("scheme file needs a table")
    return from_table(table, perturbations, labels, settings["file"])
