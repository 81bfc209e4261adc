"""Which perturbations are held out together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lgem.errors import InputError, counted, listing, nearest
from lgem.prediction.doubles import combination_folds, combinations_of
from lgem.screen.labels import CONTROL, LabelRules, genes_of
from lgem.texts import read_texts

TRAIN, TEST, EXCLUDED = "train", "test", "excluded"
# context: the one held out, blank but in scheme context. seen: how many genes of a combination
# that is tested are trained on as single perturbations, blank in all other rows.
COLUMNS = ["scheme", "repeat", "fold", "perturbation", "set", "context", "seen"]


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


def doubles(perturbations: Sequence[str], folds: int, repeats: int, seed: int) -> pd.DataFrame:
    """Hold out every combination with all, with all but one and with none of its genes seen alone.

    As far as the screen has these singles; see `combination_folds`. Single perturbations are
    never tested. ``seen`` counts what training really holds: it may be less where combinations
    that are held out together share genes.

    Raises
    ------
    InputError
        Where there is no combination.
    """
    names = sorted(perturbations)
    if not combinations_of(names):
        raise InputError(
            "splits.scheme",
            f"doubles, but no combination among {len(names)} usable perturbations",
            "kfold or leave_one_out; or a dataset's combination_separator that tells combinations",
        )
    tables = [
        _fold("doubles", repeat, number, names, set(fold.test), without=fold.without)
        for repeat in range(1, repeats + 1)
        for number, fold in enumerate(combination_folds(names, folds, [seed, repeat]), 1)
    ]
    return pd.concat(tables, ignore_index=True)


def leave_context_out(
    contexts: Mapping[str, Sequence[str]], wanted: Sequence[str] | None
) -> pd.DataFrame:
    """Hold out one context at a time: test its perturbations, train on those of all the others.

    A perturbation of several contexts has two rows in a fold: it trains in one context and is
    tested in another.

    Parameters
    ----------
    contexts
        The perturbations that can be estimated in each context.
    wanted
        The contexts to hold out; None: each in turn that has perturbations.

    Raises
    ------
    InputError
        Where fewer than two contexts have perturbations, or a wanted one is unknown or has none.
    """
    able = sorted(name for name, perturbations in contexts.items() if perturbations)
    if len(able) < 2:
        raise InputError(
            "splits.scheme",
            f"context, but perturbations can be estimated in {counted(len(able), 'context')} of "
            f"{len(contexts)}: {listing(able) or 'none'}",
            "at least two contexts with control cells and perturbations; see the dataset's context",
        )
    held_out = able if wanted is None else sorted({str(name) for name in wanted})
    tables = []
    for fold, context in enumerate(held_out, 1):
        if context not in able:
            why = ", in which no perturbation can be estimated" if context in contexts else ""
            raise InputError(
                "splits.contexts",
                f"'{context}'{why}",
                f"contexts of the dataset: {listing(able)}",
                None if why else nearest(context, able),
            )
        train = sorted({name for other in able if other != context for name in contexts[other]})
        sets = [(name, TRAIN) for name in train]
        sets += [(name, TEST) for name in sorted(set(contexts[context]))]
        tables.append(_fold_table("context", 1, fold, sets, context))
    return pd.concat(tables, ignore_index=True)


def read_split_table(path: str) -> pd.DataFrame:
    """Read the table of scheme file as texts: commas in a ``.csv``, tabs in any other file.

    Raises
    ------
    InputError
        Where it is no such table.
    """
    csv = path.endswith(".csv")
    separator, between = (",", "commas") if csv else ("\t", "tabs")
    return read_texts(path, separator, f"a table with {between} between its columns")


def from_table(
    table: pd.DataFrame, perturbations: Sequence[str], labels: LabelRules, place: str
) -> pd.DataFrame:
    """Read folds from a table with the columns perturbation, set (train or test) and maybe fold.

    Labels are normalised as the screen's are; control may be listed and is always in training.
    Perturbations that a fold does not name are excluded from it. Folds keep the table's numbers;
    names of folds are numbered in the order of the alphabet.

    Raises
    ------
    InputError
        Where a column, a perturbation or a set is unknown, a fold is missing, lacks training or
        test, or has a perturbation in both.
    """
    for column in ("perturbation", "set"):
        if column not in table.columns:
            raise InputError(
                f"{place}: column '{column}'",
                "no such column",
                f"columns perturbation, set[, fold]; there are: {listing(table.columns)}",
                nearest(column, table.columns),
            )
    if table.empty:
        raise InputError(place, "no rows", "a row per perturbation: its name, train or test")
    chosen = pd.DataFrame(
        {
            "perturbation": [labels.parse(str(raw)) for raw in table["perturbation"]],
            "set": table["set"].astype(str).str.strip(),
            "fold": _fold_numbers(table["fold"], place) if "fold" in table.columns else 1,
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
    for fold in sorted(set(chosen["fold"])):
        part = chosen[(chosen["fold"] == fold) & (chosen["perturbation"] != CONTROL)]
        train, test = (set(part.loc[part["set"] == name, "perturbation"]) for name in (TRAIN, TEST))
        if both := train & test:
            raise InputError(
                f"{place}: fold {fold}",
                f"{listing(sorted(both))} in train and test",
                "one set for each",
            )
        tables.append(_fold("file", 1, fold, sorted(perturbations), test, train))
    return pd.concat(tables, ignore_index=True)


def _fold_numbers(column: pd.Series, place: str) -> np.ndarray:
    names = column.fillna("").astype(str).str.strip()
    if (names == "").any():
        row = int(np.argmax(names == "")) + 1
        raise InputError(f"{place}: fold", f"nothing in row {row}", "a fold in every row")
    if names.str.fullmatch(r"[0-9]{1,9}").all():
        return names.astype(int).to_numpy()
    return pd.factorize(names, sort=True)[0] + 1


def _check_folds(splits: pd.DataFrame, place: str) -> None:
    for (repeat, fold), part in splits.groupby(["repeat", "fold"]):
        count = part["set"].value_counts()
        train, test = (int(count.get(name, 0)) for name in (TRAIN, TEST))
        if not train or not test:
            raise InputError(
                f"{place}: fold {fold} of repeat {repeat}",
                f"{train} train and {test} test ({int(count.get(EXCLUDED, 0))} excluded: not "
                "named there, or combinations of a held-out gene)",
                "at least one of each",
            )


def _fold(
    scheme: str,
    repeat: int,
    fold: int,
    names: Sequence[str],
    test: Collection[str],
    train: Collection[str] | None = None,
    without: Collection[str] = (),
) -> pd.DataFrame:
    """Return the sets of one fold.

    The combinations of a held-out gene leave training too: they carry its effect. So does all that
    names a gene which training is to do `without`.
    """
    gone = {name for name in test if len(genes_of(name)) == 1} | set(without)
    sets = []
    for name in names:
        if name in test:
            where = TEST
        elif gone & set(genes_of(name)) or (train is not None and name not in train):
            where = EXCLUDED
        else:
            where = TRAIN
        sets.append((name, where))
    return _fold_table(scheme, repeat, fold, sets)


def _fold_table(
    scheme: str, repeat: int, fold: int, sets: Sequence[tuple[str, str]], context: str = ""
) -> pd.DataFrame:
    """Return the rows of one fold, with the genes of tested combinations that are seen alone."""
    trained = {name for name, where in sets if where == TRAIN}
    seen: list[int | None] = []
    for name, where in sets:
        genes = genes_of(name) if where == TEST else ()
        seen.append(sum(gene in trained for gene in genes) if len(genes) > 1 else None)
    names, marks = zip(*sets, strict=True)
    content = (scheme, repeat, fold, names, marks, context, pd.array(seen, dtype="Int64"))
    return pd.DataFrame(dict(zip(COLUMNS, content, strict=True)))


def seen_report(splits: pd.DataFrame) -> str:
    """Say how many combinations are held out with how many of their genes seen alone."""
    tested = splits.dropna(subset="seen")
    told = []
    for seen in sorted({int(number) for number in tested["seen"]}, reverse=True):
        names = set(tested.loc[tested["seen"] == seen, "perturbation"])
        told.append(f"{len(names)} with {counted(seen, 'gene')} seen alone")
    return f"combinations held out: {listing(told) or 'none'}"


def make_splits(
    perturbations: Sequence[str],
    settings: Mapping[str, Any],
    seed: int,
    table: pd.DataFrame | None,
    labels: LabelRules,
    contexts: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Return the splits that config's ``splits`` asks for.

    Parameters
    ----------
    perturbations
        The perturbations of the screen that can be estimated.
    settings
        The section ``splits`` of the config.
    seed
        Decides what is held out together.
    table
        The table of scheme file, which no other needs.
    labels
        How the perturbations of that table are read.
    contexts
        The perturbations that can be estimated in each context, which scheme context needs.

    Returns
    -------
    DataFrame
        `COLUMNS`: a row for every perturbation of the screen in every fold, and in scheme context
        one for training and one for test.

    Raises
    ------
    InputError
        Where fewer than two perturbations are usable, a fold has nothing to train on or to test,
        or as the schemes do.
    """
    if len(perturbations) < 2:
        raise InputError("splits", f"{len(perturbations)} usable perturbations", "at least two")
    place = "splits"
    if settings["scheme"] == "leave_one_out":
        splits = leave_one_out(perturbations)
    elif settings["scheme"] == "kfold":
        splits = kfold(perturbations, settings["folds"], settings["repeats"], seed)
    elif settings["scheme"] == "doubles":
        splits = doubles(perturbations, settings["folds"], settings["repeats"], seed)
    elif settings["scheme"] == "context":
        if contexts is None:
            raise ValueError("scheme context needs the perturbations of each context")
        splits = leave_context_out(contexts, settings["contexts"])
    elif table is None:
        raise ValueError("scheme file needs a table")
    else:
        place = settings["file"]
        splits = from_table(table, perturbations, labels, place)
    _check_folds(splits, place)
    return splits
