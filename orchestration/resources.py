"""What the assets are handed: the instance's configuration and dbt."""

import os
import subprocess
import sys
from contextlib import closing, suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import yaml
from dagster_dbt import DbtCliResource
from filelock import FileLock
from packaging.version import Version

from orchestration.errors import JourneyGapsError
from orchestration.journey_map import TABLES, JourneyMap, write_seeds
from orchestration.settings import PROJECT_DIR, DagsterStorage, Settings

WAREHOUSE_POOL = "warehouse_writer"
DAGSTER_SCHEMA = "dagster"
# In a seed folder: the HOME that it belongs to, which its name does not tell.
SEEDS_OWNER = "home.txt"
DBT_FILES = ("dbt_project.yml", "models/**/*", "macros/**/*", "tests/dbt/**/*")


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The Dagster instance in HOME/dagster, configured by us and created where absent.

    With storage on a server its schema is created where absent; no password is written down.
    Raises JourneyGapsError where the server cannot be used.
    """
    settings.dagster_dir.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "concurrency": {"pools": {"default_limit": 1}},
        # Ticks of schedules and sensors; runs and logs are the work of orchestration/retention.
        "retention": {
            "schedule": {"purge_after_days": settings.logs_days},
            "sensor": {
                "purge_after_days": {
                    "skipped": min(settings.logs_days, 7),
                    "started": settings.logs_days,
                    "success": settings.logs_days,
                    "failure": settings.logs_days,
                }
            },
        },
        "compute_logs": {
            "module": "dagster.core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(settings.home / "logs")},
        },
    }
    if settings.dagster_storage is DagsterStorage.POSTGRES:
        config["storage"] = {"postgres": {"postgres_db": _server_storage(settings)}}
    with setup_lock(settings):
        (settings.dagster_dir / "dagster.yaml").write_text(yaml.safe_dump(config))
        instance = dg.DagsterInstance.from_config(str(settings.dagster_dir))
        # The databases are created on first use, and two first uses at once collide.
        instance.get_runs_count()
        instance.event_log_storage.get_pool_limits()
        return instance


def _server_storage(settings: Settings) -> dict[str, Any]:
    """Dagster's tables in schema `dagster` of the database that libpq's variables name.

    The password stays in the environment; without one, libpq looks where it always does.
    """
    import psycopg2

    environ = settings.environ()
    os.environ.update({name: environ[name] for name in environ if name.startswith("PG")})
    try:
        with closing(psycopg2.connect("")) as connection, connection, connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(hashtext('journey_gaps dagster'))")
            cursor.execute(f"create schema if not exists {DAGSTER_SCHEMA}")
    except psycopg2.Error as error:
        raise JourneyGapsError(
            f"Dagster's storage on PostgreSQL cannot be used: {str(error).strip()}. See PGHOST, "
            "PGUSER, PGPASSWORD and PGDATABASE, or set JOURNEY_GAPS_DAGSTER_STORAGE=sqlite."
        ) from error
    host = environ["PGHOST"]
    params = {"options": f"-c search_path={DAGSTER_SCHEMA}"}
    is_socket = host.startswith("/")
    return {
        "username": environ["PGUSER"],
        "hostname": "" if is_socket else host,
        "port": int(environ["PGPORT"]),
        "db_name": environ["PGDATABASE"],
        "params": params | ({"host": host} if is_socket else {}),
    } | ({"password": {"env": "PGPASSWORD"}} if os.environ.get("PGPASSWORD") else {})


def setup_lock(settings: Settings) -> FileLock:
    """Held for seconds while a HOME is set up; a run's own lock is `WarehouseLock`."""
    settings.home.mkdir(parents=True, exist_ok=True)
    return FileLock(settings.home / "setup.lock")


class Dbt(DbtCliResource):
    """dbt-core as installed here; `dbt --version` would ask the package index first."""

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: object) -> Any:  # noqa: ARG002
        # Row counts and column metadata are not fetched through it: it takes seconds.
        return None


def dbt_resource(settings: Settings) -> Dbt:
    """dbt for this project, logging to HOME/logs."""
    return Dbt(
        project_dir=str(PROJECT_DIR),
        profiles_dir=str(PROJECT_DIR),
        dbt_executable=dbt_executable(),
        target=settings.target.value,
        global_config_flags=[
            "--log-path",
            str(settings.home / "logs"),
            "--log-format-file",
            "text",
        ],
    )


def dbt_executable() -> str:
    """The dbt beside this interpreter, whether or not the environment is activated."""
    return str(Path(sys.executable).with_name("dbt"))


def dbt_manifest(settings: Settings) -> Path:
    """The parsed dbt project of this HOME; parsed here when absent or older than its files.

    Raises JourneyGapsError with dbt's message where the project does not parse.
    """
    manifest = settings.dbt_target_dir / "manifest.json"
    with setup_lock(settings):
        if not _is_current(manifest):
            _complete_seeds(settings)
            settings.dbt_target_dir.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=settings.dbt_target_dir) as draft:
                _parse(settings, Path(draft))
                for artifact in ("partial_parse.msgpack", manifest.name):
                    (Path(draft) / artifact).replace(settings.dbt_target_dir / artifact)
    return manifest


def _is_current(manifest: Path) -> bool:
    sources = (file for pattern in DBT_FILES for file in PROJECT_DIR.glob(pattern))
    return manifest.exists() and manifest.stat().st_mtime > max(
        file.stat().st_mtime for file in sources
    )


def _complete_seeds(settings: Settings) -> None:
    """Give dbt every map table to parse, empty until the run's own map is copied."""
    settings.seed_dir.mkdir(parents=True, exist_ok=True)
    (settings.seed_dir / SEEDS_OWNER).write_text(str(settings.home), encoding="utf-8")
    with TemporaryDirectory(dir=settings.seed_dir.parent) as draft:
        write_seeds(JourneyMap({table: [] for table in TABLES}), Path(draft))
        for table in Path(draft).iterdir():
            # Never over a table that a run has written: a link refuses to replace.
            with suppress(FileExistsError):
                (settings.seed_dir / table.name).hardlink_to(table)


def _parse(settings: Settings, target: Path) -> None:
    command = [
        dbt_executable(),
        "--quiet",
        "parse",
        "--no-use-colors",
        "--target-path",
        str(target),
    ]
    dbt = subprocess.run(  # noqa: S603 (our own interpreter's dbt, no shell)
        command,
        cwd=PROJECT_DIR,
        env=os.environ | settings.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    if dbt.returncode:
        raise JourneyGapsError(f"dbt cannot parse this project:\n{dbt.stdout.strip()}")
