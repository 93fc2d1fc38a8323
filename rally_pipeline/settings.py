"""Every knob of the project, typed, read from ``RALLY_*``; nothing else reads the environment.

Belongs here: settings and the paths that follow from them. Does not belong here: opening anything they point to.
"""

from __future__ import annotations

import datetime as dt
import getpass
import os
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rally_pipeline.errors import UsageError

#: User and password in a URL.
_CREDENTIALS = re.compile(r"(?<=//)[^/?#@\s\"']+@")
MASK = "***"
#: What the services that are named by a URL speak. Dagster's storage works with psycopg2 only, and a bare postgresql://
#: means another driver since SQLAlchemy 2.1.
_SERVICES = {
    "dagster_url": ("postgresql+psycopg2",),
    "celery_broker_url": ("redis", "rediss", "amqp", "amqps", "pyamqp"),
    "celery_backend_url": ("redis", "rediss", "rpc"),
}
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")


class Profile(StrEnum):
    """Whether a warehouse holds demo data or live data; the two never mix."""

    DEMO = "demo"
    LIVE = "live"


class Executor(StrEnum):
    """Where the steps of a run that Dagster launched are executed."""

    IN_PROCESS = "in_process"
    MULTIPROCESS = "multiprocess"
    CELERY = "celery"
    K8S = "k8s"


