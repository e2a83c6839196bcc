"""What docs/deployment.md hands out: units that systemd takes, commands that exist."""

import configparser
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.settings import PROJECT_DIR, Settings

DEPLOY = PROJECT_DIR / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
PROGRAM = "/opt/journey-gaps/.venv/bin/journey-gaps"
EVERYWHERE = "0.0.0.0"  # noqa: S104 (no server starts)
# The package has the function under this name.
DEV = importlib.import_module("orchestration.cli.dev")
GUIDE = PROJECT_DIR / "docs" / "deployment.md"


def options(command: str) -> set[str]:
    """The options of a command of ours; a KeyError where there is none of that name."""
    group = typer.main.get_command(app)
    of_command = group.commands[command]  # type: ignore[attr-defined]
    return {option for parameter in of_command.params for option in parameter.opts}


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return content


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("skipped: no systemd")
    for path in UNITS:
        # It looks whether the program is there.
        text = path.read_text().replace(PROGRAM, sys.executable)
        text = re.sub(r"^(WorkingDirectory)=.*", rf"\1={tmp_path}", text, flags=re.MULTILINE)
        (tmp_path / path.name).write_text(text)
    verified = subprocess.run(
        [program, "verify", *(tmp_path / path.name for path in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in verified.stderr.splitlines() if "journey-gaps" in line]
    assert ours == []


@pytest.mark.parametrize("path", [path for path in UNITS if path.suffix == ".service"], ids=str)
def test_units_start_commands_that_exist(path: Path) -> None:
    program, command, *arguments = shlex.split(unit(path)["Service"]["ExecStart"])
    assert program == PROGRAM
    assert {part for part in arguments if part.startswith("--")} <= options(command)
    # The UI has no login.
    assert "--host" not in arguments


def test_containers_start_commands_that_exist_and_show_the_ui_to_this_machine_only() -> None:
    services = compose()["services"]
    for name in ("daemon", "ui"):
        command, *arguments = services[name]["command"]
        assert {part for part in arguments if part.startswith("--")} <= options(command)
    assert services["ui"]["ports"] == ["127.0.0.1:3000:3000"]
    assert "ports" not in services["postgres"] | services["daemon"]


def test_every_variable_is_a_setting() -> None:
    known = {f"JOURNEY_GAPS_{name.upper()}" for name in Settings.model_fields}
    files = [GUIDE, *UNITS, *(path for path in DEPLOY.iterdir() if path.is_file())]
    for path in files:
        named = set(re.findall(r"JOURNEY_GAPS_[A-Z_]+[A-Z]", path.read_text()))
        assert named <= known, path


def test_no_secret_is_written_down() -> None:
    for path in (path for path in DEPLOY.rglob("*") if path.is_file()):
        for line in path.read_text().splitlines():
            found = re.match(r"[\s#]*(PGPASSWORD|POSTGRES_PASSWORD|\w*WEBHOOK)[:=]\s*(.*)", line)
            assert found is None or found[2] == "" or found[2].startswith("${"), (path, line)
    assert ".env" in (PROJECT_DIR / ".dockerignore").read_text().splitlines()
    assert ".env" in (PROJECT_DIR / ".gitignore").read_text().splitlines()


def test_the_guide_names_what_is_there() -> None:
    text = GUIDE.read_text()
    for name in re.findall(r"`(deploy/[\w./-]+)`", text):
        assert (PROJECT_DIR / name).exists(), name
    for command in re.findall(r"journey-gaps (ui|daemon|run|dev|check-map|gaps)\b", text):
        assert options(command)


@pytest.mark.parametrize(
    ("arguments", "expected", "warns"),
    [
        (["ui"], ["dagster_webserver", "--host", "127.0.0.1", "--port", "3000"], False),
        (
            ["ui", "--host", EVERYWHERE, "--port", "80", "--read-only"],
            ["dagster_webserver", "--host", EVERYWHERE, "--port", "80", "--read-only"],
            True,
        ),
        (["daemon", "--env", "prod"], ["dagster._daemon", "run"], False),
    ],
)
def test_the_ui_is_on_loopback_unless_it_is_told_and_warns(
    arguments: list[str], expected: list[str], warns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(DEV, "_become", lambda _, *command: started.extend(command))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert [part for part in started if part not in DEV.MODULE] == expected
    assert ("has no login" in result.stderr) == warns
    assert ("docs/security.md" in result.stderr) == warns
