"""Lemmas 2 to 6, exactly, against plain Python that shares no code with them."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waymarks.errors import UserError
from waymarks.theory.distributions import Mixture, Target
from waymarks.theory.first_gradient import (
    as_floats,
    by_enumeration,
    closed_form,
    first_gradient_of_v,
    population_gradients,
)
from waymarks.theory.hinges import HINGES, drawn_biases, hinges_named
from waymarks.theory.network import special
from waymarks.theory.span import (
    chance_of_every_bias,
    hinge_sum,
    least_loss_of_z,
    perturbed_span,
    span_error,
    span_error_on_inputs,
)


def relu(value):
    return max(value, 0)


def signs(width):
    return itertools.product((-1, 1), repeat=width)


def product(values):
    result = 1
    for value in values:
        result *= value
    return result


def plain_first_gradient(bits, active, p):
    """-E[y x] by a loop over every input of both tasks."""
    total = [Fraction(0)] * (bits + 1)
    for x in signs(bits):
        chosen = [x[place] for place in active]
        sum_label = sum(chosen) - Fraction(bits, 2)
        for flag, chance, y in ((1, p, sum_label), (-1, 1 - p, product(chosen))):
            for place, value in enumerate((flag, *x)):
                total[place] -= chance * y * value / 2**bits
    return tuple(total)


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_lemma_2_for_every_subset_of_at_least_two(bits):
    for size in range(2, bits + 1):
        for active in itertools.combinations(range(bits), size):
            target = Target(bits=bits, active=active)
            assert closed_form(target) == by_enumeration(target)
            for p in (Fraction(0), Fraction(1, 10), Fraction(1)):
                plain = plain_first_gradient(bits, active, p)
                assert closed_form(target).at(p) == plain
                w = [Fraction(-bits, 2), *(int(place in active) for place in range(bits))]
                assert plain == tuple(-p * entry for entry in w)


def test_lemma_2_for_every_subset_of_eight_bits():
    for chosen in signs(8):
        active = tuple(place for place, sign in enumerate(chosen) if sign == 1)
        if len(active) >= 2:
            target = Target(bits=8, active=active)
            assert closed_form(target) == by_enumeration(target)


@pytest.mark.parametrize("active", [(), (2,)])
def test_lemma_2_refuses_the_subsets_where_parity_has_a_gradient(active):
    target = Target(bits=4, active=active)
    with pytest.raises(UserError, match=rf"\|w\*\| >= 2, not {len(active)}"):
        closed_form(target)
    assert any(by_enumeration(target).of_parity)
    for p in (Fraction(0), Fraction(1, 3), Fraction(1)):
        assert by_enumeration(target).at(p) == plain_first_gradient(4, active, p)


@pytest.mark.parametrize("biases", sorted(HINGES))
def test_the_network_has_the_first_gradient_of_lemmas_2_and_3(biases):
    target = Target.half(6, 3, hinges_named(biases).extra_offset)
    network = special(6, 9, 0.3, 0, biases)
    mixture = Mixture(target=target, sum_fraction=0.3)
    gradients = population_gradients(network, mixture)
    expected = as_floats(closed_form(target).at(Fraction(3, 10)))
    for row in gradients["W"].numpy():
        np.testing.assert_allclose(row, expected, atol=1e-13)
    assert not gradients["u"].any()
    assert not gradients["b"].any()
    for bias, found in zip(network.b.tolist(), gradients["v"].tolist(), strict=True):
        exact = first_gradient_of_v(target, Fraction(3, 10), Fraction(bias))
        assert found == pytest.approx(float(exact), abs=1e-13)


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_lemma_3_fails_for_v_by_p_squared_n_over_2(bits):
    p = Fraction(1, 7)
    assert first_gradient_of_v(Target.half(bits), p, p) == p**2 * bits / 2
    assert first_gradient_of_v(Target.half(bits), p, -p) == 0


@pytest.mark.parametrize("half", range(1, 11))
def test_lemma_4_at_every_input(half):
    hinges = hinges_named("paper")
    nu, beta = hinges.coefficients(half), hinges.biases(half)
    for x in signs(half):
        s = sum(x)
        left = sum(n * relu(s + b + half) for n, b in zip(nu, beta, strict=True))
        assert left == product(x) - s - half
    assert (hinge_sum(half)[:, 0] == hinge_sum(half)[:, 1]).all()


@pytest.mark.parametrize(("half", "most"), [(1, 2), (2, 10), (3, 10), (4, 18), (5, 18), (25, 98)])
def test_the_largest_coefficient_of_lemma_4(half, most):
    hinges = hinges_named("paper")
    assert max(map(abs, hinges.coefficients(half))) == most == hinges.largest_coefficient(half)


@pytest.mark.parametrize("name", sorted(HINGES))
@given(half=st.integers(1, 60))
def test_no_other_coefficients_solve_the_equations(name, half):
    hinges = hinges_named(name)
    assert hinges.solved(half) == hinges.coefficients(half)
    assert max(map(abs, hinges.coefficients(half))) == hinges.largest_coefficient(half)
    assert len(hinges.biases(half)) == len(set(hinges.biases(half))) == half + 1


def plain_span_errors(hinges, bits, active, p):
    """f~ - f at every input where it is not 0, with p in its place."""
    half, offset = bits // 2, Fraction(bits, 2) + hinges.extra_offset
    nu, beta = hinges.coefficients(half), hinges.biases(half)
    errors = {}
    for flag in (1, -1):
        for x in signs(bits):
            s = sum(x[place] for place in active)
            f = s - offset if flag == 1 else product(x[place] for place in active)
            z = p * (s - offset * flag)
            approximated = z / p + sum(
                n / p * relu(z + p * b) for n, b in zip(nu, beta, strict=True)
            )
            if approximated != f:
                errors[(flag, *x)] = approximated - f
    return errors


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
@pytest.mark.parametrize("name", ["paper", "data-kink"])
def test_lemma_5_misses_f_exactly_where_the_flag_and_every_active_bit_are_one(name, bits):
    active = tuple(range(1, bits, 2))
    errors = plain_span_errors(hinges_named(name), bits, active, Fraction(3, 10))
    expected = {(1, *x) for x in signs(bits) if all(x[place] == 1 for place in active)}
    assert set(errors) == expected
    assert len(expected) == 2 ** (bits // 2)
    assert set(errors.values()) == {(-1) ** (bits // 2)}


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_the_exact_mend_misses_nothing(bits):
    assert not plain_span_errors(
        hinges_named("exact"), bits, tuple(range(bits // 2)), Fraction(1, 3)
    )


@pytest.mark.parametrize("name", sorted(HINGES))
@pytest.mark.parametrize("bits", [2, 6, 8])
def test_the_checks_of_lemma_5_see_the_errors_that_plain_python_sees(name, bits):
    hinges, p = hinges_named(name), Fraction(1, 5)
    target = hinges.target(bits, 4)
    plain = plain_span_errors(hinges, bits, target.active, p)
    at_inputs = [span_error_on_inputs(hinges, target, flag) for flag in (1, -1)]
    assert sum(int((seen.doubled_errors != 0).sum()) for seen in at_inputs) == len(plain)
    for seen in at_inputs:
        wrong = seen.doubled_errors != 0
        assert set(seen.doubled_errors[wrong]) <= {2 * int(error) for error in plain.values()}
        assert seen.every_active_bit_is_one[wrong].all()
    missed = {place: error for place, error in span_error(hinges, bits, p).items() if error}
    expected = {} if name == "exact" else {(1, bits // 2): (-1) ** (bits // 2)}
    assert missed == expected


@given(half=st.integers(1, 80))
def test_data_kink_coefficients_stay_small(half):
    nu = hinges_named("data-kink").coefficients(half)
    bits = 2 * half
    assert max(map(abs, nu)) <= 3
    assert sum(n * n for n in nu) == (2 * bits + 6 if half % 2 == 0 else 2 * bits - 2)


@given(half=st.integers(1, 12), p=st.fractions(0, 1))
def test_no_function_of_z_beats_the_exceptions(half, p):
    target = Target.half(2 * half)
    assert least_loss_of_z(target, p) == p * (1 - p) / 2 ** (half + 1)
    assert least_loss_of_z(Target.half(2 * half, 0, 1), p) == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bits", [4, 8])
def test_lemma_6_keeps_its_bounds_and_is_lemma_5_without_perturbation(bits, seed):
    for tau in (1e-5, 1e-3):
        seen = perturbed_span(hinges_named("paper"), bits, 0.3, tau, seed)
        assert seen.loss <= seen.allowed
        assert seen.squared_norm <= seen.allowed_norm
    exact = perturbed_span(hinges_named("paper"), bits, 0.3, 0.0, seed)
    assert exact.loss == pytest.approx(0.3 * 2 ** (-bits / 2) / 2, rel=1e-9)
    assert perturbed_span(hinges_named("exact"), bits, 0.3, 0.0, seed).loss < 1e-20


def test_the_chance_of_every_bias_is_that_of_counting_all_draws():
    for width in range(1, 7):
        draws = list(itertools.product(range(3), repeat=width))
        hits = sum(len(set(draw)) == 3 for draw in draws)
        assert chance_of_every_bias(4, width) == Fraction(hits, len(draws))


@pytest.mark.parametrize("name", sorted(HINGES))
def test_neurons_draw_among_the_biases_of_their_kind(name):
    values, place = drawn_biases(hinges_named(name), 10, 0.25, 5000, 0)
    assert values.tolist() == [0.25 * beta for beta in hinges_named(name).biases(5)]
    counts = np.bincount(place, minlength=6)
    assert counts.min() > 700


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: hinges_named("papr"), "did you mean paper"),
        (lambda: drawn_biases(hinges_named("paper"), 4, 0.0, 8, 0), "vanish at p = 0"),
        (lambda: drawn_biases(hinges_named("paper"), 4, 0.5, 0, 0), "width must be at least 1"),
        (lambda: span_error(hinges_named("paper"), 4, Fraction(0)), "divides by p"),
        (lambda: span_error(hinges_named("paper"), 5, Fraction(1)), "even"),
        (lambda: perturbed_span(hinges_named("paper"), 4, 0.0, 0.1, 0), "divides by p"),
        (lambda: hinge_sum(0), "n' >= 1"),
        (lambda: hinge_sum(21), "at most 20"),
        (
            lambda: span_error_on_inputs(hinges_named("paper"), Target(bits=4, active=(0,)), 1),
            r"\|w\*\| = n/2 = 2, not 1",
        ),
    ],
)
def test_a_lemma_refuses_what_it_does_not_cover(make, reason):
    with pytest.raises(UserError, match=reason):
        make()
