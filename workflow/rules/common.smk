# Helpers of the rules: the checked config, where files lie, and what each rule passes on.
import atexit
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Not `workflow.basedir`, which is another folder where this workflow is a module of another.
ROOT = Path(str(workflow.current_basedir)).parents[1]
sys.path.insert(0, str(ROOT))

from lgem import shards
from lgem.access import check_access
from lgem.config import CONTROLS, ConfigError, load
from lgem.config_dataset import Dataset
from lgem.errors import InputError
from lgem.layout import ACROSS_FIGURES, Layout
from lgem.provenance import core_digest
from lgem.settings import described_settings
from lgem.urls import masked

# Where a rule's path lies: as a module, the workflow may have a prefix. To be used later, too.
placed = workflow.modifier.modify_path
# Names of datasets and models, as they may stand in paths.
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"

try:
    CONFIG = load(config)
    LAYOUT = Layout(CONFIG)
    check_access(
        LAYOUT.own_files(),
        [".", ".snakemake", *map(placed, LAYOUT.folders)],
    )
    LAYOUT.check_files()
except ConfigError as error:
    raise WorkflowError(str(error)) from None


def one_of(names):
    """Return a wildcard constraint that only the given names meet."""
    return "|".join(map(re.escape, sorted(names))) or "(?!)"


SIMULATED = one_of(LAYOUT.simulated)
PACKAGED = one_of(LAYOUT.packaged)
FETCHED = one_of(LAYOUT.fetched)
CELLS = one_of(LAYOUT.cells)
PROFILES = one_of(LAYOUT.profiles)


def digest(script):
    """Return the digest of the core behind a script; the rule runs again when that changes."""
    return core_digest(ROOT / "scripts" / script, ROOT)


def origin(*settings, models=()):
    """Return an input function for what a result's provenance is made from.

    The digest covers the settings and models that the result depends on, and no others: a run
    after a change of config keeps what the change does not concern.
    """

    def of(wildcards):
        named = [wildcards.model] if "model" in wildcards.keys() else models
        return {
            "dataset": wildcards.dataset,
            "config_digest": LAYOUT.digest(wildcards.dataset, settings, named),
            "seed": CONFIG.seed,
        }

    return of


scores_origin = origin("pseudobulk", "splits", "evaluation", models=LAYOUT.models)


def all_scores_origin(wildcards):
    """Return what the provenance of all datasets together is made from: a digest of each."""
    settings = ("pseudobulk", "splits", "evaluation")
    digests = [
        LAYOUT.digest(name, settings, LAYOUT.models) for name in LAYOUT.perturbed
    ]
    return {
        "dataset": ", ".join(LAYOUT.perturbed),
        "config_digest": ", ".join(digests),
        "seed": CONFIG.seed,
    }


systems_origin = origin(
    *("pseudobulk", "splits", "network", "mixed_forms"), models=LAYOUT.models
)
network_origin = origin("pseudobulk", "splits", "network", models=LAYOUT.models[:1])


def given(path):
    """Return a path that a module's prefix leaves alone, unless the workflow makes the file."""
    parts = Path(path).parts
    made = parts[0] in ("resources", "results") and parts[1] in CONFIG.datasets
    return path if made else local(path)


def screen_of(wildcards):
    """Return the dataset's entry of the config, as plain values.

    Without what concerns its download alone: a checksum that is added later changes no result.
    """
    entry = CONFIG.datasets[wildcards.dataset]
    return entry.model_dump(mode="json", exclude={"url", "sha256"})


def unit_of(name):
    """Return the unit of log-expression of a dataset."""
    kind = CONFIG.datasets[name].kind
    return "natural log units" if kind == "cells" else "log units of the input"


def unit(wildcards):
    """Return the unit of log-expression of a rule's dataset."""
    return unit_of(wildcards.dataset)


def memory(base_mb, factor):
    """Return a memory request: base + factor × input size, more at every further attempt."""

    def request(wildcards, input, attempt):
        return int((base_mb + factor * input.size_mb) * attempt)

    return request


def shard_file(wildcards):
    """Return the file of one shard of a dataset."""
    return shard_files(wildcards)[int(wildcards.shard)]


