"""The procedure: both forms of the network, what they reach, and what they do not."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from waymarks.errors import UserError
from waymarks.theory.collapsed import Collapsed
from waymarks.theory.distributions import Target
from waymarks.theory.first_gradient import as_floats, closed_form
from waymarks.theory.full import FullNetwork
from waymarks.theory.hinges import HINGES, hinges_named
from waymarks.theory.network import DenseNetwork
from waymarks.theory.procedure import run, take_first_step
from waymarks.theory.ridge import ridge_scores
from waymarks.theory.settings import Settings, first_batch_for, practical, width_for


def small(**changes):
    fields = {
        "bits": 8,
        "sum_fraction": 0.4,
        "width": 40,
        "first_batch": 3000,
        "batch": 16,
        "updates": 300,
        "seed": 2,
    }
    return Settings(**{**fields, **changes})


def outputs_of(form, inputs):
    return {which: form.outputs(inputs, which) for which in ("last", "average")}


def carried_out(chosen):
    """Both forms after the procedure, on the same fresh examples."""
    found = []
    for make in (Collapsed, FullNetwork):
        kept = []

        def keeping(given, make=make, kept=kept):
            kept.append(make(given))
            return kept[0]

        run(chosen, keeping, points=0)
        fresh = chosen.mixture.sample(500, np.random.default_rng(0))
        found.append(outputs_of(kept[0], fresh))
    return found


@pytest.mark.parametrize("biases", sorted(HINGES))
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"momentum": 0.9, "step_scale": 0.3, "average_from": 0.5},
        {"freeze_v_first": False, "reset_u": False, "step_scale": 0.2},
        {"first_batch": None},
    ],
    ids=["plain", "momentum", "as stated", "population"],
)
def test_the_collapsed_simulation_is_the_network(biases, changes):
    collapsed, full = carried_out(small(biases=biases, **changes))
    for which in ("last", "average"):
        scale = np.abs(full[which]).max()
        assert scale > 1e-2
        np.testing.assert_allclose(collapsed[which], full[which], atol=1e-10 * scale)


def plain_sgd(chosen):
    """The procedure in a loop of plain NumPy on k neurons with gradients written out by hand."""
    from waymarks.randomness import seed_sequence

    def drawn(stream, index, count):
        generator = np.random.default_rng(seed_sequence(chosen.seed, f"theory/{stream}", index))
        examples = chosen.mixture.sample(count, generator)
        return examples.inputs(), chosen.mixture.labels(examples)

    x, y = drawn("first step", 0, chosen.first_batch)
    bias = FullNetwork(chosen).network.b.detach().numpy()
    W = np.tile((y[:, None] * x).mean(0), (chosen.width, 1))  # noqa: N806
    u, v = np.zeros(chosen.width), np.zeros(chosen.width)
    x, _ = drawn("step size", 0, 8192)
    features = np.concatenate([x @ W.T, np.maximum(x @ W.T + bias, 0)], axis=1)
    eta = chosen.step_scale / np.linalg.eigvalsh(features.T @ features / len(x))[-1]
    x, y = drawn("train", 0, chosen.batch * chosen.updates)
    moved_u, moved_v, iterates = np.zeros_like(u), np.zeros_like(v), []
    for t in range(chosen.updates):
        batch = slice(t * chosen.batch, (t + 1) * chosen.batch)
        seen = x[batch] @ W.T
        hinged = np.maximum(seen + bias, 0)
        errors = seen @ u + hinged @ v - y[batch]
        moved_u = chosen.momentum * moved_u - eta * seen.T @ errors / chosen.batch
        moved_v = chosen.momentum * moved_v - eta * hinged.T @ errors / chosen.batch
        u, v = u + moved_u, v + moved_v
        iterates.append(np.concatenate([u, v]))
    kept = iterates[int(chosen.average_from * chosen.updates) :]
    return W, bias, iterates[-1], np.mean(kept, axis=0)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_procedure_is_what_it_says(momentum):
    chosen = small(momentum=momentum, step_scale=0.4, average_from=0.25, updates=120)
    W, bias, last, average = plain_sgd(chosen)  # noqa: N806
    fresh = chosen.mixture.sample(200, np.random.default_rng(1))
    seen = fresh.inputs() @ W.T
    features = np.concatenate([seen, np.maximum(seen + bias, 0)], axis=1)
    kept = []
    run(chosen, lambda given: kept.append(Collapsed(given)) or kept[0], points=0)
    np.testing.assert_allclose(kept[0].outputs(fresh, "last"), features @ last, atol=1e-9)
    np.testing.assert_allclose(kept[0].outputs(fresh, "average"), features @ average, atol=1e-9)


def test_the_population_first_step_is_that_of_lemma_2():
    chosen = small(first_batch=None, sum_fraction=0.25, biases="exact")
    target = chosen.mixture.target
    for make in (Collapsed, FullNetwork):
        form = make(chosen)
        take_first_step(form, chosen)
        gradient = as_floats(closed_form(target).of_sum)
        np.testing.assert_allclose(form.row(), -0.25 * gradient, atol=1e-13)
        assert form.row()[0] == pytest.approx(-0.25 * 5)


def test_a_sampled_first_step_comes_near_the_population_step():
    outcome = run(small(first_batch=200_000, updates=1), Collapsed, points=0)
    assert outcome.relevant == pytest.approx(0.4, abs=0.03)
    assert outcome.irrelevant < 0.03


@pytest.mark.parametrize(("bits", "p"), [(10, 0.1), (10, 0.5), (20, 0.1)])
def test_data_kinks_learn_both_tasks(bits, p):
    outcome = run(practical(bits, p), Collapsed, points=4)
    assert outcome.average.parity_accuracy >= 0.99
    assert outcome.average.mix <= 0.02
    assert outcome.last.parity_accuracy >= 0.99
    assert len(outcome.curve) == 4
    assert outcome.curve[-1].updates == outcome.settings.updates
    assert outcome.curve[0].average is None
    assert outcome.curve[-1].average == outcome.average


@pytest.mark.parametrize("biases", ["data-kink", "paper"])
def test_parity_alone_teaches_nothing(biases):
    chosen = practical(10, 0.0, biases, reference_fraction=0.5, seed=1)
    outcome = run(chosen.model_copy(update={"updates": 5000}), Collapsed, points=0)
    assert 0.45 <= outcome.average.parity_accuracy <= 0.55
    assert 0.45 <= outcome.last.parity_accuracy <= 0.55


def test_the_papers_biases_need_many_more_updates():
    same = {"first_batch": 2_000_000, "updates": 12_800}
    losses = [
        run(practical(20, 0.5, name).model_copy(update=same), Collapsed, points=0).average.mix
        for name in ("data-kink", "paper")
    ]
    assert losses[0] < 0.02
    assert losses[1] > 5 * losses[0]


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    runs = [run(small(seed=seed), Collapsed, points=3) for seed in (2, 2, 3)]
    same = [one.model_dump(exclude={"seconds_first_step", "seconds_updates"}) for one in runs]
    assert same[0] == same[1]
    assert same[0]["last"] != same[2]["last"]


@pytest.mark.parametrize("biases", ["paper", "data-kink"])
@pytest.mark.parametrize("bits", [10, 30, 50])
def test_the_features_of_the_population_step_suffice(biases, bits):
    chosen = practical(bits, 0.5, biases).model_copy(update={"first_batch": None})
    scores = ridge_scores(chosen)
    assert scores.parity_accuracy == pytest.approx(1, abs=1e-6)
    assert scores.mix == pytest.approx(0.25 / 2 ** (bits / 2 + 1), abs=1e-5)


def test_with_the_exact_mend_nothing_is_left_to_learn():
    chosen = practical(20, 0.5, "exact").model_copy(update={"first_batch": None})
    assert ridge_scores(chosen).mix < 1e-12


def test_ridge_after_a_sampled_step_follows_the_rule_for_the_first_batch():
    for bits, p in ((10, 0.5), (20, 0.1)):
        chosen = practical(bits, p).model_copy(
            update={"first_batch": first_batch_for(bits, p, 0.01)}
        )
        found = [ridge_scores(chosen.model_copy(update={"seed": seed})).mix for seed in range(3)]
        assert 0.002 < float(np.median(found)) < 0.03


@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 1000), st.booleans())
def test_the_network_is_its_formula(bits, width, seed, skip):
    generator = torch.Generator().manual_seed(seed)
    network = DenseNetwork(bits, width, skip)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=generator)
    x = torch.randn(3, bits + 1, generator=generator, dtype=torch.float64)
    for row, found in zip(x, network(x).tolist(), strict=True):
        expected = 0.0
        W, u, v, b = (t.tolist() for t in (network.W, network.u, network.v, network.b))  # noqa: N806
        for j in range(width):
            seen = sum(weight * x for weight, x in zip(W[j], row.tolist(), strict=True))
            expected += v[j] * max(seen + b[j], 0.0) + (u[j] * seen if skip else 0.0)
        assert found == pytest.approx(expected)


def test_practical_settings_follow_their_rules():
    assert width_for(30, 0.01) == 241
    assert first_batch_for(10, 0.5, 0.01) == 25_000
    assert practical(50, 0.1).updates == 160_000
    assert practical(20, 0.1, "paper").updates == 100_000
    assert practical(10, 0.0, reference_fraction=0.5).bias_fraction == 0.5
    assert hinges_named("exact").target(10).offset == 6
    assert practical(10, 0.5, "exact").mixture.target == Target.half(10, 0, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bits": 7}, "even"),
        ({"bits": 0}, "at least 2"),
        ({"sum_fraction": 0.0}, "vanish at p = 0"),
        ({"reference_fraction": 0.0}, "vanish at p = 0"),
        ({"sum_fraction": -0.1}, r"\[0, 1\]"),
        ({"biases": "data-kinks"}, "did you mean data-kink"),
        ({"width": 0}, "width must be at least 1"),
        ({"first_batch": 0}, "first_batch must be at least 1"),
        ({"batch": -1}, "batch must be at least 1"),
        ({"updates": 0}, "updates must be at least 1"),
        ({"momentum": 1.0}, "momentum"),
        ({"average_from": 1.0}, "average_from"),
        ({"step_scale": 0.0}, "step_scale"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_that_cannot_run_are_refused_with_the_reason(changes, reason):
    with pytest.raises(UserError, match=reason):
        small(**changes)


def test_ridge_needs_examples():
    with pytest.raises(UserError, match="examples"):
        ridge_scores(small(), 0)
