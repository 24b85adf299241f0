"""Environment over file over profile; whatever is unusable is refused with its key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stream_app import settings as settings_module
from stream_app.cli.settings import settings as command
from stream_app.errors import Incompatible
from stream_app.settings import PROFILES, Settings, find, load
from tests.support.flags import may_retrain

Write = Any


@pytest.fixture(autouse=True)
def _nobody_elses_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.upper().startswith("PLUMBLINE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write ./plumbline.toml."""
    return (tmp_path / "plumbline.toml").write_text


def test_production_is_the_default_and_never_retrains_by_itself() -> None:
    found = load()
    assert found.environment == "production"
    assert not may_retrain(found, "conflict:global")
    assert not may_retrain(found, "fraud:acme")
    assert (found.retrain_min_samples, found.retrain_cooldown_days) == (100, 7)


def test_profiles_differ_as_the_contract_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_ENVIRONMENT", "development")
    found = load()
    assert may_retrain(found, "conflict:global")
    assert may_retrain(found, "fraud:acme")
    assert not may_retrain(found, "churn:acme")
    assert (found.retrain_min_samples, found.retrain_cooldown_days) == (30, 1)
    monkeypatch.setenv("PLUMBLINE_ENVIRONMENT", "staging")
    found = load()
    assert not may_retrain(found, "conflict:global")
    assert may_retrain(found, "fraud:acme")
    assert (found.retrain_min_samples, found.retrain_cooldown_days) == (100, 7)


def test_every_profile_holds_settings_that_can_be_used() -> None:
    for name, profile in PROFILES.items():
        assert Settings(environment=name, **profile).environment == name  # type: ignore[arg-type]


