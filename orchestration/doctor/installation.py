"""Python, its packages and dbt, as this project pins them."""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from orchestration.doctor.findings import Finding, Level, some
from orchestration.settings import PROJECT_DIR

AREA = "installation"
OLDEST_PYTHON = (3, 11)
LOCK = PROJECT_DIR / "requirements.lock"
SHOWN = ("duckdb", "dagster", "dbt-core", "great-expectations")


def installation(lock: Path = LOCK, executable: str = sys.executable) -> Iterator[Finding]:
    """Yield what is wrong with what is installed; one finding that says what is right."""
    python = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        yield Finding(
            AREA, Level.ERROR, f"Python {python} is too old", "install Python 3.11 or newer"
        )
    missing, other = _differences(lock)
    if missing:
        yield Finding(
            AREA, Level.ERROR, f"not installed: {some(missing)}", "make setup, or pip install ."
        )
    if other:
        yield Finding(
            AREA,
            Level.WARNING,
            f"other versions than {lock.name} has: {some(other)}",
            f"pip install --require-hashes -r {lock.name}",
        )
    if not Path(executable).with_name("dbt").exists():
        yield Finding(
            AREA,
            Level.ERROR,
            f"there is no dbt beside {executable}",
            "make setup, or install journey-gaps and dbt in one environment",
        )
    if not missing and not other:
        versions = ", ".join(f"{package} {version(package)}" for package in SHOWN)
        locked = "packages as locked" if lock.exists() else "no requirements.lock to compare with"
        yield Finding(AREA, Level.OK, f"Python {python}, {locked}: {versions}")


def locked_versions(lock: Path) -> dict[str, str]:
    """Package -> version that a requirements file pins; empty where there is none."""
    if not lock.exists():
        return {}
    pins: dict[str, str] = {}
    for line in lock.read_text().splitlines():
        if not line or line.startswith((" ", "#", "-")):
            continue
        requirement = Requirement(line.removesuffix("\\"))
        # A version for older Pythons may stand beside the one for newer ones.
        if requirement.marker is None or requirement.marker.evaluate():
            pins[canonicalize_name(requirement.name)] = str(requirement.specifier).lstrip("=")
    return pins


def _differences(lock: Path) -> tuple[list[str], list[str]]:
    """What a run needs and is not there, and what is there in another version than pinned."""
    missing, other = [], []
    for package in sorted(_needed()):
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(package)
    for package, pinned in locked_versions(lock).items():
        try:
            installed = version(package)
        except PackageNotFoundError:
            continue  # the lock has those of developers too
        if installed != pinned:
            other.append(f"{package} {installed} instead of {pinned}")
    return missing, other


def _needed() -> set[str]:
    requirements = [Requirement(text) for text in requires("journey-gaps") or []]
    return {
        canonicalize_name(requirement.name)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
