"""What holds for many models at once is what holds for each by itself, whoever set it where."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_app.projection.holding import RulesOfMany, rules_of
from stream_app.settings import Settings, base
from stream_app.settings.resolver import values_of

MODELS = ("churn:acme", "churn:bolt", "fraud:acme", "ads:global")
START = Settings(environment="development")
VALUES = {
    "owner": st.sampled_from(["", "ada", "team-1"]), "hourly_alerts": st.sampled_from(["on", "shadow", "off"]),
    "false_alert_budget": st.sampled_from([0.5, 1.0, 20.0]),
}  # fmt: skip
KEYS = [
    *(("*", name) for name in VALUES), *(("*", f"types.{of}.{name}") for of in ("churn", "fraud") for name in VALUES),
    *((model, name) for model in MODELS for name in VALUES),
]  # fmt: skip


@given(st.data())
def test_what_holds_for_many_is_what_holds_for_each(data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=8))
    records = [{"model": owner, "key": key, "value": data.draw(VALUES[key.rpartition(".")[2]])} for owner, key in keys]
    start = values_of(base(START))
    many = RulesOfMany(records, start, ())
    for model in data.draw(st.permutations(MODELS)):
        alone = rules_of(model, records, start)
        assert {name: many.of(model)[name] for name in VALUES} == {name: alone[name] for name in VALUES}, model


def test_an_owner_is_the_nearest_that_was_set() -> None:
    said = {"*|owner": "all", "*|types.fraud.owner": "risk", "churn:bolt|owner": "bolt's own"}
    records = [{"model": name.split("|")[0], "key": name.split("|")[1], "value": by} for name, by in said.items()]
    many = RulesOfMany(records, values_of(base(START)), ())
    assert [many.of(model)["owner"] for model in MODELS] == ["all", "bolt's own", "risk", "all"]