def test_each_source_goes_over_the_one_below(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    assert load().retrain_min_samples == 100
    write('environment = "development"\n')
    assert load().retrain_min_samples == 30
    write('environment = "development"\nretrain_min_samples = 40\n')
    assert load().retrain_min_samples == 40
    monkeypatch.setenv("PLUMBLINE_RETRAIN_MIN_SAMPLES", "50")
    assert load().retrain_min_samples == 50
    assert load({"retrain_min_samples": 60}).retrain_min_samples == 60


def test_the_environment_names_the_profile_over_the_file(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    write('environment = "development"\n')
    monkeypatch.setenv("PLUMBLINE_ENVIRONMENT", "production")
    assert load().retrain_min_samples == 100
    assert load({"environment": "development"}).retrain_min_samples == 30


def test_who_set_a_value_is_known(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    write("label_delay_days = 3\nrecent_days = 5\n")
    monkeypatch.setenv("PLUMBLINE_ENVIRONMENT", "development")
    monkeypatch.setenv("PLUMBLINE_RECENT_DAYS", "6")
    origin = find({"app_id": "x"}).origin
    assert origin["label_delay_days"] == "plumbline.toml"
    assert origin["recent_days"] == "PLUMBLINE_RECENT_DAYS"
    assert origin["auto_retrain"] == "profile development"
    assert origin["app_id"] == "the command"
    assert "web_port" not in origin


def test_the_file_is_the_named_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write: Write) -> None:
    write("web_port = 1\n")
    other = tmp_path / "other.toml"
    other.write_text("web_port = 2\n")
    monkeypatch.setenv("PLUMBLINE_CONFIG", str(other))
    assert load().web_port == 2
    monkeypatch.setenv("PLUMBLINE_CONFIG", str(tmp_path / "gone.toml"))
    with pytest.raises(Incompatible, match=r"PLUMBLINE_CONFIG names .*gone\.toml, which is not a file"):
        load()


def test_the_names_that_are_fixed_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "KAFKA_BOOTSTRAP": "a:1,b:2", "REDIS_URL": "rediss://c:3/0", "DATA_DIR": "d", "INPUT_PREFIX": "in.",
        "OUTPUT_PREFIX": "out.", "APP_ID": "e", "ENVIRONMENT": "staging",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(f"PLUMBLINE_{name}", value)
    found = load()
    assert {name: str(getattr(found, name.lower())) for name in given} == given


def test_a_variable_about_one_type_leaves_the_others_of_the_file(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    write("[types.fraud]\nlabel_delay_days = 3\nrecent_days = 5\n[types.churn]\nlabel_delay_days = 4\n")
    monkeypatch.setenv("PLUMBLINE_TYPES", '{"fraud":{"label_delay_days":6}}')
    found = load()
    assert (found.for_type("fraud").label_delay_days, found.for_type("fraud").recent_days) == (6, 5)
    assert found.for_type("churn").label_delay_days == 4


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("PLUMBLINE_APPID", "x", "unknown environment variable PLUMBLINE_APPID, did you mean PLUMBLINE_APP_ID"),
        ("PLUMBLINE_KAFKA_BOOTSTRAPS", "x", "did you mean PLUMBLINE_KAFKA_BOOTSTRAP"),
        ("PLUMBLINE_VALIDATION_MAX_LOSS_POINTS", "1", "PLUMBLINE_VALIDATION_MIN_GAIN_POINTS has taken its place"),
        ("PLUMBLINE_QWXZ", "x", "unknown environment variable PLUMBLINE_QWXZ"),
        ("plumbline_app_id", "x", "write it in capitals, PLUMBLINE_APP_ID"),
        ("PLUMBLINE_ENVIRONMENT", "prod", "environment: Input should be 'development', 'staging' or 'production'"),
        ("PLUMBLINE_ENVIRONMENT", "", "environment: "),
        ("PLUMBLINE_KAFKA_BOOTSTRAP", "", "kafka_bootstrap: "),
        ("PLUMBLINE_KAFKA_BOOTSTRAP", "localhost", "kafka_bootstrap: write it as host:port"),
        ("PLUMBLINE_KAFKA_BOOTSTRAP", "a:1, b:2", "kafka_bootstrap: write it as host:port"),
        ("PLUMBLINE_KAFKA_BOOTSTRAP", "kafka://a:1", "kafka_bootstrap: write it as host:port"),
        ("PLUMBLINE_REDIS_URL", "localhost:6379", "redis_url: "),
        ("PLUMBLINE_DATA_DIR", "", "data_dir: it is empty"),
        ("PLUMBLINE_APP_ID", "", "app_id: it is empty"),
        ("PLUMBLINE_APP_ID", "a/b", "app_id: "),
        ("PLUMBLINE_INPUT_PREFIX", "a b", "input_prefix: "),
        ("PLUMBLINE_INPUT_PARTITIONS", "0", "input_partitions: "),
        ("PLUMBLINE_INPUT_PARTITIONS", "many", "input_partitions: "),
        ("PLUMBLINE_INPUT_PARTITIONS", "", "input_partitions: "),
        ("PLUMBLINE_FUTURE_TOLERANCE_S", "nan", "future_tolerance_s: "),
        ("PLUMBLINE_FUTURE_TOLERANCE_S", "inf", "future_tolerance_s: "),
        ("PLUMBLINE_WEB_PORT", "65536", "web_port: "),
        ("PLUMBLINE_AUTO_RETRAIN", "perhaps", "auto_retrain: "),
        ("PLUMBLINE_AUTO_RETRAIN_TENANTS", "acme", "PLUMBLINE_AUTO_RETRAIN_TENANTS has to be JSON"),
        ("PLUMBLINE_AUTO_RETRAIN_TENANTS", '["a b"]', "auto_retrain_tenants: 'a b' is no name"),
        ("PLUMBLINE_TYPES", "{", "PLUMBLINE_TYPES has to be JSON"),
        ("PLUMBLINE_TYPES", "[]", "types: "),
    ],
)
def test_an_unusable_variable_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Incompatible) as caught:
        load()
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kafka_bootsrap = 'a:1'", "unknown setting 'kafka_bootsrap', did you mean kafka_bootstrap?"),
        ("[kafka]\nbootstrap = 'a:1'", "unknown setting 'kafka'"),
        ("web_port = ", "plumbline.toml is not TOML"),
        ("web_port = 1\nweb_port = 2", "plumbline.toml is not TOML"),
        ("web_port = true", "web_port: a number is needed, not true or false (set by plumbline.toml)"),
        ("future_tolerance_s = nan", "future_tolerance_s: "),
        ("label_delay_days = 61", "label_delay_days: "),
        ("label_delay_days = 1.5", "label_delay_days: "),
        ("performance_metrics = []", "performance_metrics: "),
        ("performance_metrics = ['accurracy']", "performance_metrics.0: "),
        ("validation_floors = { accuracy = 70 }", "validation_floors.accuracy: "),
        ("validation_floors = { accurracy = 0.7 }", "validation_floors.accurracy"),
        ("baseline_start_days = 60", "baseline_end_days must be above baseline_start_days"),
        ("baseline_end_days = 91", "baseline_end_days is above cell_retention_days, 90"),
        ("recent_days = 3", "recent_min_judged_days is more than recent_days, 3"),
        ("drop_high_points = 30", "drop_critical_points must be above drop_high_points"),
        ("types = 5", "types: "),
        ("validation_max_loss_points = 1", "validation_min_gain_points has taken its place"),
        ("[types.fraud]\nvalidation_max_loss_points = 1", "validation_min_gain_points has taken its place"),
        ("[types.fraud]\nscoppe = 'global'", "types.fraud.scoppe: unknown setting, did you mean scope?"),
        ("[types.fraud]\nweb_port = 1", "types.fraud.web_port: unknown setting"),
        ("[types.fraud]\nlabel_delay_days = 99", "types.fraud.label_delay_days: "),
        ("[types.fraud]\nlabel_delay_days = true", "types.fraud.label_delay_days: a number is needed"),
        ("[types.fraud]\nbaseline_end_days = 91", "types.fraud: baseline_end_days is above cell_retention_days"),
        ("[types.fraud]\nnarrow_interval_below = 0.1", "narrow_interval_below: this can only be set for all models"),
        ("[types.'a b']\nrecent_days = 8", "is no name of a model type"),
        ("[models.fraud]\nrecent_days = 8", 'models."fraud": a model is written TYPE:TENANT'),
        ("[models.'fraud:a:b']\nrecent_days = 8", "a model is written TYPE:TENANT"),
        ("[models.'fraud:acme']\nscope = 'auto'", "scope: this can only be set for a whole model type"),
        ("[models.'fraud:acme']\npending_horizon_days = 9", "this can only be set for a whole model type"),
        ("[models.'fraud:global']\nrecent_days = 8", "fraud is per tenant, so there is no model fraud:global"),
        ("[models.'conflict:acme']\nrecent_days = 8", "conflict is global, its only model is conflict:global"),
        ("[models.'fraud:acme']\nbaseline_end_days = 91", 'models."fraud:acme": baseline_end_days is above'),
        ("kafka_security_protocol = 'SASL_SSL'", "kafka_sasl_username and kafka_sasl_password are needed"),
        ("kafka_ssl_cafile = 'ca.pem'", "kafka_ssl_cafile is set and kafka_security_protocol is PLAINTEXT"),
    ],
)
def test_an_unusable_file_is_refused_by_key(write: Write, text: str, says: str) -> None:
    write(text + "\n")
    with pytest.raises(Incompatible) as caught:
        load()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "label_delay_days = 60",
        "web_port = 0",
        "output_prefix = ''",
        "kafka_bootstrap = '[::1]:9092,kafka-2.example.org:9093'",
        "baseline_end_days = 90",
        "[types.fraud]\nlabel_delay_days = 0",
        "[types.new-type]\nscope = 'tenant'",
        "[types.fraud]\npending_horizon_days = 365",
        "[models.'fraud:acme']\nlabel_delay_days = 9",
        "[models.'conflict:global']\nlabel_delay_days = 9",
        "[models.'churn:acme']\nrecent_days = 8",
        "[models.'churn:global']\nrecent_days = 8",
        "validation_floors = { accuracy = 1 }",
        "[auto_retrain_types]\nchurn = true",
        "auto_retrain_tenants = ['*']",
    ],
)
def test_what_is_just_usable_is_taken(write: Write, text: str) -> None:
    write(text + "\n")
    assert isinstance(load(), Settings)


