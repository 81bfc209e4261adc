"""Pairs of genes perturbed together, against the sum of what each does alone: known errors."""

from __future__ import annotations

import numpy as np
import pytest

from lgem.config_dataset import Dataset
from lgem.prediction.folds import Experiment, folds, training_set
from lgem.prediction.metrics import top_genes
from lgem.prediction.model import fit_predictor
from lgem.prediction.splits import doubles, leave_one_out
from lgem.screen.annotation import Shard
from lgem.screen.cells import plan_cells
from lgem.screen.counting import count_shard, describe_shards
from lgem.screen.effects import estimate_effects
from lgem.screen.entry import cell_rules
from lgem.screen.io import effects_data, group_statistics, pseudobulk_data
from lgem.screen.labels import TargetIndex
from lgem.screen.qc import perturbation_table

pytestmark = pytest.mark.real

# L2 of the sum of both genes' effects, over all 500 genes, for the pairs with both singles.
ADDITIVE = {
    "KLF1+MAP2K6": 0.371,
    "KLF1+TGFBR2": 0.413,
    "MAP2K3+MAP2K6": 0.480,
    "MAP2K3+SLC38A2": 0.444,
    "MAPK1+TGFBR2": 0.522,
}
# L2 of what was observed in these pairs against control: .57 to 2.22.
CHANGE = {
    "KLF1+MAP2K6": 1.918,
    "KLF1+TGFBR2": 2.222,
    "MAP2K3+MAP2K6": 0.634,
    "MAP2K3+SLC38A2": 0.572,
    "MAPK1+TGFBR2": 1.523,
}


@pytest.fixture(scope="module")
def screen(real_data, tmp_path_factory):
    """Pseudobulk and effects, not adjusted for batch; X holds a part of the genes alone."""
    path = str(real_data / "norman19_k562_crispra_500g.h5ad")
    entry = Dataset(
        path=path,
        perturbation="perturbation",
        control=["control"],
        size_factor="total_counts_all_genes",
    ).model_dump(mode="json")
    rules = cell_rules(entry)
    shards, genes = describe_shards([Shard(path)], entry, rules)
    cells, groups = plan_cells(shards, rules, 1, path)
    kept = tmp_path_factory.mktemp("norman") / "control.h5"
    sums = count_shard(path, entry, cells, groups=len(groups), target_sum=10000, control=kept)
    pseudobulk = pseudobulk_data(sums, groups, genes.set_index("gene"), counts=True)
    statistics = group_statistics(pseudobulk)
    targets = TargetIndex(list(pseudobulk.var_names))
    qc = perturbation_table(cells, statistics, targets, 10, counts=True)
    effects = estimate_effects(statistics, [])
    return statistics, targets, effects_data(effects, qc, pseudobulk.var, statistics.control)


def errors_of_the_sum(screen, splits):
    """L2 over all genes of every held-out pair whose genes training holds alone."""
    statistics, targets, effects = screen
    genes = top_genes(effects.var["control"].to_numpy(), 500)
    assert len(genes) == effects.n_vars
    found = {}
    for fold in folds(splits):
        training, left_out = training_set(Experiment(statistics, targets, []), fold)
        assert not left_out
        additive = fit_predictor("additive", training, {})
        for name in fold.test:
            answer = additive.predict(name, targets.find(name))
            if answer.effect is not None:
                error = answer.effect - effects[name].X.ravel()
                found[name] = float(np.linalg.norm(error[genes]))
    return found


def test_the_screen_has_the_pairs_and_singles_that_are_known(screen):
    obs = screen[2].obs
    assert obs["n_genes"].value_counts().to_dict() == {1: 18, 2: 15}
    assert (obs["status"] == "estimated").all()


def test_the_sum_of_single_effects_errs_as_others_measured(screen):
    found = errors_of_the_sum(screen, leave_one_out(list(screen[2].obs_names)))
    assert found == pytest.approx(ADDITIVE, abs=0.0006)


def test_the_pairs_change_as_much_as_others_measured(screen):
    found = {name: float(np.linalg.norm(screen[2][name].X)) for name in ADDITIVE}
    assert found == pytest.approx(CHANGE, abs=0.0006)


def test_scheme_doubles_holds_out_what_the_screen_allows(screen):
    splits = doubles(list(screen[2].obs_names), 5, 1, seed=1)
    held_out = splits.dropna(subset="seen")
    seen = {count: set(part["perturbation"]) for count, part in held_out.groupby("seen")}
    assert seen[2] == set(ADDITIVE)
    assert seen[1] > set(ADDITIVE)
    assert (len(seen[1]), len(seen[0])) == (8, 15)
    # The sum applies where both singles are in training, and errs there as with one left out.
    assert errors_of_the_sum(screen, splits) == pytest.approx(ADDITIVE, abs=0.0006)
