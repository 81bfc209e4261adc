"""The embedded default, as users meet it first: what it must show of the model."""

import json

import numpy as np
import pandas as pd
import pytest

from lgem.config_dataset import Simulation
from lgem.screen.truth import draw_network
from tests.workflow.running import succeed, write_config

pytestmark = pytest.mark.workflow

# The default must leave all of these behind; each but the last two knows the on-target term too.
BEHIND = [
    *("no_change", "mean", "no_change_on_target", "mean_on_target"),
    *("lgem_random_P", "lgem_random_G"),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The scores of the simulated screen at its own size and with all defaults."""
    folder = tmp_path_factory.mktemp("demo")
    write_config(
        folder, dataset="demo", datasets={"demo": {"simulate": {}}}, evaluation=None, network=None
    )
    return succeed(folder, "results/demo/summary.tsv", "results/demo/screen.tsv")


@pytest.mark.parametrize("other", BEHIND)
@pytest.mark.parametrize("gene_set", ["top", "top_off_target"])
def test_the_default_model_beats_baselines_and_random_embeddings(demo, gene_set, other):
    table = demo.table("demo/comparisons.tsv")
    own = table[(table["model_a"] == "lgem") & (table["model_b"] == other)]
    row = own[(own["metric"] == "l2") & (own["gene_set"] == gene_set)].iloc[0]
    assert row["n"] == 68
    assert row["upper"] < 0


@pytest.mark.parametrize("gene_set", ["target", "top_off_target"])
def test_intervals_cover_what_they_promise_on_and_off_target(demo, gene_set):
    table = demo.table("demo/summary.tsv")
    own = table[(table["model"] == "lgem") & (table["perturbations"] == "scored")]
    coverage = own[own["metric"] == "coverage"].set_index("gene_set")["mean"]
    assert coverage[gene_set] == pytest.approx(0.9, abs=0.05)


def test_what_was_chosen_in_a_fold_stands_beside_its_model(demo):
    models = demo.folder / "results/demo/models"
    for fold in range(1, 6):
        fitted = json.loads((models / f"lgem/repeat1_fold{fold}.json").read_text())["fitted"]
        assert fitted["parts"] in ("bilinear", "mean and bilinear")
        assert fitted["on_target_factor"] < 0
        losses = fitted["left_out_l2"]
        assert losses[fitted["parts"]] <= min(losses.values()) + fitted["standard_error"]


def true_sizes() -> pd.Series:
    """How far each gene, moved by one unit, moves all others in the simulated network."""
    settings = Simulation()
    first, *_ = np.random.SeedSequence(1).spawn(5)
    network = draw_network(
        np.random.default_rng(first),
        **{
            name: getattr(settings, name)
            for name in ("genes", "modules", "module_share", "partners", "coupling")
        },
        crosstalk=settings.crosstalk,
        latent_noise=settings.latent_noise,
    )
    A = network.total_effects
    moved = A / np.diag(A)
    np.fill_diagonal(moved, 0)
    names = [f"G{row:03d}" for row in range(1, len(A) + 1)]
    return pd.Series(np.linalg.norm(moved, axis=0), index=names)


def test_the_virtual_screen_ranks_unseen_genes_by_what_they_truly_do(demo):
    screen = demo.table("demo/screen.tsv").set_index("target")
    assert len(screen) == 200
    assert (screen["lower"] <= screen["upper"]).all()
    assert screen["effect_size"].is_monotonic_decreasing
    unseen = screen[~screen["in_training"]]
    truth = true_sizes()[unseen.index]
    assert unseen["effect_size"].corr(truth, method="spearman") > 0.3
