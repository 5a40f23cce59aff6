"""The table of statements: true rows hold, and a wrong statement is seen to fail."""

import pytest

from waymarks.theory import hinges, span, verify
from waymarks.theory.verify import CHECKS, Finding, rows


@pytest.fixture(scope="module")
def table():
    return list(rows())


def test_every_row_holds_as_documented(table):
    corrected = {"Lemma 2", "Lemma 3", "Lemma 4", "Lemma 5", "Theorem 1"}
    assert [row.statement for row in table] == list(CHECKS)
    for row in table:
        needs_one = row.statement.split(":")[0] in corrected
        assert row.verdict == ("holds with a correction" if needs_one else "holds"), row


def test_a_verdict_follows_from_what_was_found():
    assert Finding(as_stated=True, evidence="").verdict == "holds"
    assert Finding(as_stated=True, corrected=False, evidence="").verdict == "holds"
    assert (
        Finding(as_stated=False, corrected=True, evidence="").verdict == "holds with a correction"
    )
    assert Finding(as_stated=False, corrected=False, evidence="").verdict == "fails"
    assert Finding(as_stated=False, evidence="").verdict == "fails"


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (hinges.PaperHinges, verify.lemma_4),
        (hinges.PaperHinges, verify.lemma_5),
        (hinges.ExactHinges, verify.exact_mend),
        (hinges.DataKinkHinges, verify.data_kinks),
    ],
)
@pytest.mark.parametrize(("place", "change"), [(0, lambda nu: -nu), (-1, lambda nu: nu + 1)])
def test_a_wrong_coefficient_makes_the_row_fail(monkeypatch, kind, check, place, change):
    right = kind.coefficients

    def wrong(self, half):
        nu = list(right(self, half))
        nu[place] = change(nu[place])
        return tuple(nu)

    monkeypatch.setattr(kind, "coefficients", wrong)
    assert check().verdict == "fails"


def test_a_missing_exception_makes_the_row_fail(monkeypatch):
    right = span.span_error
    monkeypatch.setattr(verify, "span_error", lambda *given: dict.fromkeys(right(*given), 0))
    assert verify.lemma_5().verdict == "fails"
