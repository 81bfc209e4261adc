"""DREAM4, size 100, multifactorial: shrunk partial correlations against the known networks."""

import pandas as pd
import pytest

from lgem.network.covariance import ledoit_wolf, standardise
from lgem.network.precision import partial_correlations, precision_matrix
from lgem.network.reference import read_reference, score_network

pytestmark = pytest.mark.real


def scores(folder, truth):
    profiles = pd.read_csv(folder / "multifactorial.tsv", sep="\t")
    genes = list(profiles)
    covariance, _ = ledoit_wolf(standardise(profiles.to_numpy(), None).values)
    reference = read_reference(folder / truth, genes)
    rho = partial_correlations(precision_matrix(covariance))
    table = score_network(rho, genes, reference.edges, draws=200, interval=0.9, seed=1)
    return table.set_index("metric"), reference


@pytest.mark.parametrize(
    ("net", "aupr"), [(1, 0.217), (2, 0.206), (3, 0.300), (4, 0.291), (5, 0.252)]
)
def test_partial_correlations_find_the_multifactorial_networks(real_data, net, aupr):
    folder = real_data / "dream4" / f"net{net}"
    table, _ = scores(folder, "goldStandard_multifactorial.csv")
    assert table.loc["aupr", "value"] == pytest.approx(aupr, abs=0.005)
    assert 0.034 <= table.loc["aupr", "chance"] <= 0.049
    assert table.loc["aupr", "lower"] > table.loc["aupr", "chance"]
    assert table.loc["auroc", "lower"] > 0.5


@pytest.mark.parametrize("net", range(1, 6))
def test_the_networks_of_the_knock_outs_are_others(real_data, net):
    folder = real_data / "dream4" / f"net{net}"
    table, reference = scores(folder, "goldStandard.tsv")
    assert reference.counts["rows"] == 9900  # every ordered pair, 0 or 1
    counts = dict(reference.counts)
    assert counts.pop("rows") == sum(counts.values())
    assert table.loc["aupr_ratio", "value"] < 1.5