def shard_files(wildcards):
    """Return the files of all shards of a dataset."""
    return [given(path) for path in LAYOUT.shards(wildcards.dataset)]


def cell_tables(key):
    """Return an input function for the tables that describe cells, one for each shard."""

    def files(wildcards):
        return [given(path) for path in LAYOUT.cell_tables(wildcards.dataset, key)]

    return files


def guide_targets(wildcards):
    """Return the table of what guides aim at, if a dataset has one."""
    return [given(path) for path in LAYOUT.guide_targets(wildcards.dataset)]


def original_file(wildcards):
    """Return the file of one shard of a dataset, in the format that it came in."""
    return given(LAYOUT.originals(wildcards.dataset)[int(wildcards.shard)])


def original_parts(wildcards):
    """Return the files of a 10x folder: they have the size and the date that count."""
    return shards.parts(original_file(wildcards))


def table_files(wildcards):
    """Return the tables that a dataset of profiles is read from, by what they hold."""
    tables = LAYOUT.tables(wildcards.dataset)
    return {what: given(path) for what, path in tables.items()}


def checked_profiles(wildcards):
    """Return what is made of profiles that are in order: a problem with them is told once."""
    if not LAYOUT.is_perturbed(wildcards.dataset):
        return []
    return f"results/{wildcards.dataset}/pseudobulk.h5ad"


def planned(wildcards):
    """Return what is known of genes and perturbations before anything is counted."""
    folder = f"results/{wildcards.dataset}"
    if screen_of(wildcards)["kind"] == "profiles":
        return {"pseudobulk": f"{folder}/pseudobulk.h5ad"}
    return {key: f"{folder}/work/{key}.parquet" for key in ("genes", "groups")}


def demanded_files(wildcards):
    """Return the tables that the config asks a dataset to suit."""
    return [given(path) for path in LAYOUT.demanded_files(wildcards.dataset)]


def check_of_demands(wildcards):
    """Return the check of what the config asks of a dataset, if that is more than its data.

    The report waits for it, and nothing else does: it runs before whatever else could, and when
    it runs again no result has to.
    """
    name = wildcards.dataset
    asked = LAYOUT.is_perturbed(name) and LAYOUT.is_demanding(name)
    return [f"results/{name}/work/demands.json"] if asked else []


def per_shard(name):
    """Return an input function that names one file per shard of a dataset."""

    def files(wildcards):
        numbers = range(len(shard_files(wildcards)))
        return [
            f"results/{wildcards.dataset}/work/{name.format(shard=n)}" for n in numbers
        ]

    return files


def reference_network(wildcards):
    """Return the table of known edges of a dataset; scores cannot be asked for without one."""
    path = LAYOUT.reference_network(wildcards.dataset)
    if path is None:
        place = f"datasets.{wildcards.dataset}.reference_network"
        told = InputError(place, "no reference network", "a table of known edges")
        raise WorkflowError(str(told))
    return given(path)


def model_settings(wildcards):
    """Return kind and settings of a model or baseline."""
    return LAYOUT.model(wildcards.model)


def embedding_file(what, first=False):
    """Return an input function for the table that a model's embedding is read from, if it is."""

    def file(wildcards):
        name = LAYOUT.models[0] if first else wildcards.model
        files = LAYOUT.embedding_files(name)
        return given(files[what]) if what in files else []

    return file


def model_environment(wildcards):
    """Return the environment that a model is fitted in: the solver gradient needs one of its own."""
    name = wildcards.get("model", LAYOUT.models[0])
    gradient = LAYOUT.model(name)["settings"].get("solver") == "gradient"
    return f"../../envs/{'gradient' if gradient else 'screen'}.yaml"


def held_out_context(wildcards):
    """Return the column with the contexts that splits hold out, if they do."""
    scheme = CONFIG.splits.scheme
    return screen_of(wildcards)["context"] if scheme == "context" else None


def min_cells(wildcards):
    """Return the cells that a perturbation needs; profiles need none."""
    cells = screen_of(wildcards)["kind"] == "cells"
    return CONFIG.pseudobulk.min_cells if cells else 1


def prediction_files(wildcards):
    """Return the predictions of all models and baselines of a dataset."""
    return [
        f"results/{wildcards.dataset}/predictions/{model}.h5ad"
        for model in LAYOUT.models
    ]


