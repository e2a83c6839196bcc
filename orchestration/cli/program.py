"""The program that commands join: its errors, its options, its settings."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from orchestration.errors import JourneyGapsError
from orchestration.settings import PROJECT_DIR, Environment, Settings, Target

FAILED, WRONG_USAGE, FOUND = 1, 2, 4
EXAMPLES_DIR = PROJECT_DIR / "examples"
DEMO_LANDING = PROJECT_DIR / "seeds" / "demo"


class ExplainingGroup(TyperGroup):
    """Turns the errors a user can act on into their message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; raises SystemExit codes only through click."""
        try:
            return super().invoke(ctx)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}"
                for detail in error.errors()
            )
            complain(f"these settings cannot be used: {wrong}")
            raise typer.Exit(WRONG_USAGE) from error
        except JourneyGapsError as error:
            complain(str(error))
            raise typer.Exit(FAILED) from error


app = typer.Typer(
    cls=ExplainingGroup,
    help="From raw customer events to ranked gaps, in your own warehouse.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Format(StrEnum):
    """How a table is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MD = "md"


Demo = Annotated[bool, typer.Option("--demo", help="The demo, with a home of its own.")]
Home = Annotated[
    Path | None,
    typer.Option(help="Folder that holds all a run writes. [JOURNEY_GAPS_HOME]"),
]
Map = Annotated[
    Path | None, typer.Option("--map", help="Folder of journey-map CSVs. [JOURNEY_GAPS_MAP]")
]
EngineTarget = Annotated[
    Target | None, typer.Option("--target", help="Engine of the warehouse. [JOURNEY_GAPS_TARGET]")
]
PostgresUrl = Annotated[
    str | None,
    typer.Option(
        help="postgresql://user@host:port/database; keep its password in PGPASSWORD. "
        "[JOURNEY_GAPS_POSTGRES_URL]"
    ),
]
SparkHost = Annotated[
    str | None, typer.Option(help="Host of Spark's Thrift server. [JOURNEY_GAPS_SPARK_HOST]")
]
SparkPort = Annotated[int | None, typer.Option(help="Its port. [JOURNEY_GAPS_SPARK_PORT]")]
LockTimeout = Annotated[
    float | None,
    typer.Option(help="Seconds to wait for a run. [JOURNEY_GAPS_LOCK_TIMEOUT_SECONDS]"),
]
Landing = Annotated[
    str | None,
    typer.Option(help="Folder or URL (fsspec) of raw files. [JOURNEY_GAPS_LANDING]"),
]
Env = Annotated[Environment | None, typer.Option(help="[JOURNEY_GAPS_ENV]")]
Written = Annotated[Format, typer.Option("--format", help="How to write it.")]


def load_settings(*, demo: bool = False, **flags: object) -> Settings:
    """Settings of the environment with the flags that were given.

    Without a home, the demo and each folder under examples/ get one of their own. Raises
    BadParameter where --demo meets a map or a landing folder.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if demo:
        if given.keys() & {"map", "landing"}:
            raise typer.BadParameter("--demo brings its own map and landing folder")
        given["map"] = Settings.model_fields["map"].default
        given["landing"] = DEMO_LANDING
        given.setdefault("home", _home("demo"))
    # Pydantic checks the values, whatever their static types.
    settings = Settings(**given)  # type: ignore[arg-type]
    if "home" not in settings.model_fields_set and settings.map.is_relative_to(EXAMPLES_DIR):
        example = settings.map.relative_to(EXAMPLES_DIR).parts[0]
        settings = settings.model_copy(update={"home": _home(example)})
    return settings


def address_server(settings: Settings) -> None:
    """Let this process reach the server that the settings name; without one nothing is changed."""
    if settings.target.is_server:
        os.environ.update(settings.environ())


def _home(name: str) -> Path:
    default_home: Path = Settings.model_fields["home"].default
    return default_home / name


def complain(message: str) -> None:
    """Write an error to stderr."""
    colour = None if os.environ.get("NO_COLOR") else "red"
    typer.secho("Error: ", fg=colour, bold=True, nl=False, err=True)
    # Lazily: --help need not wait for it.
    from orchestration.cli.console import harmless

    typer.echo(harmless(message), err=True)
