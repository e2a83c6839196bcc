"""`journey-gaps doctor`: what is wrong, and what to do about it."""

import json
import sys
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime

import typer
from rich.markup import escape

from orchestration.cli.console import console_of
from orchestration.cli.program import (
    FAILED,
    Demo,
    EngineTarget,
    Env,
    Home,
    Landing,
    Map,
    PostgresUrl,
    SparkHost,
    SparkPort,
    address_server,
    load_settings,
)
from orchestration.cli.status import Report, Reported
from orchestration.doctor import Finding, Level, examine

COLOURS = {
    Level.OK: "green",
    Level.INFO: "blue",
    Level.WARNING: "yellow",
    Level.ERROR: "red",
}


def doctor(
    demo: Demo = False,
    map_: Map = None,
    landing: Landing = None,
    home: Home = None,
    env: Env = None,
    target: EngineTarget = None,
    postgres_url: PostgresUrl = None,
    spark_host: SparkHost = None,
    spark_port: SparkPort = None,
    format_: Reported = Report.TABLE,
) -> None:
    """Look at the installation, HOME, the journey map against the data, and services.

    Each line says what is wrong and, below it, what to do.

    Exit 0: no errors (warnings perhaps); 1: errors.
    """
    settings = load_settings(
        demo=demo,
        map=map_,
        landing=landing,
        home=home,
        env=env,
        target=target,
        postgres_url=postgres_url,
        spark_host=spark_host,
        spark_port=spark_port,
    )
    address_server(settings)
    findings = examine(settings, datetime.now(UTC))
    match format_:
        case Report.JSON:
            typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
        case Report.TABLE:
            _print(findings)
    if any(finding.level is Level.ERROR for finding in findings):
        raise typer.Exit(FAILED)


def _print(findings: list[Finding]) -> None:
    console = console_of(sys.stdout)
    area = None
    for finding in findings:
        if finding.area != area:
            area = finding.area
            console.print(f"[bold]{area}[/]")
        level = f"[{COLOURS[finding.level]}]{finding.level.value:<8}[/]"
        console.print(f"  {level} {escape(finding.message)}", soft_wrap=True)
        if finding.remedy:
            console.print(f"           -> {escape(finding.remedy)}", style="dim", soft_wrap=True)
    counts = Counter(finding.level for finding in findings)
    said = ", ".join(
        f"{counts[level]} {level.value}{'' if counts[level] == 1 or level is Level.INFO else 's'}"
        for level in (Level.ERROR, Level.WARNING, Level.INFO)
    )
    console.print(said)
