"""The command line: one module per command.

program.py  what they share: errors, options, settings
console.py  how they write

Dagster, dbt and Great Expectations are imported only by the commands that run them.
"""

from orchestration.cli.check_map import check_map
from orchestration.cli.compare import compare
from orchestration.cli.dev import daemon, dev, ui
from orchestration.cli.doctor import doctor
from orchestration.cli.drivers import drivers
from orchestration.cli.forget import forget
from orchestration.cli.gaps import gaps
from orchestration.cli.program import app, load_settings
from orchestration.cli.prune import prune
from orchestration.cli.publications import publications
from orchestration.cli.quarantine import quarantine
from orchestration.cli.report import report
from orchestration.cli.run import run
from orchestration.cli.status import status
from orchestration.cli.trend import trend
from orchestration.cli.what_if import what_if

__all__ = ["app", "load_settings", "main"]

# The order of `journey-gaps --help`.
app.command()(run)
app.command()(gaps)
app.command()(drivers)
app.command()(trend)
app.command()(compare)
app.command()(report)
app.command("what-if")(what_if)
app.command()(status)
app.command()(doctor)
app.add_typer(quarantine, name="quarantine")
app.add_typer(publications, name="publications")
app.command()(prune)
app.command()(forget)
app.command()(dev)
app.command()(ui)
app.command()(daemon)
app.command("check-map")(check_map)


def main() -> None:
    """Entry point of `journey-gaps` and of `python -m orchestration`."""
    app(prog_name="journey-gaps")