def systems_met(wildcards):
    """Return what all stages of a dataset found of the linear systems that they solved."""
    folder, found = f"results/{wildcards.dataset}", ["network"]
    models = []
    if LAYOUT.is_perturbed(wildcards.dataset):
        found = ["effects", "mixed_forms", "network"]
        models = [f"{folder}/models/{model}" for model in LAYOUT.linear_models]
    stages = [f"{folder}/work/systems_{stage}.json" for stage in found]
    return [*stages[:1], *models, *stages[1:]]


def responses(wildcards):
    """Return the predictions that update the network, if any do."""
    if not LAYOUT.updates_network(wildcards.dataset):
        return []
    return f"results/{wildcards.dataset}/predictions/{CONFIG.models[0].name}.h5ad"


def network_settings(*keys):
    """Return some of the network's settings: a change of others leaves a rule's results alone."""
    return CONFIG.network.model_dump(mode="json", include=set(keys))


def network_file(key):
    """Return the table that a key of the network's section names, if it does."""
    files = LAYOUT.network_files
    return given(files[key]) if key in files else []


def new_cells(wildcards):
    """Return the cells of another dataset that update the network, if any do."""
    if CONFIG.network.new_cells is None:
        return []
    return f"results/{wildcards.dataset}/work/new_cells.h5ad"


def new_cell_files(wildcards):
    """Return the control cells of the dataset that updates the network, one file per shard."""
    name = CONFIG.network.new_cells
    return [
        f"results/{name}/work/control_{shard}.h5"
        for shard in range(len(LAYOUT.shards(name)))
    ]


def figure_files(dataset):
    """Return every figure of a dataset, with the table behind it."""
    return [
        f"results/{dataset}/figures/{figure}.{suffix}"
        for figure in LAYOUT.figures(dataset)
        for suffix in ("pdf", "png", "tsv")
    ]


def across_files():
    """Return every figure that shows all datasets together, where there are several."""
    return [
        f"results/figures/{figure}.{suffix}"
        for figure in LAYOUT.across_figures
        for suffix in ("pdf", "png", "tsv")
    ]


def report_inputs(wildcards):
    """Return the files that a dataset's report shows."""
    return [
        *(
            f"results/{wildcards.dataset}/{name}"
            for name in LAYOUT.results(wildcards.dataset)
        ),
        *figure_files(wildcards.dataset),
    ]


# How predictions are scored, for whoever tells of it.
SCORING = {
    "models": [model.name for model in CONFIG.models],
    "baselines": LAYOUT.baselines,
    "controls": list(CONTROLS),
    "draws": CONFIG.evaluation.bootstrap,
    "interval": CONFIG.evaluation.interval,
    "seed": CONFIG.seed,
}


def headlines(dataset):
    """Return the results of a dataset, a sentence each, as far as they are known."""
    files = [
        Path(placed(f"results/{dataset}/{name}"))
        for name in LAYOUT.results(dataset)
        if name.endswith("headline.txt")
    ]
    return [file.read_text("utf-8").strip() for file in files if file.exists()]


def reported():
    """Return the datasets whose reports this run was asked for, in the order of the config."""
    jobs = [job for job in workflow.dag.jobs if job.rule.name == "report"]
    asked = {job.wildcards.dataset for job in jobs}
    return [dataset for dataset in CONFIG.dataset if dataset in asked]


def result_in_a_line(dataset):
    """Return a dataset's results up to model and baseline by L2, and where its report is."""
    sentences = " ".join(headlines(dataset)[:1]).split(". ")
    # Where a baseline wins in other scores, that is told first.
    by_l2 = (k for k, sentence in enumerate(sentences, 1) if "held-out L2" in sentence)
    told = ". ".join(sentences[: next(by_l2, 1)])
    result = f"{told.rstrip('.')}. " if told else ""
    return f"{dataset}: {result}Report: {placed(f'results/{dataset}/report.html')}"


def tell_results():
    """Print the result of every dataset that has a report now, in a line each, last of all."""
    lines = [result_in_a_line(dataset) for dataset in reported()]
    # Snakemake itself has more to say after this: where its log is, how long it took.
    atexit.register(print, *lines, sep="\n", end="\n" * bool(lines), file=sys.stderr)
