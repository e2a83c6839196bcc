"""What the tests share: a HOME of its own, real landing, real dbt, the shared real data."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from dbt.constants import PARTIAL_PARSE_FILE_NAME

from orchestration.journey_map import load_journey_map, write_seeds
from orchestration.landing.load import LandingResult, land
from orchestration.settings import PROJECT_DIR, Settings
from tests.dbt_process import run_dbt

SHARED_DATA = PROJECT_DIR.parent / "shared" / "data"
LOAN_MAP = PROJECT_DIR / "examples" / "loan_application"


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What a command sets for the processes that it starts is gone after the test."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys() - {"PYTEST_CURRENT_TEST"}:
        del os.environ[name]
    os.environ.update(before)


@dataclass(frozen=True)
class Workbench:
    """A HOME in which a test lands files and builds models with the real parts."""

    settings: Settings

    @property
    def home(self) -> Path:
        return self.settings.home

    def use_map(self, folder: Path) -> None:
        write_seeds(load_journey_map(folder), self.settings.seed_dir)
        self._is_seeded.unlink(missing_ok=True)

    def land(self, folder: Path, map_dir: Path | None = None) -> LandingResult:
        """Land a folder in which every file can be read."""
        result = land(self.settings.warehouse, folder, map_dir or folder)
        assert not result.rejected, result.files
        return result

    def dbt(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Run dbt; its output, or a failed test that shows it."""
        exit_code, output = run_dbt(
            [*arguments, "--quiet", "--log-level-file", "none", "--profiles-dir", "."],
            PROJECT_DIR,
            {**self.settings.environ(), **self._like_the_others(), **(env or {})},
        )
        assert exit_code == 0, output
        return output

    def build(self, *arguments: str) -> None:
        """The models, and before them the seeds where the map is another; no tests."""
        if self._is_seeded.exists():
            self.dbt("run", *arguments)
        else:
            self.dbt("build", "--exclude-resource-type", "test", "unit_test", *arguments)
            self._is_seeded.touch()

    def _like_the_others(self) -> dict[str, str]:
        """Variables that name this HOME as they named the ones before in this process.

        dbt parses the whole project again where the path of the warehouse or of the seeds
        differs, five seconds each time. So these are links, and the parsed project is shared.
        """
        shared = self.settings.seed_dir.with_name(f"process-{os.getpid()}")
        shared.mkdir(parents=True, exist_ok=True)
        links = {"home": self.home, "seeds": self.settings.seed_dir}
        for name, folder in links.items():
            (shared / name).unlink(missing_ok=True)
            (shared / name).symlink_to(folder, target_is_directory=True)
        parsed = self.settings.dbt_target_dir / PARTIAL_PARSE_FILE_NAME
        if not parsed.is_symlink():
            parsed.parent.mkdir(parents=True, exist_ok=True)
            parsed.symlink_to(shared / PARTIAL_PARSE_FILE_NAME)
        return {
            "JOURNEY_GAPS_HOME": str(shared / "home"),
            "JOURNEY_GAPS_SEED_PATH": str((shared / "seeds").relative_to(PROJECT_DIR)),
        }

    @property
    def _is_seeded(self) -> Path:
        return self.home / "seeded"

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.settings.warehouse), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def frame(self, sql: str) -> pd.DataFrame:
        with duckdb.connect(str(self.settings.warehouse), read_only=True) as connection:
            return connection.execute(sql).df()

    def remove(self) -> None:
        shutil.rmtree(self.settings.seed_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def make_workbench(
    tmp_path_factory: pytest.TempPathFactory,
) -> "Callable[[str], Workbench]":
    """A new, empty HOME by name."""
    made: list[Workbench] = []

    def make(name: str) -> Workbench:
        home = tmp_path_factory.mktemp(name) / "home"
        made.append(Workbench(Settings(home=home)))
        return made[-1]

    yield make
    for workbench in made:
        workbench.remove()
    shutil.rmtree(Settings().seed_dir.with_name(f"process-{os.getpid()}"), ignore_errors=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; without it the test is skipped."""
    if not SHARED_DATA.is_dir():
        pytest.skip("skipped: no shared data")
    return SHARED_DATA


@pytest.fixture(scope="session")
def loan(shared_data: Path, make_workbench: "Callable[[str], Workbench]") -> Workbench:
    """BPI Challenge 2012 landed from its XES file and built. Read it, do not change it."""
    workbench = make_workbench("loan")
    workbench.use_map(LOAN_MAP)
    workbench.land(shared_data / "bpic2012", LOAN_MAP)
    workbench.build()
    return workbench


@pytest.fixture(scope="session")
def demo(make_workbench: Callable[[str], Workbench]) -> Workbench:
    """The demo: customers in accounts, so that clusters matter."""
    workbench = make_workbench("demo")
    workbench.use_map(PROJECT_DIR / "seeds" / "journey_map")
    workbench.land(PROJECT_DIR / "seeds" / "demo")
    workbench.build()
    return workbench
