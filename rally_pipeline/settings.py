"""Every knob of the project, typed, read from ``RALLY_*``; nothing else reads the environment.

Belongs here: settings and the paths that follow from them. Does not belong here: opening anything they point to.
"""

from __future__ import annotations

import getpass
import os
from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rally_pipeline.errors import UsageError


class Profile(StrEnum):
    """Whether a warehouse holds demo data or live data; the two never mix."""

    DEMO = "demo"
    LIVE = "live"


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
    user: str | None = Field(
        None, description="Who is said to have released or discarded a row; default: the user of this process."
    )

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("warehouse_url", "profile", "upstream_base", "user", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("upstream_base")
    @classmethod
    def _http_only(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return None if value is None else value.rstrip("/")

    @property
    def archive_dir(self) -> Path:
        """Where raw payloads are kept."""
        return self.home / "archive"

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
    def resolved_warehouse_url(self) -> str:
        """The URL in clear, with its default. Never log it: it may carry a password."""
        if self.warehouse_url is not None:
            return self.warehouse_url.get_secret_value()
        return f"sqlite:///{self.home / 'warehouse.sqlite'}"


def load_settings(**overrides: object) -> Settings:
    """Reads the environment; keyword arguments that are not ``None`` win over it.

    Raises:
        UsageError: a variable has a value that cannot be; the message names it and what is allowed.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "RALLY_" + "_".join(str(part) for part in first["loc"]).upper()
        raise UsageError(f"setting {name}: {first['msg']}. Fix: correct or unset {name}.") from None