@pytest.mark.parametrize("key", ["kafka_sasl_password", "redis_password", "kafka_ssl_key_password"])
def test_secrets_are_taken_from_the_environment_only(monkeypatch: pytest.MonkeyPatch, write: Write, key: str) -> None:
    write(f'{key} = "hunter2"\n')
    with pytest.raises(Incompatible, match=f"{key} holds a secret; .* PLUMBLINE_{key.upper()}") as caught:
        load()
    assert "hunter2" not in str(caught.value)
    write("")
    monkeypatch.setenv(f"PLUMBLINE_{key.upper()}", "hunter2")
    assert getattr(load(), key).get_secret_value() == "hunter2"


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@h:1/0", "rediss://me:hunter2@h/0", "redis://h/0?password=hunter2&db=1"]
)
def test_a_secret_in_an_address_is_one(monkeypatch: pytest.MonkeyPatch, write: Write, url: str) -> None:
    write(f'redis_url = "{url}"\n')
    with pytest.raises(Incompatible, match="redis_url holds a secret") as caught:
        load()
    assert "hunter2" not in str(caught.value)
    write("")
    monkeypatch.setenv("PLUMBLINE_REDIS_URL", url)
    assert load().redis_url == url
    assert "hunter2" not in str(load().shown())


def test_secrets_are_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_SASL_PASSWORD", "REDIS_PASSWORD", "KAFKA_SSL_KEY_PASSWORD"):
        monkeypatch.setenv(f"PLUMBLINE_{name}", "hunter2")
    monkeypatch.setenv("PLUMBLINE_REDIS_URL", "redis://:hunter2@h:1/0")
    calls = (["show"], ["show", "--json"], ["check"], ["explain", "kafka_sasl_password"], ["explain", "redis_url"])
    for arguments in calls:
        done = CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert done.exit_code == 0
        assert "hunter2" not in done.output
    assert "hunter2" not in repr(load())
    monkeypatch.setenv("PLUMBLINE_WEB_PORT", "many")
    monkeypatch.setenv("PLUMBLINE_KAFKA_SECURITY_PROTOCOL", "hunter2")
    with pytest.raises(Incompatible) as caught:
        load()
    assert "hunter2" not in str(caught.value)


