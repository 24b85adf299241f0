"""The KS distance, its p-value, its sketch error and its band, against scipy on raw scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, ks_2samp, kstwo

from stream_app.core.comparisons.kolmogorov import survival
from stream_app.core.comparisons.records import ScoreWindow
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.scores import histogram, lower_bound, score_window, upper_bound
from stream_app.core.counts.summing import total
from tests.unit.comparisons.draws import counts, logits

RULES = ComparisonRules()


def compared(recent: np.ndarray, baseline: np.ndarray, binned: bool) -> ScoreWindow:
    return score_window(0, 7, counts(recent, binned=binned), counts(baseline, binned=binned), RULES)


def samples(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sizes, shapes and shifts of all kinds, with and without ties."""
    n, m = (int(10 ** rng.uniform(1.5, 3.7)) for _ in range(2))
    centre, spread = rng.uniform(-4, 4), rng.uniform(0.05, 2.5)
    shift = rng.choice([0, 0, rng.normal(0, 0.2), rng.normal(0, 1)]) * spread
    a, b = logits(rng, n, centre + shift, spread * rng.choice([1, 1, 1.5])), logits(rng, m, centre, spread)
    digits = int(rng.choice([1, 2, 4, 17]))
    return np.round(a, digits), np.round(b, digits)


@pytest.mark.parametrize("binned", [False, True])
def test_the_bare_rule_says_what_scipy_says_of_the_raw_scores_in_a_thousand_cases(binned: bool) -> None:
    rng = np.random.default_rng(11)
    judged = {True: 0, False: 0}
    for _ in range(1_000):
        a, b = samples(rng)
        window = compared(a, b, binned)
        want = ks_2samp(a, b, method="asymp")
        distance = window.distance / (window.n * window.m)
        assert distance - 1e-12 <= want.statistic <= distance + window.sketch_error + 1e-12
        assert window.p_value is not None
        if not binned:
            assert window.p_value == pytest.approx(want.pvalue, rel=1e-9, abs=1e-300)
        size = round(window.n * window.m / (window.n + window.m))
        highest = kstwo.sf(min(1.0, distance + window.sketch_error), size)
        if (highest < 0.01) == (window.p_value < 0.01):
            assert (window.p_value < 0.01) == (want.pvalue < 0.01)
            judged[bool(want.pvalue < 0.01)] += 1
    assert min(judged.values()) > 200, judged


def test_the_survival_function_is_scipys_own() -> None:
    rng = np.random.default_rng(3)
    for _ in range(1_000):
        size = int(10 ** rng.uniform(0, 4))
        distance = min(1.0, float(rng.uniform(0.05, 6) / np.sqrt(size)))
        assert survival(distance, size) == pytest.approx(kstwo.sf(distance, size), rel=1e-9, abs=1e-300)
    assert survival(0.004, 300_000) == pytest.approx(kstwo.sf(0.004, 300_000), rel=1e-9)
    assert (survival(0.0, 10), survival(1.0, 10)) == (1.0, 0.0)


@pytest.mark.parametrize(("n", "steps"), [(141, 38), (142, 53), (146, 63)])
def test_a_distance_of_whole_steps_ends_in_a_term_that_vanishes(n: int, steps: int) -> None:
    """1 − D − j/n comes out as exactly 0 there, and warnings are errors in these tests."""
    assert 1 - steps / n - (n - steps) / n <= 1e-15
    assert survival(steps / n, n) == pytest.approx(kstwo.sf(steps / n, n), rel=1e-9)


def test_the_distance_is_exact_beyond_64_bits() -> None:
    few, many = counts([0.2, 0.4]), counts([0.3])
    grown = total([few] * 3)
    assert grown.scores.counts.sum() == 6
    a = counts([0.1, 0.9])
    huge = type(a.scores)(a.scores.values, a.scores.counts * 3_000_000_000)
    window = score_window(0, 1, type(a)(a.vector * 3_000_000_000, huge), many, RULES)
    assert window.distance == 3_000_000_000 * 1
    big = type(many.scores)(many.scores.values, many.scores.counts * 4_000_000_000)
    window = score_window(0, 1, type(a)(a.vector, huge), type(a)(many.vector, big), RULES)
    assert window.distance == 3_000_000_000 * 4_000_000_000


def test_an_empty_side_has_no_distance() -> None:
    window = score_window(0, 1, counts([]), counts([0.5]), RULES)
    assert (window.n, window.m, window.p_value, window.recent) == (0, 1, None, None)


def test_the_lower_bound_is_above_the_true_distance_as_rarely_as_it_says() -> None:
    """D between N(0, 1) and N(0.5, 1) in logits is 2Φ(0.25) − 1; the band is two-sided 95 %, the bound one-sided."""
    rng = np.random.default_rng(5)
    true = math.erf(0.25 / math.sqrt(2))
    runs, above, below = 400, 0, 0
    for _ in range(runs):
        window = compared(logits(rng, 700, 0.5, 1), logits(rng, 3_000, 0, 1), False)
        above += lower_bound(window, RULES) > true
        below += upper_bound(window, RULES) < true
    limit = binom.ppf(0.999, runs, 0.05)
    assert above + below <= limit
    print(f"KS band at nominal 95 %: covers {100 - 100 * (above + below) / runs:.1f} % of {runs}")


@pytest.mark.parametrize("binned", [False, True])
def test_histograms_hold_every_score_where_it_belongs(binned: bool) -> None:
    scores = np.concatenate([np.random.default_rng(1).random(5_000), [0.0, 1.0, 0.02, 0.98]])
    found = histogram(counts(scores, binned=binned).scores)
    want = np.histogram(scores, bins=np.arange(51) / 50)[0]
    assert sum(found) == len(scores)
    if not binned:
        assert found == want.tolist()
    assert np.abs(np.cumsum(found) - np.cumsum(want)).max() <= (60 if binned else 0)


def test_sums_of_many_days_are_the_days_added_one_by_one() -> None:
    rng = np.random.default_rng(2)
    days = [counts(np.round(rng.random(60), 2), actual=rng.integers(-1, 2, 60), binned=i == 3) for i in range(6)]
    for chosen in (days, days[:3], days[:1], []):
        want = counts([])
        for day in chosen:
            from stream_app.core.counts.cells import add

            want = add(want, day)
        got = total(chosen)
        assert got.vector.tolist() == want.vector.tolist()
        assert got.scores.values.tolist() == want.scores.values.tolist()
        assert got.scores.counts.tolist() == want.scores.counts.tolist()
        assert got.scores.binned == want.scores.binned
        assert histogram(total(chosen, ordered=False).scores) == histogram(want.scores)
