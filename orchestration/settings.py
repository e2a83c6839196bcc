"""Settings: environment variables JOURNEY_GAPS_* (or .env), each with a command-line flag."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_DIR = Path(__file__).resolve().parent.parent

PUBLICATIONS_KEPT = 14


class Environment(StrEnum):
    """Where a run happens; schedules and sensors are declared per environment."""

    DEV = "dev"
    CI = "ci"
    PROD = "prod"


class Target(StrEnum):
    """The engine that holds the warehouse: a target in profiles.yml."""

    DUCKDB = "duckdb"
    POSTGRES = "postgres"
    SPARK = "spark"

    @property
    def is_server(self) -> bool:
        """Whether others reach it too: it receives what landed, and is claimed for a run."""
        return self is not Target.DUCKDB


class AlertFormat(StrEnum):
    """How an alert is written for the webhook."""

    SLACK = "slack"
    JSON = "json"


class DagsterStorage(StrEnum):
    """Where Dagster keeps its runs, events and schedules."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"


# Also the defaults of profiles.yml.
LIBPQ = {
    "PGHOST": "127.0.0.1",
    "PGPORT": "5432",
    "PGUSER": "journey_gaps",
    "PGDATABASE": "journey_gaps",
}


# A protocol, perhaps of a chain (`zip://::s3://…`); a drive letter is none.
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(//|:)")

# Where runs start by themselves, a file may still be arriving; a person lands what is there.
SETTLE_SECONDS: Mapping[Environment, float] = {
    Environment.DEV: 0,
    Environment.CI: 0,
    Environment.PROD: 60,
}


class Settings(BaseSettings):
    """Everything a run can be told. Paths are absolute after loading."""

    model_config = SettingsConfigDict(
        env_prefix="JOURNEY_GAPS_",
        env_file=PROJECT_DIR / ".env",
        extra="ignore",
        frozen=True,
        # Some are secrets, and an error's text goes to logs.
        hide_input_in_errors=True,
    )

    home: Path = Field(
        default=PROJECT_DIR / ".journey-gaps", description="Folder that holds all a run writes."
    )
    map: Path = Field(
        default=PROJECT_DIR / "seeds" / "journey_map", description="Folder of journey-map CSVs."
    )
    expectations: Path = Field(
        default=PROJECT_DIR / "expectations", description="Folder of Great Expectations suites."
    )
    landing: Path | str | None = Field(
        default=None,
        description="Folder of raw files to land, or a URL that fsspec knows (default: "
        "HOME/landing).",
    )
    landing_settle_seconds: float | None = Field(
        default=None,
        ge=0,
        description="A file modified less than this ago waits for the next run (default: 60 in "
        "prod, else 0).",
    )
    landing_cache_mb: int = Field(
        default=2048, ge=1, description="Copies of remote raw files kept in HOME, megabytes."
    )
    landing_first_day: date = Field(
        default=date(2020, 1, 1), description="First day that the job land_day can land."
    )
    sources: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="Tables of the warehouse to adopt as sources: JSON, see "
        "orchestration/landing/existing.py.",
    )
    as_of: datetime | None = Field(
        default=None, description="UTC; nothing later is seen (default: newest source time)."
    )
    env: Environment = Field(default=Environment.DEV, description="dev, ci or prod.")
    target: Target = Field(default=Target.DUCKDB, description="Engine of the warehouse.")
    postgres_url: SecretStr | None = Field(
        default=None,
        description="postgresql://user@host:port/database (default: libpq's PGHOST and so on).",
    )
    spark_host: str = Field(default="127.0.0.1", description="Host of Spark's Thrift server.")
    spark_port: int = Field(default=10000, ge=1, le=65535, description="Its port.")
    spark_user: str | None = Field(
        default=None, description="Who asks the Thrift server (default: the account that runs)."
    )
    spark_auth: Literal["NONE", "NOSASL", "LDAP", "CUSTOM", "KERBEROS"] | None = Field(
        default=None, description="What the Thrift server authenticates by (default: NONE)."
    )
    spark_password: SecretStr | None = Field(
        default=None, description="For LDAP and CUSTOM; a secret, no flag."
    )
    spark_kerberos_service_name: str | None = Field(
        default=None, description="For KERBEROS: the service's name."
    )
    spark_staging: Path | str | None = Field(
        default=None,
        description="Folder or URL that this machine and Spark both read and write (default: "
        "HOME/spark-staging).",
    )
    spark_buckets: int = Field(
        default=32, ge=1, description="Partitions of a table whose rows are kept by entity."
    )
    lock_timeout_seconds: float = Field(
        default=600, ge=0, description="How long a run waits for another one to finish."
    )
    threads: int = Field(default=4, ge=1, description="dbt threads.")
    memory_limit: str = Field(
        default="3GB",
        description="What DuckDB holds in memory before it spills to disk, such as 3GB.",
    )
    alert_webhook: SecretStr | None = Field(
        default=None, description="http(s) address that alerts are posted to; a secret, no flag."
    )
    alert_format: AlertFormat = Field(
        default=AlertFormat.SLACK, description="slack, or json for a receiver of your own."
    )
    alerts: bool | None = Field(
        default=None, description="Whether the webhook is told (default: as environments declare)."
    )
    alert_repeat_hours: float = Field(
        default=24, gt=0, description="An alert that stays open is said again after so long."
    )
    freshness_hours: float | None = Field(
        default=None,
        gt=0,
        description="A source that delivers nothing for so long is stale (default: never).",
    )
    dagster_storage: DagsterStorage = Field(
        default=DagsterStorage.SQLITE,
        description="sqlite in HOME/dagster, or postgres: schema dagster of libpq's database.",
    )

    publications_kept: int = Field(
        default=PUBLICATIONS_KEPT, ge=2, description="Publications to keep; the current one stays."
    )
    logs_days: int = Field(default=30, ge=1, description="Days that logs of runs are kept.")
    quarantine_days: int | None = Field(
        default=365, ge=1, description="Days that quarantined rows are kept (none: for ever)."
    )
    dagster_runs_kept: int = Field(
        default=30, ge=1, description="Runs that Dagster remembers; HOME/runs.jsonl has them all."
    )

    browser: str | None = Field(
        default=None,
        description="Chromium that prints the report: a program's name or path (default: the "
        "first of chromium, chromium-browser, google-chrome that is found).",
    )

    @field_validator("home", "map", "expectations")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("landing", "spark_staging", mode="before")
    @classmethod
    def _folder_or_url(cls, value: object) -> object:
        if isinstance(value, str) and URL.match(value):
            return value
        return Path(value).expanduser().resolve() if isinstance(value, str | Path) else value

    @field_validator("quarantine_days", mode="before")
    @classmethod
    def _none_is_for_ever(cls, value: object) -> object:
        return None if isinstance(value, str) and value.lower() in ("", "none") else value

    @field_validator("as_of")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    @field_validator("memory_limit")
    @classmethod
    def _understood_by_duckdb(cls, value: str) -> str:
        if not re.fullmatch(r"\d+(\.\d+)? ?[KMGT]i?B", value):
            raise ValueError("not understood: a size such as 3GB or 500MB")
        return value

    @field_validator("postgres_url")
    @classmethod
    def _understood_by_libpq(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            libpq_variables(value.get_secret_value())
        return value

    @field_validator("alert_webhook")
    @classmethod
    def _is_an_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        understood = re.fullmatch(r"https?://[^\s/?#@]+([/?][!-~]*)?", value.get_secret_value())
        if understood is None:
            raise ValueError(
                "not understood: an address such as https://hooks.slack.com/services/…"
            )
        return value

    @property
    def warehouse(self) -> Path:
        """The private DuckDB file in which files land and, by default, dbt builds."""
        return self.home / "warehouse.duckdb"

    @property
    def landing_place(self) -> Path | str:
        """Where raw files are read from, a folder or a URL; never written to."""
        return self.landing or self.home / "landing"

    @property
    def landing_dir(self) -> Path:
        """The same, where it is a folder. Raises ValueError where it is a URL."""
        if isinstance(self.landing_place, str):
            raise ValueError("raw files are read from a URL, not from a folder")
        return self.landing_place

    @property
    def spark_staging_place(self) -> Path | str:
        """Where rows pass through on their way to Spark and back; empty between runs."""
        return self.spark_staging or self.home / "spark-staging"

    @property
    def settle_seconds(self) -> float:
        """How long ago a raw file must have been modified to land."""
        if self.landing_settle_seconds is not None:
            return self.landing_settle_seconds
        return SETTLE_SECONDS[self.env]

    @property
    def landing_cache(self) -> Path:
        """Copies of remote raw files."""
        return self.home / "landing-cache"

    @property
    def published_dir(self) -> Path:
        """Publications: one folder per run and the symlink `current`."""
        return self.home / "published"

    @property
    def dagster_dir(self) -> Path:
        """DAGSTER_HOME."""
        return self.home / "dagster"

    @property
    def dbt_target_dir(self) -> Path:
        """dbt's manifest, compiled SQL and run results."""
        return self.home / "dbt" / self.target.value

    @property
    def seed_dir(self) -> Path:
        """Where dbt seeds the journey map from: inside the project, one folder per HOME.

        dbt overwrites a seed file outside the project with generated SQL, so the validated
        map is copied here.
        """
        digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return PROJECT_DIR / "build" / "journey_map" / digest

    def environ(self) -> dict[str, str]:
        """The variables that dbt (profiles.yml, dbt_project.yml) and step processes read."""
        variables = {
            "JOURNEY_GAPS_HOME": str(self.home),
            "JOURNEY_GAPS_MAP": str(self.map),
            "JOURNEY_GAPS_LANDING": str(self.landing_place),
            "JOURNEY_GAPS_LANDING_SETTLE_SECONDS": str(self.settle_seconds),
            "JOURNEY_GAPS_LANDING_CACHE_MB": str(self.landing_cache_mb),
            "JOURNEY_GAPS_LANDING_FIRST_DAY": self.landing_first_day.isoformat(),
            "JOURNEY_GAPS_SOURCES": json.dumps(self.sources),
            "JOURNEY_GAPS_EXPECTATIONS": str(self.expectations),
            "JOURNEY_GAPS_ENV": self.env.value,
            "JOURNEY_GAPS_TARGET": self.target.value,
            "JOURNEY_GAPS_THREADS": str(self.threads),
            "JOURNEY_GAPS_MEMORY_LIMIT": self.memory_limit,
            "JOURNEY_GAPS_LOCK_TIMEOUT_SECONDS": str(self.lock_timeout_seconds),
            "JOURNEY_GAPS_ALERT_FORMAT": self.alert_format.value,
            "JOURNEY_GAPS_ALERT_REPEAT_HOURS": str(self.alert_repeat_hours),
            "JOURNEY_GAPS_DAGSTER_STORAGE": self.dagster_storage.value,
            "JOURNEY_GAPS_PUBLICATIONS_KEPT": str(self.publications_kept),
            "JOURNEY_GAPS_LOGS_DAYS": str(self.logs_days),
            "JOURNEY_GAPS_QUARANTINE_DAYS": str(self.quarantine_days or "none"),
            "JOURNEY_GAPS_DAGSTER_RUNS_KEPT": str(self.dagster_runs_kept),
            "JOURNEY_GAPS_SEED_PATH": str(self.seed_dir.relative_to(PROJECT_DIR)),
            "DAGSTER_HOME": str(self.dagster_dir),
            "DBT_TARGET_PATH": str(self.dbt_target_dir),
            "DBT_LOG_PATH": str(self.home / "logs"),
        }
        if self.as_of is not None:
            variables["JOURNEY_GAPS_AS_OF"] = self.as_of.isoformat()
        if self.alerts is not None:
            variables["JOURNEY_GAPS_ALERTS"] = str(self.alerts).lower()
        if self.freshness_hours is not None:
            variables["JOURNEY_GAPS_FRESHNESS_HOURS"] = str(self.freshness_hours)
        if self.target is Target.SPARK:
            variables |= self._spark_variables()
        on_server = self.dagster_storage is DagsterStorage.POSTGRES
        if self.target is Target.POSTGRES or on_server:
            variables |= {name: os.environ.get(name, value) for name, value in LIBPQ.items()}
            # The server's time zone must not matter, and compiling statements that run once
            # takes longer than they do.
            variables |= {"PGTZ": "UTC", "PGOPTIONS": os.environ.get("PGOPTIONS", "-c jit=off")}
            if self.postgres_url is not None:
                variables |= libpq_variables(self.postgres_url.get_secret_value())
        return variables

    def _spark_variables(self) -> dict[str, str]:
        given = {
            "USER": self.spark_user,
            "AUTH": self.spark_auth,
            "PASSWORD": self.spark_password and self.spark_password.get_secret_value(),
            "KERBEROS_SERVICE_NAME": self.spark_kerberos_service_name,
        }
        return {
            "JOURNEY_GAPS_SPARK_HOST": self.spark_host,
            "JOURNEY_GAPS_SPARK_PORT": str(self.spark_port),
            "JOURNEY_GAPS_SPARK_STAGING": str(self.spark_staging_place),
            "JOURNEY_GAPS_SPARK_BUCKETS": str(self.spark_buckets),
        } | {f"JOURNEY_GAPS_SPARK_{name}": value for name, value in given.items() if value}


def libpq_variables(url: str) -> dict[str, str]:
    """The environment variables that say what a connection URL says.

    Raises ValueError where libpq does not understand it; the message holds no password.
    """
    import psycopg2
    from psycopg2.extensions import parse_dsn

    names = {"dbname": "PGDATABASE"}
    try:
        return {names.get(key, f"PG{key.upper()}"): value for key, value in parse_dsn(url).items()}
    except psycopg2.ProgrammingError:
        raise ValueError("not understood: postgresql://user@host:port/database") from None
