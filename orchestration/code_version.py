"""Which code runs here: the package's version and, in a checkout, its commit."""

import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from orchestration.settings import PROJECT_DIR

GIT_SECONDS = 10


@dataclass(frozen=True)
class CodeVersion:
    """`commit` is None outside a checkout; `is_dirty` also where there is no git to ask."""

    version: str
    commit: str | None
    is_dirty: bool | None


def code_version(project_dir: Path = PROJECT_DIR) -> CodeVersion:
    """Return the version of the code in a folder; raises nothing."""
    commit = _commit(project_dir)
    return CodeVersion(
        version("journey-gaps"), commit, None if commit is None else _is_dirty(project_dir)
    )


def _commit(project_dir: Path) -> str | None:
    """The commit of HEAD, read from git's files: the program may be absent."""
    git_dir = project_dir / ".git"
    try:
        if git_dir.is_file():  # a worktree
            git_dir = project_dir / git_dir.read_text().removeprefix("gitdir:").strip()
        head = (git_dir / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        reference = head.removeprefix("ref:").strip()
        shared = git_dir / "commondir"
        common_dir = git_dir / shared.read_text().strip() if shared.exists() else git_dir
        for folder in (git_dir, common_dir):
            if (folder / reference).is_file():
                return (folder / reference).read_text().strip()
        for line in (common_dir / "packed-refs").read_text().splitlines():
            commit, _, name = line.partition(" ")
            if name == reference:
                return commit
    except OSError:
        return None
    return None


def _is_dirty(project_dir: Path) -> bool | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        status = subprocess.run(  # noqa: S603 (a fixed command, no shell)
            [git, "--no-optional-locks", "status", "--porcelain"],
            cwd=project_dir,
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return bool(status.stdout.strip()) if status.returncode == 0 else None
