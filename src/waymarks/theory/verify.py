"""Every statement of section 2 and appendix A, checked by computations made on the spot."""

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product
from typing import Literal

import numpy as np

from waymarks.axes import Frozen
from waymarks.theory.bounds import (
    Asked,
    corrected,
    first_batch_of_hoeffding,
    reached_by_its_terms,
    stated,
)
from waymarks.theory.collapsed import Collapsed
from waymarks.theory.distributions import Mixture, Target
from waymarks.theory.first_gradient import (
    as_floats,
    by_enumeration,
    closed_form,
    first_gradient_of_v,
    population_gradients,
)
from waymarks.theory.full import FullNetwork
from waymarks.theory.hinges import HINGES, ExactHinges, Hinges, PaperHinges
from waymarks.theory.network import special
from waymarks.theory.procedure import run
from waymarks.theory.ridge import ridge_scores
from waymarks.theory.settings import practical, width_for
from waymarks.theory.signal import gradient_moments, growths, signal_points, special_batch
from waymarks.theory.span import (
    chance_of_every_bias,
    hinge_sum,
    least_loss_of_z,
    perturbed_span,
    span_error,
    span_error_on_inputs,
)

Verdict = Literal["holds", "holds with a correction", "fails"]
FRACTIONS = (Fraction(1, 10), Fraction(1, 2), Fraction(1))


class Finding(Frozen):
    """What a check found.

    Attributes:
        as_stated: whether what the paper (or, for new parts, this library) states came out.
        corrected: whether the corrected statement did; None where there is no correction.
        evidence: what was computed, with its numbers.
    """

    as_stated: bool
    corrected: bool | None = None
    evidence: str

    @property
    def verdict(self) -> Verdict:
        if self.as_stated:
            return "holds"
        return "holds with a correction" if self.corrected else "fails"


class Row(Frozen):
    """A line of the table."""

    statement: str
    verdict: Verdict
    evidence: str
    seconds: float


def rows() -> Iterator[Row]:
    """Makes every check in turn; each line comes as soon as it is known."""
    for statement, check in CHECKS.items():
        started = time.perf_counter()
        finding = check()
        yield Row(
            statement=statement,
            verdict=finding.verdict,
            evidence=finding.evidence,
            seconds=time.perf_counter() - started,
        )


def every_subset(bits: int) -> Iterator[Target]:
    """A target for each w* in {0, 1}^n."""
    for chosen in product((0, 1), repeat=bits):
        yield Target(bits=bits, active=tuple(place for place, one in enumerate(chosen) if one))


def lemma_2() -> Finding:
    """The closed form against integer enumeration, for every w* and so for every p."""
    targets = [target for bits in range(1, 9) for target in every_subset(bits)]
    large = [target for target in targets if len(target.active) >= 2]
    small = [target for target in targets if len(target.active) < 2]
    agree = sum(closed_form(target) == by_enumeration(target) for target in large)
    parts_are_not_zero = sum(any(by_enumeration(target).of_parity) for target in small)
    return Finding(
        as_stated=agree == len(large) and parts_are_not_zero == 0,
        corrected=agree == len(large),
        evidence=f"exact for {agree} of {len(large)} w* with |w*| >= 2, n = 1..8, even and odd, at "
        f"p = 0 and 1 and so at every p; for {parts_are_not_zero} of {len(small)} w* with "
        "|w*| < 2 Parity has a gradient, so 'every w*' needs |w*| >= 2 (n >= 4)",
    )