class Settings(BaseSettings):
    """All settings. Paths are made absolute; the warehouse URL is a secret because it may carry a password."""

    model_config = SettingsConfigDict(env_prefix="RALLY_", frozen=True, extra="ignore")

    home: Path = Field(Path(".rally"), description="Archive, warehouse, inbox, published files and Dagster home.")
    warehouse_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL of SQLite or PostgreSQL; default: HOME/warehouse.sqlite."
    )
    profile: Profile | None = Field(
        None, description="demo or live; default: what the warehouse was made with, and live for a new one."
    )
    dagster_url: SecretStr | None = Field(
        None,
        description="PostgreSQL for Dagster's runs, events and schedules, postgresql+psycopg2://USER@HOST/DATABASE; "
        "default: SQLite files in HOME/dagster.",
    )
    executor: Executor = Field(
        Executor.IN_PROCESS,
        description="Where steps of runs of the UI and the schedules are executed: in_process, multiprocess, celery, "
        "k8s. `rally-pipeline run` always executes its own.",
    )
    celery_broker_url: SecretStr | None = Field(
        None, description="Broker of the Celery workers: redis://HOST:6379/0, amqp://USER@HOST//."
    )
    celery_backend_url: SecretStr | None = Field(
        None, description="Where Celery keeps results; default: the broker if it is Redis, else rpc://."
    )
    upstream_base: str | None = Field(
        None, description="Mirror or proxy: https://HOST/PATH is asked as BASE/HOST/PATH, for every source."
    )
    http_timeout_seconds: float = Field(30.0, gt=0, description="Longest wait for one answer of an upstream.")
    http_attempts: int = Field(4, ge=1, le=10, description="How often a request is tried when trying again may help.")
    http_pace_seconds: float | None = Field(
        None, ge=0, description="Smallest gap between two requests to a host; default: 1, and 0 for this machine."
    )
    http_max_mebibytes: float = Field(64.0, gt=0, description="Largest answer accepted, after decompression.")
    lock_timeout_seconds: float = Field(60.0, gt=0, description="How long a writer waits for another writer.")
    openlineage_disabled: bool = Field(False, description="Tell nobody about runs: no OpenLineage events at all.")
    openlineage_url: str | None = Field(
        None, description="Server that gets OpenLineage events; api/v1/lineage of it unless the URL has a path."
    )
    openlineage_api_key: SecretStr | None = Field(None, description="Sent to that server as a bearer token.")
    openlineage_timeout_seconds: float = Field(
        2.0, gt=0, le=60, description="Longest wait for that server; one that fails gets nothing more in the run."
    )
    openlineage_file: Path | None = Field(
        None, description="File of OpenLineage events, one a day; default: HOME/lineage/openlineage.jsonl."
    )
    openlineage_keep_days: int = Field(30, ge=1, description="How many days the files of events are kept.")
    openlineage_namespace: str = Field(
        "rally_pipeline", min_length=1, description="Namespace of the jobs in OpenLineage events."
    )
    alert_webhook_url: SecretStr | None = Field(
        None, description="Where alerts are posted as JSON that Slack, Mattermost and the like understand."
    )
    alert_smtp_url: SecretStr | None = Field(
        None,
        description="Mail server for alerts: smtp://user:password@host:port (STARTTLS; default port 587), or smtps://.",
    )
    alert_email_to: str | None = Field(None, description="Who gets alerts by mail; several with commas.")
    alert_email_from: str | None = Field(
        None, description="Sender of alerts; default: the first of those who get them."
    )
    alert_ui_url: str | None = Field(None, description="Where people reach the Dagster UI, for links in alerts.")
    alert_timeout_seconds: float = Field(
        10.0, gt=0, le=30, description="Longest that telling all alerts of one look may take, for each target."
    )
    alert_remind_days: float = Field(3.0, gt=0, description="A problem that stays is told again after so many days.")
    alert_heartbeat_hour: int = Field(
        6, ge=0, le=23, description="Hour (UTC) from which the sign of life of a day is sent."
    )
    alert_quarantine_rows: int = Field(
        100, ge=0, description="Undecided rows of a table above which there is an alert."
    )
    alert_horizon_days: int = Field(60, ge=0, description="An alert if a calendar ends in fewer days.")
    alert_late_hours: float = Field(
        12.0, ge=0, description="A session without data is missing so long after its close."
    )
    alert_stale_sessions: int = Field(2, ge=0, description="A mart is stale if it lacks more sessions than these.")
    alert_audits: bool = Field(False, description="Alerts about claims of notes that the warehouse contradicts.")
    keep_runs_days: int = Field(
        90, ge=1, description="Runs that ended so many days ago lose their log; what they made stays known."
    )
    history_start: dt.date | None = Field(
        None,
        description="First market date that is fetched by itself, of every market; default: the first day that was "
        "asked for, and for a new warehouse its last session.",
    )
    user: str | None = Field(
        None, description="Who is said to have released or discarded a row; default: the user of this process."
    )

    @field_validator("home", "openlineage_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator(
        *("dagster_url", "celery_broker_url", "celery_backend_url"),
        *("warehouse_url", "profile", "upstream_base", "user", "history_start"),
        *("openlineage_url", "openlineage_api_key", "openlineage_file"),
        *("alert_webhook_url", "alert_smtp_url", "alert_email_to", "alert_email_from", "alert_ui_url"),
        mode="before",
    )
    @classmethod
    def _blank_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("alert_webhook_url", "alert_smtp_url")
    @classmethod
    def _alert_target(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        schemes = ("smtp", "smtps") if info.field_name == "alert_smtp_url" else ("http", "https")
        if value is None:
            return None
        try:
            parts = urlsplit(value.get_secret_value())
            is_good = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:  # it would say the port, or all of it
            is_good = False
        if not is_good or any(not "!" <= character <= "~" for character in value.get_secret_value()):
            raise ValueError(f"must be {schemes[0]}://HOST or {schemes[1]}://HOST, with anything but letters as %XX")
        return value

    @field_validator("dagster_url", "celery_broker_url", "celery_backend_url")
    @classmethod
    def _service(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        schemes = _SERVICES[info.field_name or ""]
        try:
            is_good = value is None or urlsplit(value.get_secret_value()).scheme in schemes
        except ValueError:  # it would say the port, or all of it
            is_good = False
        if not is_good:
            raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return value

    @field_validator("alert_email_to", "alert_email_from")
    @classmethod
    def _addresses(cls, value: str | None, info: ValidationInfo) -> str | None:
        found = [one.strip() for one in (value or "").split(",")]
        if value is not None and not all(_ADDRESS.fullmatch(one) for one in found):
            raise ValueError("must be addresses as name@host, with commas between them")
        if value is not None and len(found) > 1 and info.field_name == "alert_email_from":
            raise ValueError("must be one address")
        return value

    @field_validator("upstream_base", "openlineage_url", "alert_ui_url")
    @classmethod
    def _http_only(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return None if value is None else value.rstrip("/")

    @model_validator(mode="after")
    def _mail_goes_somewhere(self) -> Settings:
        if self.alert_smtp_url is not None and self.alert_email_to is None:
            raise ValueError("RALLY_ALERT_SMTP_URL needs RALLY_ALERT_EMAIL_TO")
        return self

    @model_validator(mode="after")
    def _celery_has_a_broker(self) -> Settings:
        if self.executor is Executor.CELERY and self.celery_broker_url is None:
            raise ValueError("RALLY_EXECUTOR=celery needs RALLY_CELERY_BROKER_URL")
        return self

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, self.masked(value) if isinstance(value, str) else value

    def masked(self, text: str) -> str:
        """The text without anything that is secret: what is set as a secret, passwords, and logins in URLs."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, MASK)
        return _CREDENTIALS.sub(f"{MASK}@", text)

    def _secrets(self) -> Iterator[str]:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                text = value.get_secret_value()
                if "://" in text:
                    yield from _url_secrets(text, is_path_secret=name == "alert_webhook_url")
                elif len(text) >= _SHORTEST_SECRET:
                    yield text
            elif isinstance(value, str) and "@" in value and "://" in value:
                yield from _url_secrets(value, is_path_secret=False)

    @property
    def alerts_dir(self) -> Path:
        """Where alerts are written, whoever else gets them."""
        return self.home / "alerts"

    @property
    def archive_dir(self) -> Path:
        """Where raw payloads are kept."""
        return self.home / "archive"

    @property
    def cache_dir(self) -> Path:
        """Where is kept what would take long to compute again; may be removed at any time."""
        return self.home / "cache"

    @property
    def inbox_dir(self) -> Path:
        """Where people drop files."""
        return self.home / "inbox"

    @property
    def dagster_home(self) -> Path:
        """Where Dagster keeps runs, events and schedules unless ``DAGSTER_HOME`` says otherwise."""
        return self.home / "dagster"

    @property
    def published_dir(self) -> Path:
        """Where reports and published tables are written."""
        return self.home / "published"

    @property
    def events_file(self) -> Path:
        """Where OpenLineage events are written; the day is put into the name."""
        return self.openlineage_file or self.home / "lineage" / "openlineage.jsonl"

    @property
    def acting_user(self) -> str:
        """Who acts: the setting, or the user of this process as the system knows them."""
        if self.user is not None:
            return self.user
        try:
            return getpass.getuser()
        except (OSError, KeyError):
            # A container may run under a number that has no name.
            return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"

    @property
    def celery_urls(self) -> tuple[str | None, str]:
        """The broker and the place of results, in clear. Never log them: they may carry a password."""
        broker = self.celery_broker_url.get_secret_value() if self.celery_broker_url else None
        if self.celery_backend_url is not None:
            return broker, self.celery_backend_url.get_secret_value()
        return broker, broker if broker and broker.startswith("redis") else "rpc://"

    @property
    def resolved_warehouse_url(self) -> str:
        """The URL in clear, with its default. Never log it: it may carry a password."""
        if self.warehouse_url is not None:
            return self.warehouse_url.get_secret_value()
        return f"sqlite:///{self.home / 'warehouse.sqlite'}"


#: Anything shorter would mask ordinary words.
_SHORTEST_SECRET = 4


def _url_secrets(url: str, *, is_path_secret: bool) -> Iterator[str]:
    """What must not be shown of a URL: its password, as written and as meant; all behind the host of a webhook."""
    try:
        parts = urlsplit(url)
        password = parts.password or ""
    except ValueError:
        yield url
        return
    found = {password, unquote(password)}
    if is_path_secret:
        behind = (parts.path + (f"?{parts.query}" if parts.query else "")).strip("/")
        found |= {behind, unquote(behind), parts.path.strip("/"), parts.path.rpartition("/")[2]}
    yield from (text for text in found if len(text) >= _SHORTEST_SECRET)


def load_settings(**overrides: object) -> Settings:
    """Reads the environment; keyword arguments that are not ``None`` win over it.

    Raises:
        UsageError: a variable has a value that cannot be; the message names it and what is allowed.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if not first["loc"]:  # about several at once; it names them
            raise UsageError(f"settings: {first['msg'].removeprefix('Value error, ')}.") from None
        name = "RALLY_" + "_".join(str(part) for part in first["loc"]).upper()
        raise UsageError(f"setting {name}: {first['msg']}. Fix: correct or unset {name}.") from None
