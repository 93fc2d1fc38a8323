"""Settings: read from RALLY_*, defaults, and errors that name the variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from rally_pipeline.errors import UsageError
from rally_pipeline.settings import Profile, Settings, load_settings
from rally_pipeline.warehouse.engine import normalise_url, open_warehouse


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"RALLY_{name.upper()}", raising=False)


def test_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.home == tmp_path / ".rally"
    assert settings.profile is None
    assert settings.resolved_warehouse_url == f"sqlite:///{tmp_path / '.rally' / 'warehouse.sqlite'}"
    assert settings.archive_dir == tmp_path / ".rally" / "archive"


def test_every_setting_is_read_and_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {
        "HOME": str(tmp_path),
        "WAREHOUSE_URL": "postgresql://u:secret@h/d",
        "PROFILE": "demo",
        "UPSTREAM_BASE": "http://127.0.0.1:9/",
        "HTTP_TIMEOUT_SECONDS": "2.5",
        "HTTP_ATTEMPTS": "1",
        "HTTP_PACE_SECONDS": "0",
        "HTTP_MAX_MEBIBYTES": "0.5",
        "LOCK_TIMEOUT_SECONDS": "1",
    }
    assert {name.lower() for name in values} <= set(Settings.model_fields)
    for name, value in values.items():
        monkeypatch.setenv(f"RALLY_{name}", value)
    settings = load_settings()
    assert settings.profile is Profile.DEMO
    assert settings.upstream_base == "http://127.0.0.1:9"
    assert settings.http_pace_seconds == 0
    assert "secret" not in repr(settings)
    assert "secret" not in str(settings.model_dump())
    assert all(field.description for field in Settings.model_fields.values())


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RALLY_PROFILE", "live")
    assert load_settings(profile=Profile.DEMO).profile is Profile.DEMO
    assert load_settings(profile=None).profile is Profile.LIVE


@pytest.mark.parametrize("name", ["WAREHOUSE_URL", "PROFILE", "UPSTREAM_BASE"])
def test_blank_is_unset(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"RALLY_{name}", "")
    assert getattr(load_settings(), name.lower()) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RALLY_PROFILE", "prod"),
        ("RALLY_UPSTREAM_BASE", "ftp://mirror"),
        ("RALLY_HTTP_ATTEMPTS", "many"),
        ("RALLY_HTTP_ATTEMPTS", "0"),
        ("RALLY_HTTP_TIMEOUT_SECONDS", "-1"),
        ("RALLY_LOCK_TIMEOUT_SECONDS", "0"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=rf"setting {name}: .*Fix: correct or unset {name}\.") as caught:
        load_settings()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://h/d", "postgresql+psycopg2://h/d", "postgresql://u:secret@h:port/d", "duckdb:///x"]
)
def test_a_url_of_no_warehouse(url: str) -> None:
    with pytest.raises(UsageError, match="RALLY_WAREHOUSE_URL") as caught:
        normalise_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_warehouse_needs_a_file(url: str) -> None:
    with pytest.raises(UsageError, match="needs a file"):
        open_warehouse(url)


def test_drivers() -> None:
    assert normalise_url("postgres://h/d").drivername == "postgresql+psycopg"
    assert normalise_url("postgresql://u:p%40@h/d").password == "p@"
    assert normalise_url("sqlite:////tmp/x").drivername == "sqlite+pysqlite"
    assert open_warehouse("postgresql://u:secret@127.0.0.1:1/d").display_url.count("secret") == 0