def test_explain_says_what_a_setting_means_who_set_it_and_how(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    write("[types.fraud]\nlabel_delay_days = 3\n")
    monkeypatch.setenv("PLUMBLINE_RECENT_DAYS", "8")

    def explain(key: str) -> str:
        return CliRunner().invoke(command, ["explain", key], catch_exceptions=False).output

    assert "recent_days = 8   (PLUMBLINE_RECENT_DAYS)" in explain("recent_days")
    assert "a week sees every kind of day" in explain("PLUMBLINE_RECENT_DAYS")
    assert "types.fraud.label_delay_days = 3\n" in explain("types.fraud.label_delay_days")
    assert "models.fraud:acme.label_delay_days = 3\n" in explain("models.fraud:acme.label_delay_days")
    assert "fixed for the life of the input prefix" in explain("input_partitions")
    with pytest.raises(Incompatible, match="did you mean recent_days"):
        explain("recent_day")


def test_check_opens_the_files_that_tls_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLUMBLINE_KAFKA_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("PLUMBLINE_KAFKA_SSL_CAFILE", "missing.pem")
    with pytest.raises(Incompatible, match=r"kafka_ssl_cafile names missing\.pem, which cannot be used"):
        CliRunner().invoke(command, ["check"], catch_exceptions=False)
    (tmp_path / "empty.pem").write_text("")
    monkeypatch.delenv("PLUMBLINE_KAFKA_SSL_CAFILE")
    monkeypatch.setenv("PLUMBLINE_KAFKA_SSL_CERTFILE", "empty.pem")
    with pytest.raises(Incompatible, match=r"kafka_ssl_certfile and kafka_ssl_keyfile name empty\.pem and nothing"):
        CliRunner().invoke(command, ["check"], catch_exceptions=False)


def test_kafka_clients_get_what_their_protocol_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().kafka_client_options() == {}
    monkeypatch.setenv("PLUMBLINE_KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("PLUMBLINE_KAFKA_SASL_USERNAME", "me")
    monkeypatch.setenv("PLUMBLINE_KAFKA_SASL_PASSWORD", "hunter2")
    sasl = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "me", "sasl_plain_password": "hunter2"}
    assert load().kafka_client_options() == {"security_protocol": "SASL_PLAINTEXT", **sasl}
    monkeypatch.setenv("PLUMBLINE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    options = load().kafka_client_options()
    context = options.pop("ssl_context")
    assert options == {"security_protocol": "SASL_SSL", **sasl}
    assert context.check_hostname


def test_the_module_names_what_others_import() -> None:
    assert settings_module.PREFIX == "PLUMBLINE_"
    assert settings_module.nearest("app_i", ["app_id"]) == ", did you mean app_id?"
