"""Rules of types and models, what is static, the hash, and that every setting explains itself."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stream_app.core.alerts.rules import AlertRules
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.retrain import RetrainRules
from stream_app.settings import Settings, TypeSettings, settings_hash
from stream_app.settings.installation import Installation
from stream_app.stage_configs import labels_config, metrics_config, retrain_config
from tests.support.flags import may_retrain

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _nobody_elses_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("PLUMBLINE_"):
            monkeypatch.delenv(name)


def test_the_numbers_are_those_of_the_contract() -> None:
    found = Settings()
    conflict, fraud, other = found.for_type("conflict"), found.for_type("fraud"), found.for_type("churn")
    assert (conflict.scope, fraud.scope, other.scope) == ("global", "tenant", "auto")
    assert conflict.performance_metrics == other.performance_metrics == ("accuracy", "precision")
    assert fraud.performance_metrics == ("precision", "recall", "pr_auc")
    assert (conflict.rollback_metrics, fraud.rollback_metrics) == (("accuracy",), ("pr_auc", "recall"))
    assert conflict.validation_floors == {"accuracy": 0.70, "precision": 0.60}
    assert fraud.validation_floors == {"pr_auc": 0.70, "precision_at_80_recall": 0.50}
    assert other.validation_floors == {}
    assert (conflict.primary_metric, fraud.primary_metric, other.primary_metric) == ("accuracy", "pr_auc", "first")
    expected: dict[str, Any] = {
        "label_delay_days": 1, "pending_horizon_days": 60, "early_outcome_days": 7, "max_prediction_age_days": 90,
        "future_tolerance_s": 300, "cell_retention_days": 90, "unlabelled_as": "unknown", "min_coverage": 0.5,
        "recent_days": 7, "baseline_start_days": 30, "baseline_end_days": 60, "narrow_interval_below": 0.2,
        "degraded_points": 10, "observed_min_predictions": 30, "observed_share": 2 / 3,
        "observed_daily_predictions": 10, "observed_days": 7, "observed_pause_h": 72, "ks_min_samples": 30,
        "ks_p_value": 0.01, "ks_min_distance": 0.05, "ks_high_bound": 0.1, "ks_critical_bound": 0.2,
        "ks_one_day_bound": 0.3, "ks_band": 1.3581, "bound_z": 2.326348, "drop_points": 5, "drop_high_points": 10,
        "drop_critical_points": 20, "drop_min_denominator": 30, "dispersion_min_days": 7, "recent_min_judged_days": 4,
        "initial_baseline_days": 7, "weekend": ("saturday", "sunday"), "like_days_scores": 2, "like_days_labels": 5,
        "quality_volume_pct": 50, "quality_positive_rate_points": 5,
        "quality_calibration_drop": 0.05, "quality_interval_width_pct": 25, "quality_narrow_points": 20,
        "alert_gap_h": 24, "alert_reminder_h": 24, "alert_escalate_critical_h": 4, "alert_escalate_high_h": 24,
        "alert_resolve_closes": 2, "alert_no_evidence_closes": 14, "retrain_cooldown_days": 7,
        "retrain_min_samples": 100, "retrain_range_days": 30, "holdout_share": 0.2, "approval_lapses_h": 72,
        "circuit_failures": 2, "command_accept_min": 10, "command_finish_h": 6, "command_attempts": 3,
        "validation_min_gain_points": 0, "maturity_checks": 3, "retrain_ranges": ("onset", "30d", "all"),
        "retrain_all_days": 180, "retrain_max_rows": 200_000, "holdout_min_rows": 100, "holdout_min_class": 30,
        "holdout_max_days": 30, "retrain_policies": ("drift",), "retrain_every_days": 20, "retrain_at_once": 4,
        "probation_dispersion_days": 14,
        "probation_first_look_h": 24, "probation_days": 14,
        "probation_drop_points": 5, "probation_min_labelled": 100, "probation_min_denominator": 30,
        "probation_previous_days": 7, "input_partitions": 12, "model_partitions": 4, "max_record_bytes": 1_048_576,
        "session_timeout_s": 6, "transaction_timeout_s": 10, "web_host": "127.0.0.1", "web_port": 6066,
    }  # fmt: skip
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_model_goes_over_its_type_over_what_is_built_in_over_all() -> None:
    found = Settings(
        label_delay_days=2,
        performance_metrics=("f1",),
        recent_days=5,
        types={"fraud": {"label_delay_days": 3, "alert_gap_h": 48}},
        models={"fraud:acme": {"label_delay_days": 4}},
    )
    assert found.for_model("fraud:acme").label_delay_days == 4
    assert found.for_model("fraud:acme").alert_gap_h == 48
    assert found.for_model("fraud:other").label_delay_days == found.for_type("fraud").label_delay_days == 3
    assert found.for_model("churn:acme").label_delay_days == found.label_delay_days == 2
    assert found.for_model("fraud:acme").performance_metrics == ("precision", "recall", "pr_auc")
    assert found.for_model("churn:acme").performance_metrics == ("f1",)
    assert {found.for_model(model).recent_days for model in ("fraud:acme", "conflict:global", "churn:x")} == {5}


def test_horizons_are_those_of_all_types_together() -> None:
    found = Settings(types={"fraud": {"pending_horizon_days": 120}, "churn": {"pending_horizon_days": 5}})
    assert (found.min_horizon_days, found.max_horizon_days) == (5, 120)
    assert Settings(pending_horizon_days=2).max_horizon_days == 7  # early outcomes wait for a week


@pytest.mark.parametrize(
    ("given", "model", "may"),
    [
        ({}, "conflict:global", True),
        ({}, "fraud:acme", True),
        ({"monitoring": False}, "fraud:acme", False),
        ({"auto_retrain": False}, "fraud:acme", False),
        ({"auto_retrain_fraud": False}, "fraud:acme", False),
        ({"auto_retrain_fraud": False}, "conflict:global", True),
        ({"auto_retrain_tenants": ("acme",)}, "fraud:acme", True),
        ({"auto_retrain_tenants": ("acme",)}, "fraud:other", False),
        ({"auto_retrain_tenants": ()}, "fraud:acme", False),
        ({"auto_retrain_tenants": ()}, "conflict:global", True),
        ({}, "churn:acme", False),
        ({"auto_retrain_types": {"churn": True}}, "churn:acme", True),
    ],
)
def test_flags_allow_a_model_only_together(given: dict[str, Any], model: str, may: bool) -> None:
    on = {
        "auto_retrain": True,
        "auto_retrain_conflict": True,
        "auto_retrain_fraud": True,
        "auto_retrain_tenants": ("*",),
    }
    assert may_retrain(Settings(**{**on, **given}), model) is may


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().web_port = 1
    with pytest.raises(ValidationError, match="frozen"):
        Settings().for_type("fraud").recent_days = 1


def test_the_static_view_names_all_that_state_is_built_with() -> None:
    view = Settings(types={"churn": {"scope": "tenant", "pending_horizon_days": 9}}).static_view()
    assert view == {
        "scope": "auto", "pending_horizon_days": "60", "input_partitions": "12", "model_partitions": "4",
        "early_outcome_days": "7", "max_prediction_age_days": "90", "cell_retention_days": "90",
    }  # fmt: skip


_OTHER: dict[str, Any] = {
    "kafka_bootstrap": "b:1", "kafka_sasl_username": "me", "redis_url": "redis://b:1/0", "redis_password": "x",
    "kafka_sasl_password": "x", "kafka_ssl_key_password": "x", "redis_ssl_cafile": "x", "data_dir": "x",
    "input_prefix": "x.", "output_prefix": "x.", "app_id": "x", "clock": "follow", "environment": "staging",
    "registry_trust": True, "replication_factor": 3, "session_timeout_s": 7, "transaction_timeout_s": 7,
    "checkpoint_interval_ms": 7,
    "max_checkpoint_events": 7, "cells_per_checkpoint": 7, "max_poll_records": 7, "lane_buffer_bytes": 99_999,
    "web_allowed_hosts": "x.example", "livez_after_s": 7.0, "identity_interval_s": 7.0, "owner_interval_s": 7.0,
    "block_cache_mb": 7, "write_buffer_mb": 7, "web_host": "x", "web_port": 7, "kafka_sasl_mechanism": "PLAIN",
    "dashboard_url": "https://x", "bridge_alertmanager_url": "http://x", "bridge_webhook_url": "http://x",
    "bridge_webhook_secret": "x", "dashboard_host": "x", "dashboard_port": 7, "web_tokens": "x", "web_url": "http://x:1",
    "metrics_host": "x", "metrics_port": 7,
}  # fmt: skip


def test_the_hash_does_not_know_where_or_how_fast_a_process_runs() -> None:
    tested = set(_OTHER) | {"kafka_security_protocol", "kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile"}
    assert tested == set(Installation.model_fields)
    for name, value in _OTHER.items():
        assert Settings(**{name: value}).hash() == Settings().hash(), name


def test_the_hash_knows_everything_a_decision_depends_on() -> None:
    changed: dict[str, Any] = {
        "scope": "tenant", "unlabelled_as": "negative", "performance_metrics": ("f1",), "rollback_metrics": (),
        "validation_floors": {"f1": 0.5}, "primary_metric": "f1", "retrain_policies": ("labels",),
        "retrain_ranges": ("all",), "retrain_all_days": 90,
        "validation_min_gain_points": 1.0,
        "auto_retrain_types": {"churn": True}, "auto_retrain_tenants": ("*",),
        "types": {"churn": {"recent_days": 8}}, "models": {"churn:a": {"recent_days": 8}}, "baseline_start_days": 31,
        "max_record_bytes": 2_048, "owner": "risk", "runbook_url": "https://wiki.example/fraud",
        "hourly_alerts": "off", "ks_high_bound": 0.11, "drop_points": 6, "drop_high_points": 11, "weekend": ("friday",),
    }  # fmt: skip
    hashes = {Settings().hash()}
    names = set(Settings.model_fields) - set(Installation.model_fields)
    for name in names:
        value = getattr(Settings(), name)
        if name not in changed:
            changed[name] = (
                not value if isinstance(value, bool) else value * 1.01 if isinstance(value, float) else value + 1
            )
        hashes.add(Settings(**{name: changed[name]}).hash())
    assert len(hashes) == len(names) + 1


def test_the_hash_is_that_of_the_sorted_content() -> None:
    # sha256sum of {"a":1,"b":[true,null]}
    assert settings_hash({"b": [True, None], "a": 1}) == "1cc69c7fa23616ca"
    assert re.fullmatch("[0-9a-f]{16}", Settings().hash())
    both = {"fraud": {"recent_days": 8}, "churn": {"recent_days": 9}}
    assert Settings(types=both).hash() == Settings(types=dict(reversed(both.items()))).hash()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_explains_itself(name: str) -> None:
    field = Settings.model_fields[name]
    assert field.description
    assert field.description.endswith((".", "file."))
    assert len(field.description) > 10
    unit = re.search(r"_(days|h|min|s|ms|mb|bytes|pct|points)$", name)
    words = {
        "days": "ays", "h": "ours", "min": "inutes", "s": "econds", "ms": "illiseconds", "mb": "MiB", "bytes": "ytes",
        "pct": "percent", "points": "oints",
    }  # fmt: skip
    if unit:
        assert words[unit[1]] in field.description, "the unit is missing"


def test_numbers_have_bounds() -> None:
    for name, field in {**Settings.model_fields, **TypeSettings.model_fields}.items():
        if field.annotation in (int, float):
            kinds = {type(item).__name__ for item in field.metadata}
            assert kinds & {"Ge", "Gt"}, name
            assert kinds & {"Le", "Lt"}, name


def test_settings_that_nothing_reads_say_so_and_the_others_are_read() -> None:
    package = ROOT / "stream_app" / "settings"
    paths = [path for folder in ("stream_app", "agents") for path in (ROOT / folder).rglob("*.py")]
    outside = "".join(p.read_text() for p in paths if p.parent != package and p != ROOT / "stream_app/cli/settings.py")
    inside = (package / "installation.py").read_text() + (package / "model.py").read_text()
    # thresholds reach the stages by their own names
    handed_on = {
        field.name for kind in (ComparisonRules, AlertRules, RetrainRules) for field in dataclasses.fields(kind)
    }
    for name in Settings.model_fields:
        read = re.search(rf"(\bsettings|\bknown|\))\.{name}\b|\bof\[\"{name}\"\]", outside)
        if name != "environment":  # chooses the profile
            assert read or name in handed_on or re.search(rf"\b(self|rules|t)\.{name}\b", inside), (
                f"nothing reads {name}"
            )


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
def test_the_coordinator_knows_the_environment(environment: Any) -> None:
    flags = retrain_config(Settings(environment=environment), "ml.training-results").rules("conflict:global").flags
    assert flags.environment == environment


def test_the_coordinators_numbers_are_those_of_the_model() -> None:
    found = Settings(retrain_cooldown_days=3, models={"fraud:acme": {"retrain_cooldown_days": 1}})
    rules = retrain_config(found, "ml.training-results").rules
    assert rules("fraud:acme").rules.retrain_cooldown_days == 1
    assert rules("fraud:other").rules.retrain_cooldown_days == 3
    assert rules("fraud:other").rules.validation_floors == {"pr_auc": 0.70, "precision_at_80_recall": 0.50}
    assert RetrainRules() == retrain_config(Settings(), "t").rules("churn:acme").rules, (
        "the defaults stand in one place"
    )


def test_what_the_stages_get_is_what_was_set() -> None:
    found = Settings(
        types={"fraud": {"pending_horizon_days": 9, "unlabelled_as": "negative", "unlabelled_after_days": 5}},
        models={"fraud:acme": {"label_delay_days": 3}},
        narrow_interval_below=0.1,
    )
    labels, metrics = labels_config(found), metrics_config(found)
    assert (labels.rules("fraud").scope, labels.rules("fraud").horizon_days) == ("tenant", 9)
    assert labels.narrow_below == 0.1
    assert (metrics.rules("fraud:acme").label_delay_days, metrics.rules("fraud:b").label_delay_days) == (3, 1)
    assert metrics.rules("fraud:b").assume_after_days == 5
    assert metrics.rules("churn:b").assume_after_days is None
    assert metrics.rules("fraud:acme").comparison.performance_metrics == ("precision", "recall", "pr_auc")