def lemma_2_in_the_network() -> Finding:
    """The closed form against autograd on the network, for every w* of half the bits."""
    worst, count = 0.0, 0
    for bits in (4, 6, 8):
        for target in (t for t in every_subset(bits) if len(t.active) == bits // 2):
            exact = closed_form(target)
            network = special(bits, 3, 0.5, 0, "paper")
            for p in (0, 1, 5, 9, 10):
                mixture = Mixture(target=target, sum_fraction=p / 10)
                computed = population_gradients(network, mixture)["W"].numpy()
                expected = as_floats(exact.at(Fraction(p, 10)))
                worst, count = max(worst, float(np.abs(computed - expected).max())), count + 1
    return Finding(
        as_stated=worst < 1e-12,
        evidence=f"autograd over all inputs, {count} pairs of w* and p at n = 4, 6, 8: "
        f"largest difference {worst:.1e}",
    )


def lemma_3() -> Finding:
    """The gradients of u, v, b at the start, and that of v in closed form."""
    worst_ub, smallest_v, worst_v, exact = 0.0, np.inf, 0.0, True
    for bits, p in product((4, 6, 8), (Fraction(1, 10), Fraction(1, 2))):
        target = Target.half(bits)
        network = special(bits, 40, float(p), 0, "paper")
        gradients = population_gradients(network, Mixture(target=target, sum_fraction=float(p)))
        for name in ("u", "b"):
            worst_ub = max(worst_ub, float(gradients[name].abs().max()))
        expected = p**2 * bits / 2
        exact &= first_gradient_of_v(target, p, p) == expected
        largest = float(gradients["v"].max())
        smallest_v = min(smallest_v, largest)
        worst_v = max(worst_v, abs(largest - float(expected)))
    return Finding(
        as_stated=worst_ub == 0 and smallest_v < 1e-12,
        corrected=worst_ub == 0 and exact and worst_v < 1e-12,
        evidence=f"u and b: exactly 0; v: not 0 but p^2 n/2 at the bias +p (exact in fractions, "
        f"autograd within {worst_v:.0e}). Mend: step size 0 on v in the first step",
    )


def lemma_4() -> Finding:
    """Both sides in integers, the solution of the triangular system, and the bound."""
    halves, paper = range(1, 61), PaperHinges()
    on_inputs = all((hinge_sum(half)[:, 0] == hinge_sum(half)[:, 1]).all() for half in range(1, 15))
    solved = all(paper.solved(half) == paper.coefficients(half) for half in halves)
    closed = all(largest(paper, half) == paper.largest_coefficient(half) for half in halves)
    beyond = [half for half in halves if largest(paper, half) > 4 * half]
    return Finding(
        as_stated=on_inputs and solved and not beyond,
        corrected=on_inputs and solved and closed,
        evidence="identity exact at every x for n' = 1..14, coefficients are the only solution "
        f"for n' = 1..60; |nu| <= 4n' fails for {len(beyond)} of 60 n' (the even ones): the "
        "largest is 4n'+2, for odd n' >= 3 it is 4n'-2",
    )


def largest(hinges: Hinges, half: int) -> int:
    """max |nu_i|."""
    return max(abs(nu) for nu in hinges.coefficients(half))


def _span(hinges: Hinges) -> tuple[bool, bool, int]:
    """Whether the errors of Lemma 5 are those expected: e where x0 = +1 and s = n/2 for a label
    with offset n/2, none for the exact mend; whether x = 1 is the only one; inputs looked at."""
    expected_everywhere, only_all_ones, inputs = True, True, 0
    for bits, p in product(range(2, 42, 2), FRACTIONS):
        half = bits // 2
        expected = {} if hinges.extra_offset else {(1, half): Fraction((-1) ** half)}
        found = {place: error for place, error in span_error(hinges, bits, p).items() if error}
        expected_everywhere &= found == expected
    for bits, flag in product(range(2, 13, 2), (1, -1)):
        seen = span_error_on_inputs(hinges, hinges.target(bits), flag)
        wrong = seen.doubled_errors != 0
        exceptional = seen.every_active_bit_is_one if flag == 1 else np.zeros_like(wrong)
        expected_everywhere &= bool((wrong == (exceptional & (hinges.extra_offset == 0))).all())
        e = (-1) ** (bits // 2)
        expected_everywhere &= bool((seen.doubled_errors[wrong] == 2 * e).all())
        only_all_ones &= flag == -1 or int(wrong.sum()) <= 1
        inputs += len(wrong)
    return expected_everywhere, only_all_ones, inputs


def lemma_5() -> Finding:
    """The error of the paper's weights at every input, and the size of the weights."""
    expected, only_all_ones, inputs = _span(PaperHinges())
    even = all(largest(PaperHinges(), half) == 4 * half + 2 for half in range(2, 61, 2))
    odd = all(largest(PaperHinges(), half) <= 4 * half for half in range(1, 60, 2))
    return Finding(
        as_stated=expected and only_all_ones,
        corrected=expected and even and odd,
        evidence=f"exact at {inputs} inputs (n = 2..12) and every (x0, s) to n = 40: f~ - f = e at "
        "all 2^(n/2) inputs with x0 = +1 and every active bit +1, 0 elsewhere; "
        "|v'| <= (2n+2)/p for even n/2, 2n/p for odd",
    )


def no_function_of_z() -> Finding:
    """Half the mean variance of y given z, in fractions."""
    exact = all(
        least_loss_of_z(PaperHinges().target(bits), p) == p * (1 - p) / 2 ** (bits // 2 + 1)
        for bits, p in product(range(2, 42, 2), FRACTIONS)
    )
    return Finding(
        as_stated=exact,
        evidence="the least loss of any function of z is exactly (1/2) p (1-p) 2^(-n/2) for "
        "n = 2..40, so the exceptions cannot be mended with the paper's label",
    )


def exact_mend() -> Finding:
    """The mend at every input."""
    expected, _, inputs = _span(ExactHinges())
    solved = all(ExactHinges().solved(h) == ExactHinges().coefficients(h) for h in range(1, 61))
    nothing = all(
        least_loss_of_z(ExactHinges().target(bits), p) == 0
        for bits, p in product(range(2, 42, 2), FRACTIONS)
    )
    return Finding(
        as_stated=expected and solved and nothing,
        evidence=f"with the label s - (n/2 + 1): no exception at {inputs} inputs (n = 2..12) nor "
        "at any (x0, s) to n = 40; the coefficients are the only solution to n' = 60",
    )


def data_kinks() -> Finding:
    """The data-kink construction at every input, and how small its weights are."""
    hinges = HINGES["data-kink"]
    expected, _, inputs = _span(hinges)
    halves = range(1, 61)
    solved = all(hinges.solved(half) == hinges.coefficients(half) for half in halves)
    squares = all(
        sum(nu**2 for nu in hinges.coefficients(half)) == 4 * half + (6 if half % 2 == 0 else -2)
        for half in halves
    )
    small = all(largest(hinges, half) <= 3 for half in halves)
    return Finding(
        as_stated=expected and solved and squares and small,
        evidence=f"same exceptions as Lemma 5 at {inputs} inputs and every (x0, s) to n = 40; "
        "|nu| <= 3, sum of nu^2 is 2n+6 (even n/2) or 2n-2 (odd) to n' = 60",
    )


def lemma_6() -> Finding:
    """The loss under perturbations of W, over all inputs."""
    cases = [
        perturbed_span(PaperHinges(), bits, p, scale * p / bits**3, seed)
        for bits, p, scale, seed in product(range(4, 13, 2), (0.1, 0.5), (0.01, 0.3), range(3))
    ]
    kept = all(
        case.loss <= case.allowed and case.squared_norm <= case.allowed_norm for case in cases
    )
    tightest = max(case.loss / case.allowed for case in cases)
    return Finding(
        as_stated=kept,
        evidence=f"{len(cases)} perturbations of W by +-tau, n = 4..12, every input: loss at most "
        f"{tightest:.2f} of the bound, norms within 4n^3/p^2",
    )


def width() -> Finding:
    """The chance that every bias is drawn, in fractions."""
    chances = {bits: chance_of_every_bias(bits, width_for(bits, 0.01)) for bits in range(4, 52, 2)}
    least = min(chances, key=lambda bits: chances[bits])
    return Finding(
        as_stated=all(chance >= Fraction(99, 100) for chance in chances.values()),
        evidence="exact by inclusion and exclusion at delta = .01, n = 4..50: at least "
        f"{float(chances[least]):.6f} (n = {least})",
    )


def first_batch() -> Finding:
    """Whether the stated batch satisfies Hoeffding's inequality as it applies here."""
    asked = [Asked(bits=bits, sum_fraction=p) for bits, p in product((10, 20, 50), (0.1, 0.5))]
    ratios = [
        first_batch_of_hoeffding(one.bits, stated(one).tau, one.failure) / stated(one).first_batch
        for one in asked
    ]
    bits, p, tau, rows = 6, 0.5, 0.5, 2000
    target = Target.half(bits)
    mixture = Mixture(target=target, sum_fraction=p)
    size = int(np.ceil(first_batch_of_hoeffding(bits, tau, 0.1)))
    expected = -as_floats(closed_form(target).at(Fraction(1, 2)))
    generator = np.random.default_rng(0)
    misses = 0
    for _ in range(rows):
        examples = mixture.sample(size, generator)
        row = examples.weighted_total(mixture.labels(examples)) / size
        misses += bool(np.abs(row - expected).max() > tau)
    return Finding(
        as_stated=max(ratios) <= 1,
        corrected=misses / rows <= 0.1,
        evidence=f"y x_j has range 2n, and the logarithm was dropped: at n = 10, 20, 50 "
        f"Hoeffding asks for {min(ratios):.0f} to {max(ratios):.0f} times the stated B. With the "
        f"corrected B, {misses} of {rows} batches missed tau (at most {rows // 10} may; "
        "n = 6, delta = .1)",
    )


def updates() -> Finding:
    """The SGD theorem evaluated at the stated T, at 12*8*36, and at the corrected bounds."""
    asked = [Asked(bits=bits, sum_fraction=p) for bits, p in product((10, 20, 50), (0.1, 0.5))]
    over = [stated(one).reached / one.loss for one in asked]
    product_of_terms = [reached_by_its_terms(one) / one.loss for one in asked]
    mended = [corrected(one).reached / one.loss for one in asked]
    failure = min(stated(one).failure for one in asked)
    return Finding(
        as_stated=max(over) <= 1 and failure < 1,
        corrected=max(mended) <= 1 and all(corrected(one).failure < 1 for one in asked),
        evidence=f"the stated T promises {max(over):.2f} epsilon, not epsilon "
        f"({max(product_of_terms):.2f} with 12*8 for 12.8), and T delta is "
        f"{failure / 4:.0e} or more; corrected: {max(mended):.2f} epsilon with probability "
        "1 - 2 delta, in the mean over later draws",
    )


def parity_alone() -> Finding:
    """The batch at which the first gradient stands out of its noise, against n."""
    found = {
        (one.initialisation, one.sum_fraction): one
        for one in growths(list(signal_points((6, 10, 14), (0.0, 0.1))))
    }
    ordinary = ("he", "xavier", "mlp")
    per_bit = [found[name, 0.0].per_bit or 0.0 for name in ordinary]
    power = [found[name, 0.1].power or np.inf for name in ordinary]
    measured = gradient_moments(special(8, 4, 0.5, 0, "paper"), Target.half(8))
    closed = all(
        abs(measured.batch_to_stand_out(p) / special_batch(8, p) - 1) < 1e-12 for p in (0.1, 0.5)
    )
    never = found["special", 0.0].per_bit is None and special_batch(8, 0.0) == np.inf
    return Finding(
        as_stated=min(per_bit) > 0.8 and max(power) < 3 and closed and never,
        evidence="batch at which the active bits' gradient stands out (exact moments; He, Xavier, "
        f"MLP; n = 6, 10, 14): p = 0 grows as 2^({min(per_bit):.1f} n) to "
        f"2^({max(per_bit):.1f} n), p = .1 as n^{min(power):.1f} to n^{max(power):.1f}; special "
        "initialisation: the closed form, and no batch at p = 0",
    )


def forms_agree() -> Finding:
    """The k-neuron network and the collapsed simulation through the same 300 updates."""
    worst = 0.0
    for biases in HINGES:
        settings = practical(10, 0.5, biases, seed=1).model_copy(
            update={"first_batch": 20_000, "updates": 300, "batch": 32, "width": 60}
        )
        scores = [run(settings, form, points=0) for form in (Collapsed, FullNetwork)]
        for iterate in ("last", "average"):
            one, other = (getattr(outcome, iterate).mix for outcome in scores)
            worst = max(worst, abs(one - other) / other)
    return Finding(
        as_stated=worst < 1e-10,
        evidence="after 300 updates at n = 10 with each choice of biases, the mixture losses "
        f"differ by {worst:.0e} of themselves",
    )


def features_suffice() -> Finding:
    """Ridge least squares on the features of the population step."""
    accuracies = {
        (name, bits): ridge_scores(
            practical(bits, 0.1, name).model_copy(update={"first_batch": None})
        ).parity_accuracy
        for name, bits in product(("paper", "data-kink"), (10, 20, 30, 50))
    }
    shortfall = 1 - min(accuracies.values())
    return Finding(
        as_stated=shortfall < 1e-6,
        evidence="population first step and ridge least squares for (u, v), exact sums: parity "
        f"accuracy 1 to within {shortfall:.0e} for n = 10, 20, 30, 50, both kinds of bias, p = .1",
    )


def procedure_learns() -> Finding:
    """The procedure with sampled batches at n = 10 and 20, with and without Sum examples."""
    mixed = [run(practical(n, p), Collapsed, points=0) for n, p in ((10, 0.1), (20, 0.5))]
    alone = run(practical(10, 0.0, reference_fraction=0.5), Collapsed, points=0)
    least = min(outcome.average.parity_accuracy for outcome in mixed)
    most = max(outcome.average.mix for outcome in mixed)
    chance = alone.average.parity_accuracy
    return Finding(
        as_stated=least >= 0.99 and most <= 0.02 and 0.45 <= chance <= 0.55,
        evidence=f"data-kink biases, n = 10 and 20: parity accuracy >= {least:.4f}, mixture loss "
        f"<= {most:.4f}; p = 0, n = 10: accuracy {chance:.3f}",
    )


CHECKS: dict[str, Callable[[], Finding]] = {
    "Lemma 2: the first gradient of W is -p [-n/2, w*]": lemma_2,
    "Lemma 2, on the network itself": lemma_2_in_the_network,
    "Lemma 3: the other first gradients are 0": lemma_3,
    "Lemma 4: hinges make parity out of the sum, |nu| <= 4n'": lemma_4,
    "Lemma 5: f is in the span, except at x = 1": lemma_5,
    "New: no function of z does better with the paper's label": no_function_of_z,
    "New: the exact mend has no exception": exact_mend,
    "New: data-kink biases need weights of at most 3": data_kinks,
    "Lemma 6: a perturbed W still has a good (u, v)": lemma_6,
    "Lemma 6: k >= n ln(n/delta) draws every bias": width,
    "Theorem 1: the batch B = 4 n^8 / (p^2 epsilon)": first_batch,
    "Theorem 1: T updates give loss epsilon, probability 1 - 4 T delta": updates,
    "Section 2.3: exponential without sums, polynomial with them": parity_alone,
    "The collapsed simulation is the network": forms_agree,
    "The features of the first step suffice": features_suffice,
    "The procedure learns with sums and fails without": procedure_learns,
}
"""The statements, in the paper's order, and what checks each."""
