"""The benchmark of embeddings under batch effects, on a screen that runs in seconds."""

import pytest

from benchmarks import batches
from tests.workflow.running import TINY

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batches")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "SIMULATED", {**batches.SIMULATED, **TINY})
        batches.run(folder, 1)
    return folder


def test_every_embedding_is_compared_on_the_same_perturbations(folder):
    table = batches.compared(folder, [1])
    assert sorted(table["embedding"]) == sorted(batches.WORDS.values())
    assert table["n"].unique().tolist() == [TINY["perturbations"] + TINY["doubles"]]
    assert table["l2"].is_monotonic_increasing
    for name, key in batches.REFERENCES.items():
        own = table["embedding"] == batches.WORDS[key]
        assert (table[name] == "").tolist() == own.tolist()


def test_errors_are_distances_from_the_true_effects(folder):
    place = folder / "seed_1" / "adjusted"
    found = batches.errors(place, "lgem")
    assert (found > 0).all()
    # What adjusts for nothing predicts the batches' shifts with the effects.
    assert found.mean() < batches.errors(folder / "seed_1" / "as_they_are", "lgem").mean()


def test_the_section_has_a_row_for_every_embedding(folder):
    text = "\n".join(batches.section(batches.compared(folder, [1])))
    for words in batches.WORDS.values():
        assert f"| {words} |" in text
