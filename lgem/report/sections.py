"""What the page shows, in which order, and the words beside it: every caption stands here."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """A picture: the name of its files in ``figures/``, what it is, and how to read it."""

    name: str
    title: str
    caption: str

    @property
    def file(self) -> str:
        """The picture, relative to the folder of results."""
        return f"figures/{self.name}.png"


class Table(NamedTuple):
    """A result table: its file, what it is, how to read it; open, or folded until asked for."""

    file: str
    title: str
    caption: str
    unfolded: bool = False


class Graph(NamedTuple):
    """The network as a graph to walk through, drawn from tables of edges, changes and genes."""

    title: str
    caption: str
    edges: str = "network/strongest.tsv"
    changes: str = "network/changes.tsv"
    genes: str = "network/genes.tsv"

    @property
    def file(self) -> str:
        """The table without which there is no graph."""
        return self.edges


class Section(NamedTuple):
    """A part of the page; where none of its files is there, `absent` says why."""

    key: str
    title: str
    introduction: str
    parts: tuple[Figure | Table | Graph, ...]
    absent: str


NO_PERTURBATIONS = (
    "The dataset names no perturbations (its entry in the config has no `perturbation`): there is "
    "nothing to {what}."
)

SECTIONS = (
    Section(
        "try",
        "What to try next",
        "Perturbations as the first model predicts them, fitted to all perturbations of the "
        "screen, the largest effect first. Search for a gene, or sort by any column.",
        (
            Table(
                "screen.tsv",
                "Predicted perturbations",
                "*in_training* marks those that the screen did make. *lower* and *upper* are for "
                "the size of the true effect, and lie above *effect_size* where the model "
                "predicts too little or, with its parts switched off, the same for all. "
                "Predictions whose *distance_to_training* is far beyond 1 are extrapolations. "
                "Where *basis* has no bilinear part, nothing specific to a gene was learned and "
                "the order means nothing.",
                True,
            ),
        ),
        NO_PERTURBATIONS.format(what="predict"),
    ),
    Section(
        "prediction",
        "Held-out predictions",
        "Every mark is a perturbation that the model had not seen. A model is worth its name only "
        "where its error is smaller than that of the baselines, which predict no change, the mean "
        "effect of the other perturbations or, for combinations, the sum of the single effects.",
        (
            Figure(
                "held_out_error",
                "Error on held-out perturbations",
                "By model and baseline. Left: L2 distance of log-expression, less is better. "
                "Right: Pearson correlation of predicted and observed change, more is better; it "
                "is undefined for a prediction of no change. Small marks are perturbations, large "
                "ones means with intervals.",
            ),
            Figure(
                "calibration",
                "Coverage of intervals, and dynamic range",
                "Left: share of held-out values within their prediction intervals, on and off "
                "target, beside the share that the intervals claim. Right: where the mean of "
                "every model lies between the mean effect of training (0) and a technical "
                "duplicate (1), metric by metric, with the raw means of both in brackets; blank "
                "where a metric cannot tell the two apart.",
            ),
            Figure(
                "observed_against_predicted",
                "Observed against predicted effects",
                "One point per gene and held-out perturbation, with the line of equality.",
            ),
            Figure(
                "error_by_genes",
                "Error by number of genes scored",
                "Mean error on held-out perturbations against the number of genes scored, the "
                "most expressed in control first; a perturbation's own target is scored in any "
                "case. A ranking of models that depends on the number of genes is no ranking. "
                "Means are over the perturbations that all models score.",
            ),
            Figure(
                "embedding_swaps",
                "Does the embedding matter?",
                "The first model against every other model and against random embeddings: "
                "differences on the same held-out perturbations, with the mean and its bootstrap "
                "interval. Where the interval holds zero, the two cannot be told apart; a model "
                "that random embeddings match has learnt nothing from its own.",
            ),
            Figure(
                "doubles",
                "Combinations",
                "Held-out combinations. Above, the L2 of each one under the model, the sum of "
                "its single effects (additive) and no change, by the number of its genes that "
                "training saw as perturbations of their own. Below, observed against predicted "
                "effects by the model and by the sum.",
            ),
            Figure(
                "predicted_against_truth",
                "Against the known truth",
                "Only for a simulated screen, whose truth is known. Predicted effects of held-out "
                "perturbations against the true ones; beside them the observed effects, which "
                "carry the noise of the measurement; and precision against recall of the "
                "network's edges, before and after the updates, with chance.",
            ),
            Table(
                "summary.tsv",
                "Means with intervals",
                "Means over perturbations with bootstrap intervals. Compare models on the rows "
                "`shared`: these are over the perturbations that all models score. *n* of "
                "*n_asked* perturbations are in a mean.",
            ),
            Table(
                "comparisons.tsv",
                "Paired differences",
                "Mean paired difference (model a minus model b) over the perturbations that both "
                "score, with its bootstrap interval. For L2, less is better; for the Pearson "
                "correlation, more.",
            ),
            Table(
                "metrics.tsv",
                "Every held-out score",
                "One row per model, held-out perturbation, gene set and metric. `top` are the "
                "genes most expressed in control and the perturbation's own target, "
                "`top_off_target` the same without the target. A row without a value says in "
                "*status* and *reason* why.",
            ),
            Table(
                "splits.tsv",
                "Who was held out when",
                "Which perturbations each fold trains on and which it holds out.",
            ),
        ),
        NO_PERTURBATIONS.format(what="hold out"),
    ),
    Section(
        "screen",
        "The screen itself",
        "Which perturbations were asked for, which were left out and why, whether they hit their "
        "own targets, and which genes answer to them.",
        (
            Figure(
                "on_target",
                "On-target effects",
                "Change of every perturbation's own target against control, with 95 % intervals.",
            ),
            Table(
                "qc.tsv",
                "Perturbations",
                "Every perturbation that was asked for: cells, guides, the change of its own "
                "target (for combinations the target with the weakest evidence), and whether it "
                "was kept or why not.",
            ),
            Table(
                "differential_expression.tsv",
                "Differential expression",
                "The ten genes that each perturbation changes most surely, with the number of "
                "its genes at a q-value of at most 0.05 (Benjamini–Hochberg over the genes of the "
                "perturbation). The tests take cells for independent observations of one "
                "variance per gene: they rank genes, and promise more certainty than replicates "
                "would. All genes are in `differential_expression.parquet`.",
            ),
        ),
        NO_PERTURBATIONS.format(what="check"),
    ),
    Section(
        "network",
        "The gene network",
        "Partial correlations between genes in unperturbed cells, and what updates make of them. "
        "Edges have no direction and are no proof of regulation.",
        (
            Graph(
                "The strongest edges",
                "Search a gene, or click one, to centre it and mark its neighbours; move with the "
                "mouse or the arrow keys, zoom with +, − or the wheel while Ctrl is held; 0 shows "
                "all. Blue and solid: positive partial correlation; orange and dashed: negative; "
                "width: its size (of a change: stronger, weaker). A ring marks targets of "
                "perturbations, the colour of a gene its module. Distances have no unit.",
            ),
            Table(
                "network/strongest.tsv",
                "Strongest edges",
                "The 100 edges of largest partial correlation, before or after the update, "
                "strongest first.",
                True,
            ),
            Figure(
                "network_graph",
                "The same for print",
                "The strongest edges after the updates, at most 80. Colour and dash of an edge "
                "are the sign of its partial correlation, its width the size; a diamond marks an "
                "edge that was weaker than all of these before the updates. Genes are coloured "
                "by module; a ring marks targets of perturbations. Connected components stand "
                "side by side.",
            ),
            Figure(
                "partial_correlations",
                "All partial correlations",
                "Partial correlations between all pairs of genes of the panel, before and after "
                "the updates. Beyond the dashed lines an edge counts as strong.",
            ),
            Figure(
                "network_responses",
                "Does the network foretell responses?",
                "Correlation over genes of the target's column of the covariance with the "
                "observed effect, without the target itself, beside the mean of the other "
                "responses and the columns of other targets. Small marks are perturbations, large "
                "ones means with intervals.",
            ),
            Figure(
                "network_scores",
                "Against known edges",
                "The network before and after the update against known edges, with chance. "
                "Direction is ignored; intervals come from a bootstrap over genes.",
            ),
            Table(
                "network/genes.tsv",
                "Genes of the network",
                "Strong edges before and after the updates, the sum of absolute partial "
                "correlations over listed edges, and the module (Louvain's communities of the "
                "updated network, 1 the largest).",
            ),
            Table(
                "network/statistics.tsv",
                "The network in numbers",
                "Before and after the update. A shrinkage near 1 says that there were too few "
                "control cells to tell partial correlations from none. `edges_fdr_0.05` counts "
                "the pairs before the updates with a q-value of at most 0.05.",
            ),
            Table(
                "network/estimators.tsv",
                "Held-out likelihood of the estimators",
                "Log-likelihood of control cells that the estimator was not fitted to, per gene, "
                "beside that of genes which are independent of one another: whether the network "
                "describes cells it has not seen. The estimator with a value in *choice* made "
                "the network.",
            ),
            Table(
                "network/responses_summary.tsv",
                "Responses foretold by the network",
                "Mean correlation, over perturbations, of observed responses with what the "
                "covariance of unperturbed cells foretells (the target's column), with the mean "
                "of the other perturbations' effects, and with the columns of other targets. The "
                "target's own entry is left out.",
            ),
            Table(
                "network/responses_comparisons.tsv",
                "The same, paired",
                "Differences over the perturbations that both score, with bootstrap intervals.",
            ),
            Table(
                "network/scores.tsv",
                "Scores against known edges",
                "Areas under the ROC and the precision–recall curve, the latter's ratio to "
                "chance, and the precision among as many top pairs as there are known edges, "
                "before and after the update. Intervals come from a bootstrap over genes. "
                "*shuffled* columns: the same scores with the gene labels of the known edges "
                "permuted.",
            ),
        ),
        "No network was estimated.",
    ),
    Section(
        "changes",
        "How the network changes",
        "What the updates (predicted responses, pathways or new cells) do to it.",
        (
            Figure(
                "largest_changes",
                "Largest changes",
                "The pairs of genes whose partial correlation the update changed most in size.",
            ),
            Figure(
                "rewired",
                "What single responses would rewire",
                "The gene pairs whose partial correlation the response to one perturbation alone "
                "would change most in size, for the perturbations with the largest such change.",
            ),
            Table(
                "network/changes.tsv",
                "Changes of edges",
                "Pairs of genes whose partial correlation changed most in size: the 20 largest "
                "changes by all updates, then, for each predicted response, the 10 pairs that it "
                "alone would change most.",
            ),
            Table(
                "network/updates.tsv",
                "Updates",
                "What updated the network, added or removed: rank, drift certificate (how far "
                "precision times covariance is from the identity, on random probes) with its "
                "limit, and whether the covariance was factorised afresh.",
            ),
        ),
        "No network was estimated.",
    ),
    Section(
        "design",
        "Can the design tell?",
        "Everything that a run solves is a linear system. Where its rank falls short of its "
        "columns, not every coefficient can be told from the others.",
        (
            Table(
                "design.tsv",
                "Linear systems and their verdicts",
                "Cells on perturbation, batch and covariates (*effects*), the linear gene "
                "expression models (*LGEM*, P ⊗ G, the worst of their folds), the blocks of the "
                "mixed forms, and the covariance behind the network. *aliased* names what cannot "
                "be told apart, *cause* and *remedy* say why and what to do. The condition number "
                "says how many times an error in the data may be enlarged in a solution.",
                True,
            ),
            Figure(
                "linear_systems",
                "Singular values and condition numbers",
                "Every linear system that the run met, by kind. Left: its singular values "
                "relative to the largest one; those below the dashed rank rule count as 0. "
                "Right: the condition number, the rank out of the number of columns, and whether "
                "the solution is unique; where it is not, why. The number beside a name is the "
                "one at the end of its line.",
            ),
        ),
        "No linear system was solved.",
    ),
    Section(
        "forms",
        "Mixed forms",
        "How much of the profiles goes with perturbations, and how much with batches.",
        (
            Figure(
                "mixed_forms",
                "Convergence, variance and codes",
                "Responses decoded from the sum of fixed codes K, from which the perturbations "
                "are decoded too, and random codes H, from which the batches are. Above, the "
                "objective F after every sweep of each schedule, and the share of the responses "
                "that each part explains, with its range over starts. Below, the samples in the "
                "first two axes of K and of H. Only the column space of the loadings is "
                "identified: how codes are split into K and H depends on the start, and H may "
                "carry differences between perturbations as well.",
            ),
            Table(
                "mixed_forms/variance.tsv",
                "Variance by part",
                "The profiles of the samples (groups of cells that share perturbation and batch), "
                "split into a fixed part, which goes with the perturbations, and a random part, "
                "which goes with batches and covariates. The parts may overlap. Of the free form "
                "only the sum of both parts is certain: its split depends on the start, and the "
                "starts say by how much. The constrained form is a mixed model, and the one to "
                "draw conclusions from.",
            ),
            Table(
                "mixed_forms/codes.tsv",
                "Codes of samples",
                "K is what a sample's perturbation explains, H its batch and covariates. Axes "
                "are ordered by size; their units are arbitrary.",
            ),
        ),
        NO_PERTURBATIONS.format(what="decompose"),
    ),
)

# Files to take along that the page does not show as a table.
EXTRAS = {"network/network.graphml": "the edges as a graph, for Cytoscape, Gephi or networkx"}
