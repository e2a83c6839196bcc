"""The report as PDF: the same page, printed by a Chromium of this machine.

Nothing that installs with pip alone prints it as well: the charts are drawn by the page's
script, and libraries that lay out HTML without a browser run none and need system libraries.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from orchestration.errors import JourneyGapsError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Of the machine's time, seconds.
LONGEST = 120
_QUIET = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    # The page asks for nothing; should it ever, nobody answers.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9",
    "--no-pdf-header-footer",
    # Timers run without waiting, so that all charts are drawn.
    "--virtual-time-budget=20000",
    "--run-all-compositor-stages-before-draw",
    # As wide as the paper.
    "--window-size=728,1000",
)


def browser(name: str | None = None) -> Path:
    """The program that prints: `name`, or the first of BROWSERS that is found.

    Raises JourneyGapsError where there is none.
    """
    found = next(filter(None, map(shutil.which, (name,) if name else BROWSERS)), None)
    if found is None:
        looked = f"{name!r} is no program here" if name else f"none of {', '.join(BROWSERS)}"
        raise JourneyGapsError(
            f"a PDF needs a Chromium, and there is none ({looked}): install one, name one in "
            "JOURNEY_GAPS_BROWSER, or open report.html in any browser and print it"
        )
    return Path(found)


def print_report(page: Path, to: Path, program: Path, seconds: float = LONGEST) -> None:
    """Print an HTML file on A4 as PDF.

    The browser has a profile of its own for this once and no network. Raises JourneyGapsError
    where it does not finish within `seconds` or writes nothing.
    """
    # Here, not beside the page: its folder may be read-only.
    with tempfile.TemporaryDirectory(prefix="journey-gaps-", ignore_cleanup_errors=True) as folder:
        printed = Path(folder) / "report.pdf"
        command = [
            str(program),
            *_QUIET,
            # Its sandbox refuses to work for the superuser, as in containers.
            *(["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []),
            f"--user-data-dir={Path(folder) / 'profile'}",
            f"--print-to-pdf={printed}",
            page.resolve().as_uri(),
        ]
        said = _run(command, seconds, program)
        if not printed.is_file() or not printed.read_bytes().startswith(b"%PDF-"):
            raise JourneyGapsError(f"{program} printed nothing: {said[-500:].strip() or 'silent'}")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(printed, to)


def _run(command: list[str], seconds: float, program: Path) -> str:
    """What a command says on stderr; its processes are ended with it."""
    process = subprocess.Popen(  # noqa: S603 (a program of the settings or of PATH, no shell)
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise JourneyGapsError(
            f"{program} did not print the report within {seconds:g} s: open report.html in a "
            "browser and print it"
        ) from None
    finally:
        # A browser is many processes, in a group of their own.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return said
