"""Each safeguard against a table of cases: what it is shown, whether it passes, and the words it says."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.drift import Verdict
from stream_app.core.kit.days import DAY_MS, HOUR_MS
from stream_app.core.retrain import Flags, ModelConfig, RetrainRules
from stream_app.core.retrain.safeguards import NOT_FOR_MANUAL, SAFEGUARDS, Context, Coverage, PerformanceCheck, ask
from tests.machine.world import MODEL, ON, START

#: a day's coverage that is enough
FULL = Coverage(19_998, 1_000, 950)


def heard(*verdicts: str, last: int = 19_999, version: str = "v1") -> tuple[PerformanceCheck, ...]:
    """Daily performance checks up to the one of date ``last``, by their verdicts; mature days two days before."""
    words = {"drift": "drift", "calm": "no_drift", "none": "insufficient_evidence"}
    first = last + 1 - len(verdicts)
    return tuple(
        PerformanceCheck(day * DAY_MS + 4 * HOUR_MS, day - 2, version, Verdict(words[found]))
        for day, found in enumerate(verdicts, start=first)
    )


def context(model: str = MODEL, flags: Flags = ON, rules: RetrainRules | None = None, **rest: Any) -> Context:
    """One in which every safeguard passes, but for what is said."""
    shown = {
        "nominal_ms": START, "check": "performance", "severity": "HIGH", "labelled": 100, "coverage": FULL,
        "version": "v1", "active": "v1", **rest,
    }  # fmt: skip
    return Context(config=ModelConfig(model, rules or RetrainRules(), flags), **shown)


def scores(**rest: Any) -> Context:
    """One of drift of scores that began on 1 October 2024, at 03:00 of the 4th; outcomes come within a day."""
    return context(**{"check": "statistical", "nominal_ms": START - HOUR_MS, "run_from": 19_997, **rest})


def off(**flags: bool) -> Flags:
    values = {name: getattr(ON, name) for name in ON.__slots__}
    return Flags(**{**values, "environment": "production", **flags})


CASES: list[tuple[str, Context, bool, str]] = [
    ("flags", context(), True, "all on"),
    ("flags", context(flags=off(monitoring=False)), False, "monitoring is off in production"),
    ("flags", context(flags=off(auto_retrain=False, model_type=False)), False, "auto_retrain is off in production"),
    ("flags", context(flags=off(model_type=False)), False, "auto_retrain_conflict is off in production"),
    ("flags", context("fraud:acme", off(tenant=False)), False, "auto_retrain_tenants for acme is off in production"),
    ("flags", context("churn:acme", off(model_type=False)), False, "auto_retrain_types.churn is off in production"),
    ("flags", context(flags=off(performance_drift=False)), False, "performance_drift is off in production"),
    ("flags", context(flags=off(statistical_drift=False)), True, "all on"),
    ("flags", context(flags=off(statistical_drift=False), check="statistical"), False, "statistical_drift is off"),
    ("flags", context(flags=Flags()), False, "auto_retrain is off in production"),
    ("severity", context(), True, "HIGH"),
    ("severity", context(severity="CRITICAL"), True, "CRITICAL"),
    ("severity", context(severity="MEDIUM"), False, "MEDIUM, HIGH is needed"),
    ("severity", context(severity=None), False, "no severity, HIGH is needed"),
    ("maturity", context(), True, "evaluated for drift of scores and hourly drift alone"),
    ("maturity", scores(), False, "labels speak on 2024-10-04"),
    ("maturity", scores(run_from=19_999), False, "labels speak on 2024-10-05"),
    ("maturity", scores(check="performance", hourly=True, run_from=20_000), False, "labels speak on 2024-10-06"),
    ("maturity", scores(nominal_ms=START + 10 * HOUR_MS, hourly=True), False, "labels speak on 2024-10-05"),
    ("maturity", scores(coverage=Coverage(19_998, 1_000, 499)), True, "too few labels come to wait for them"),
    ("maturity", scores(coverage=Coverage(19_998, 1_000, 500)), False, "labels speak"),
    ("maturity", scores(coverage=None), True, "too few labels"),
    ("maturity", scores(coverage=Coverage(19_998, 0, 0)), True, "too few labels"),
    ("maturity", scores(heard=heard("drift")), False, "drift in the performance check of 2024-10-03 speaks for itself"),
    ("maturity", scores(heard=heard("calm")), False, "no drift in the performance check of 2024-10-03"),
    ("maturity", scores(heard=heard("calm"), run_from=19_998), False, "labels speak on 2024-10-04"),
    ("maturity", scores(heard=heard("drift", version="v0")), False, "labels speak"),
    ("maturity", scores(heard=heard("drift", last=20_000)), False, "labels speak"),
    ("maturity", scores(heard=heard("none", "none"), run_from=19_996), False, "labels speak on 2024-10-04"),
    ("maturity", scores(heard=heard("none", "none", "none"), run_from=19_995), True, "3 performance checks in a row"),
    ("maturity", scores(heard=heard("none", "none", "none"), run_from=19_996), False, "labels speak"),
    ("maturity", scores(heard=heard("calm", "none", "none"), run_from=19_990), False, "labels have spoken"),
    ("maturity", scores(heard=heard("calm", "none", "none", "none"), run_from=19_990), True, "3 performance checks"),
    ("maturity", scores(heard=heard("drift", "none", "none"), run_from=19_990), False, "speaks for itself"),
    ("maturity", scores(heard=heard("none"), rules=RetrainRules(maturity_checks=1)), True, "1 performance checks"),
    ("cooldown", context(), True, "never trained"),
    ("cooldown", context(last_train_ms=START - 7 * DAY_MS), True, "last trained"),
    ("cooldown", context(last_train_ms=START - 7 * DAY_MS + 1), False, "next at 2024-10-04T04:00:00.001Z"),
    ("cooldown", context(rules=RetrainRules(retrain_cooldown_days=0.5), last_train_ms=START - DAY_MS // 2), True, ""),
    ("cooldown", context(rules=RetrainRules(retrain_cooldown_days=0), last_train_ms=START), True, ""),
    ("samples", context(labelled=100), True, "100 labelled rows in the training range"),
    ("samples", context(labelled=99), False, "99 labelled rows in the training range, 100 are needed"),
    ("coverage", context(), True, "95.0 % of 2024-10-02 is labelled"),
    ("coverage", context(coverage=Coverage(19_998, 1_000, 500)), True, "50.0 %"),
    ("coverage", context(coverage=Coverage(19_998, 1_000, 499)), False, "49.9 % of 2024-10-02 is labelled, 50 % are"),
    ("coverage", context(coverage=Coverage(19_998, 0, 0)), False, "no predictions on 2024-10-02"),
    ("coverage", context(coverage=None), False, "no mature day is known yet"),
    ("coverage", context(faults=("predictions down 60 %",)), False, "predictions down 60 %"),
    ("coverage", context(rules=RetrainRules(min_coverage=0.3), coverage=Coverage(19_998, 10, 3)), True, "30.0 %"),
    ("active_job", context(), True, "none"),
    ("active_job", context(state="halted"), True, "none"),
    ("active_job", context(state="training"), False, "a job is under way: training"),
    ("active_job", context(state="probation"), False, "a job is under way: probation"),
    ("active_job", context(state="failed", backoff_until_ms=START), False, "backing off until 2024-10-04T04:00"),
    ("active_job", context(state="awaiting_approval", asked="train"), True, "none"),
    ("active_job", context(state="awaiting_approval", asked="activate"), False, "under way: awaiting_approval"),
    ("active_job", context(version="v0"), False, "v0 drifted, v1 is active now"),
    ("active_job", context(version=None), True, "none"),
    ("active_job", context(version=None, active=None), False, "no version is active"),
    ("approval", context(), True, "none required, none awaited"),
    ("approval", context(rules=RetrainRules(require_manual_approval=True)), False, "a person must approve"),
    ("approval", context(asked="train"), False, "a person is asked already: to train"),
    ("approval", context(asked="activate"), False, "a person is asked already: to activate"),
    ("circuit", context(), True, "closed, 0 failures in a row"),
    ("circuit", context(failures=1), True, "closed, 1 failures in a row"),
    ("circuit", context(circuit_open=True, failures=2), False, "open after 2 failed or rolled-back trainings in a row"),
]


@pytest.mark.parametrize(("name", "shown", "passed", "words"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_a_safeguard_says_whether_and_why(name: str, shown: Context, passed: bool, words: str) -> None:
    answer = SAFEGUARDS[name](shown)
    assert (answer.name, answer.passed) == (name, passed)
    assert words in answer.reason
    assert answer.values, "the values it saw are missing"


def test_every_safeguard_has_a_case_on_either_side() -> None:
    assert {(name, passed) for name, _, passed, _ in CASES} == {(n, p) for n in SAFEGUARDS for p in (True, False)}


def test_safeguards_stand_in_the_contracts_order_and_all_are_always_asked() -> None:
    nothing = context(
        flags=Flags(), severity="MEDIUM", labelled=0, faults=("outcomes missing",), state="training",
        asked="activate", circuit_open=True, last_train_ms=START, hourly=True,
    )  # fmt: skip
    answers = ask(nothing)
    sent = ["flags", "severity", "maturity", "cooldown", "samples", "coverage", "active_job", "approval", "circuit"]
    assert [a.name for a in answers] == sent
    assert not any(a.passed for a in answers)


def test_a_manual_command_skips_flags_severity_and_approval_and_says_what_they_would_have_said() -> None:
    nothing = context(
        flags=Flags(), severity=None, labelled=0, coverage=None, state="training", asked="activate",
        circuit_open=True, last_train_ms=START, skipped=NOT_FOR_MANUAL,
    )  # fmt: skip
    answers = {a.name: a for a in ask(nothing)}
    assert {name for name, a in answers.items() if a.passed} == {"flags", "severity", "maturity", "approval"}
    text = "not evaluated for a manual command; otherwise: auto_retrain is off in production"
    assert answers["flags"].reason == text
