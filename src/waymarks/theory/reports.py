"""What the page of each command says, from plain data."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from waymarks.theory.bounds import Asked, corrected, in_practice, stated
from waymarks.theory.charts import bounds_figure, curve_figure, hinge_figure, signal_figure
from waymarks.theory.page import Page, Section, cells, write_page
from waymarks.theory.procedure import Outcome
from waymarks.theory.signal import Growth, Relevance, SignalPoint
from waymarks.theory.verify import Row

Made = Mapping[str, str]

VERIFY_COLUMNS = ("statement", "verdict", "evidence", "seconds")
OUTCOME_COLUMNS = (
    "seed",
    "parameters",
    "parity accuracy",
    "mixture loss",
    "sum loss",
    "parity loss",
    "seconds",
)
BOUND_COLUMNS = ("n", "constants", "first batch B", "width k", "updates T", "loss promised")
GROWTH_COLUMNS = ("initialisation", "p", "as 2^(a n): a", "as n^c: c")
RELEVANCE_COLUMNS = ("initialisation", "n", "p", "batch", "AUC")


def verify_page(folder: Path, rows: Sequence[Row], made: Made) -> Path:
    """The table of statements, and the three choices of hinges."""
    table = [(row.statement, row.verdict, row.evidence, row.seconds) for row in rows]
    page = Page(
        title="Section 2, verified",
        lead="Each line was computed when this page was made: exactly, in integers and fractions, "
        "where the statement is exact.",
        sections=(
            Section(
                heading="Statements",
                columns=VERIFY_COLUMNS,
                rows=cells(VERIFY_COLUMNS, table),
            ),
            Section(
                heading="How hinges make a parity",
                text="Labels against what a neuron sees at n = 10, and the function that Lemma 5's "
                "weights compute. With the paper's label both tasks meet at z = 0; the exact mend "
                "keeps them apart.",
                figure="hinges",
                says="Three panels, one for each choice of biases: Sum labels on a line left of 0, "
                "Parity labels alternating between +1 and -1 right of it.",
            ),
        ),
        made=made,
    )
    return write_page(folder, page, {"hinges": hinge_figure()})


def outcome_rows(outcomes: Sequence[Outcome]) -> list[tuple[object, ...]]:
    """The last iterate beside the average, for each seed; columns as in `OUTCOME_COLUMNS`."""
    return [
        (
            outcome.settings.seed,
            iterate,
            scores.parity_accuracy,
            scores.mix,
            scores.sum,
            scores.parity,
            outcome.seconds_first_step + outcome.seconds_updates,
        )
        for outcome in outcomes
        for iterate, scores in (("average", outcome.average), ("last", outcome.last))
    ]


def train_page(folder: Path, outcomes: Sequence[Outcome], made: Made) -> Path:
    """The curves and scores of one setting over its seeds."""
    settings = outcomes[0].settings
    step = "the population gradient" if settings.first_batch is None else settings.first_batch
    page = Page(
        title=f"The procedure of Theorem 1 at n = {settings.bits}, p = {settings.sum_fraction:g}",
        lead=f"Biases: {settings.biases}. First step from {step} examples, then "
        f"{settings.updates} updates of {settings.batch} examples on (u, v), "
        f"momentum {settings.momentum:g}.",
        sections=(
            Section(
                heading="On the way",
                figure="curves",
                says="Parity accuracy and mixture loss against updates, for the last iterate and "
                "the averaged parameters.",
            ),
            Section(
                heading="In the end",
                columns=OUTCOME_COLUMNS,
                rows=cells(OUTCOME_COLUMNS, outcome_rows(outcomes)),
            ),
        ),
        made=made,
    )
    return write_page(folder, page, {"curves": curve_figure(outcomes)})


def bound_rows(asked: Sequence[Asked]) -> list[tuple[object, ...]]:
    """Stated, corrected and in practice, for each n; columns as in `BOUND_COLUMNS`."""
    rows: list[tuple[object, ...]] = []
    for one in asked:
        for kind, bounds in (("stated", stated(one)), ("corrected", corrected(one))):
            rows.append(
                (one.bits, kind, bounds.first_batch, bounds.width, bounds.updates, bounds.reached)
            )
        used = in_practice(one)
        rows.append(
            (one.bits, "in practice", used["first_batch"], used["width"], used["updates"], None)
        )
    return rows


def bounds_page(folder: Path, asked: Sequence[Asked], made: Made) -> Path:
    """The bounds, and how far practice is from them."""
    one = asked[0]
    page = Page(
        title="The bounds of Theorem 1",
        lead=f"What they say at p = {one.sum_fraction:g}, epsilon = {one.loss:g}, "
        f"delta = {one.failure:g}, beside the settings that work in practice.",
        sections=(
            Section(
                heading="Bounds",
                figure="bounds",
                says="First batch and updates against n on a logarithmic scale; the bounds lie "
                "many powers of ten above what is used in practice.",
                columns=BOUND_COLUMNS,
                rows=cells(BOUND_COLUMNS, bound_rows(asked)),
            ),
        ),
        made=made,
    )
    return write_page(folder, page, {"bounds": bounds_figure(asked)})


def growth_rows(growths: Sequence[Growth]) -> list[tuple[object, ...]]:
    """Columns as in `GROWTH_COLUMNS`."""
    return [(one.initialisation, one.sum_fraction, one.per_bit, one.power) for one in growths]


def relevance_rows(relevances: Sequence[Relevance]) -> list[tuple[object, ...]]:
    """Columns as in `RELEVANCE_COLUMNS`."""
    return [
        (one.initialisation, one.bits, one.sum_fraction, one.batch, one.auc) for one in relevances
    ]


def signal_page(
    folder: Path,
    points: Sequence[SignalPoint],
    growths: Sequence[Growth],
    relevances: Sequence[Relevance],
    made: Made,
) -> Path:
    """The gradient's signal against n, with and without sums."""
    page = Page(
        title="The first gradient's signal, with and without sums",
        lead="The batch at which the label's part of the first gradient, on the active bits, "
        "equals the sampling noise: the median over seeds with their range. Every input is "
        "enumerated.",
        sections=(
            Section(
                heading="Against the number of bits",
                text="Without sums (p = 0) it grows exponentially in n; with them, as a small "
                "power of n. At the special initialisation no batch suffices without sums.",
                figure="signal",
                says="Batch against n on a logarithmic scale: straight lines rising steeply at "
                "p = 0, almost level ones at p = .1 and p = .5.",
            ),
            Section(
                heading="How fast it grows",
                text="Least squares on the logarithm of the median, by both laws.",
                columns=GROWTH_COLUMNS,
                rows=cells(GROWTH_COLUMNS, growth_rows(growths)),
            ),
            Section(
                heading="Which bits are active, from one sampled gradient",
                text="The chance that one step raises the network's linear part more at an active "
                "bit than at another. The network's own output adds a part to the gradient that "
                "is blind to relevance, and more samples do not remove it.",
                columns=RELEVANCE_COLUMNS,
                rows=cells(RELEVANCE_COLUMNS, relevance_rows(relevances)),
            ),
        ),
        made=made,
    )
    return write_page(folder, page, {"signal": signal_figure(points)})
