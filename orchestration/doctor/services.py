"""What is beside the files: Dagster's daemon and schedules, the server of the warehouse."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from orchestration.doctor.findings import Finding, Level, some
from orchestration.errors import JourneyGapsError
from orchestration.settings import Environment, Settings, Target
from orchestration.warehouse import warehouse_of

AREA = "services"
# The daemon says twice a minute that it lives.
HEARTBEAT_AGE = timedelta(minutes=5)
SCHEDULER = "SCHEDULER"


def services(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Yield what is wrong with services; those that these settings do not use are not asked."""
    if settings.target is Target.POSTGRES:
        yield from _postgres(settings)
    if settings.target is Target.SPARK:
        yield from _spark(settings)
    if settings.env is Environment.PROD:
        try:
            yield from _dagster(settings, now)
        except Exception as error:
            # Its storage may be a server of its own.
            why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            yield Finding(
                AREA,
                Level.ERROR,
                f"Dagster's instance cannot be opened: {why}",
                f"see {settings.dagster_dir / 'dagster.yaml'}",
            )


def _postgres(settings: Settings) -> Iterator[Finding]:
    try:
        with warehouse_of(settings).connect() as connection:
            [(name, may_create, version)] = connection.execute(
                "select current_database(),"
                " has_database_privilege(current_database(), 'CREATE'),"
                " current_setting('server_version')"
            ).fetchall()
    except JourneyGapsError as error:
        yield Finding(
            AREA,
            Level.ERROR,
            str(error).strip().splitlines()[0],
            "--postgres-url or PGHOST and so on, the password in PGPASSWORD; is the server up?",
        )
        return
    if may_create:
        yield Finding(AREA, Level.OK, f"PostgreSQL {version}, database {name}")
    else:
        yield Finding(
            AREA,
            Level.ERROR,
            f"this user may not create schemas in database {name}",
            f'grant create on database "{name}" to its user',
        )


def _spark(settings: Settings) -> Iterator[Finding]:
    place = settings.spark_staging_place
    try:
        with warehouse_of(settings).connect() as connection:
            [(version,)] = connection.execute("select version()").fetchall()
            databases = connection.execute("show databases").fetchall()
    except JourneyGapsError as error:
        yield Finding(
            AREA,
            Level.ERROR,
            str(error).strip().splitlines()[0],
            "--spark-host and --spark-port; is the Thrift server up?",
        )
        return
    version = str(version).partition(" ")[0]
    yield Finding(
        AREA,
        Level.OK,
        f"Spark {version} at {settings.spark_host}:{settings.spark_port}, "
        f"{len(databases)} databases, staging in {place}",
    )


def _dagster(settings: Settings, now: datetime) -> Iterator[Finding]:
    if not (settings.dagster_dir / "dagster.yaml").exists():
        yield Finding(
            AREA, Level.ERROR, "no Dagster instance here yet", "journey-gaps run, journey-gaps dev"
        )
        return
    # Seconds: only where somebody waits for schedules.
    import dagster as dg

    with dg.DagsterInstance.from_config(str(settings.dagster_dir)) as instance:
        beats = instance.get_daemon_heartbeats()
        states = instance.all_instigator_state()
    beat = beats.get(SCHEDULER)
    last = datetime.fromtimestamp(beat.timestamp, UTC) if beat else None
    stopped = sorted(
        state.instigator_name for state in states if state.status.value in ("STOPPED", "PAUSED")
    )
    if last is None or last < now - HEARTBEAT_AGE:
        since = "never was" if last is None else f"has not been since {last:%Y-%m-%d %H:%M} UTC"
        yield Finding(
            AREA,
            Level.ERROR,
            f"Dagster's daemon is not at work and {since}: no schedule runs",
            "start dagster-daemon or `journey-gaps dev`, and have the system keep it up",
        )
    else:
        yield Finding(AREA, Level.OK, f"Dagster's daemon is at work ({last:%H:%M:%S} UTC)")
    if stopped:
        yield Finding(
            AREA,
            Level.WARNING,
            f"switched off by hand: {some(stopped)}",
            "switch them on in Dagster's UI, Automation",
        )
