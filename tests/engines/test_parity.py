"""The same rows on PostgreSQL and Spark as on DuckDB, of whole runs and of analysts' queries."""

import os
import random
import shutil
from collections.abc import Callable, Iterator, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestration.publish.publication import DATABASE, read_manifest
from orchestration.settings import PROJECT_DIR, Settings, Target
from orchestration.warehouse.postgres import PostgresWarehouse
from tests.conftest import Workbench
from tests.cookbook import differing
from tests.engines.parity import compare
from tests.engines.server import PATIENCE_SECONDS, journey_gaps, query
from tests.engines.spark_cluster import SparkCluster, wait_until

NewDatabase = Callable[[str], None]

# Doubles may differ by the order in which an engine adds them up: seen in survival curves, by
# 1e-14, and in the p-values of times and of drivers, by 1e-13. All else is equal to the last bit.
TOLERANCE = 1e-12
DEMO = PROJECT_DIR / "seeds" / "demo"
DEMO_MAP = PROJECT_DIR / "seeds" / "journey_map"
LOAN_MAP = PROJECT_DIR / "examples" / "loan_application"
# Of some 100 in the schema intermediate; its views have no folders.
TABLES_BEFORE_THE_KILL = 40


def run(home: Path, map_dir: Path, landing: Path, target: str, *more: str) -> None:
    flags = ("--home", home, "--map", map_dir, "--landing", landing, "--target", target)
    done = journey_gaps("run", *flags, *more)
    assert done.returncode == 0, done.stdout + done.stderr


def divided(landing: Path, folder: Path, tables: tuple[str, ...]) -> tuple[Path, Path]:
    """A landing folder with nine tenths of the rows of `tables`, and one with all of them."""
    chance = random.Random(3)
    first, both = folder / "first", folder / "both"
    for part in (first, both):
        shutil.copytree(landing, part, ignore=shutil.ignore_patterns("*.json"))
    for table in tables:
        file = both / f"{table}.csv"
        header, *rows = file.read_text(encoding="utf-8").splitlines(keepends=True)
        late = [chance.random() < 0.1 for _ in rows]
        file.unlink()
        (first / f"{table}.csv").unlink()
        for target, kept in ((first, False), (both, True)):
            (target / table).mkdir()
            early = [row for row, is_late in zip(rows, late, strict=True) if not is_late]
            (target / table / "a.csv").write_text("".join([header, *early]), encoding="utf-8")
            if kept:
                rest = [row for row, is_late in zip(rows, late, strict=True) if is_late]
                (target / table / "b.csv").write_text("".join([header, *rest]), encoding="utf-8")
    return first, both


@dataclass(frozen=True)
class Example:
    """An example that DuckDB builds in the background, for the other engines to be compared with.

    `landings` come one after the other; DuckDB builds the last of them at once.
    """

    name: str
    map_dir: Path
    landings: tuple[Path, ...]
    empty: Set[str]
    folder: Path
    embedded: Future[None]

    def run(self, target: str) -> None:
        """Build it on another engine, load by load."""
        for landing in self.landings:
            run(self.folder / target, self.map_dir, landing, target)

    def assert_parity(self, target: str) -> None:
        """Compare with what DuckDB published, mart by mart."""
        self.embedded.result()
        files = [self.published(engine) / DATABASE for engine in ("duckdb", target)]
        compared = compare(*files, tolerance=TOLERANCE)
        # make test-engines shows it
        print(f"\n{self.name}, DuckDB and {target}\n{compared.to_string(index=False)}")
        assert set(compared.loc[compared["rows"] == 0, "mart"]) == self.empty
        assert set(compared["schema"]) == {""}
        assert set(compared["differences"]) == {0}
        assert list(compared["rows"]) == list(compared["their_rows"])

    def published(self, target: str) -> Path:
        return self.folder / target / "published" / "current"


@pytest.fixture(scope="module")
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def demo_example(
    tmp_path_factory: pytest.TempPathFactory, background: ThreadPoolExecutor
) -> Example:
    """A tenth of the rows comes late: a server adds it, DuckDB builds all of them at once."""
    folder = tmp_path_factory.mktemp("demo")
    first, both = divided(DEMO, folder, ("events", "crm_stage_changes"))

    def build() -> None:
        run(folder / "duckdb", DEMO_MAP, first, "duckdb")
        run(folder / "duckdb", DEMO_MAP, both, "duckdb", "--full-refresh")

    # It has no process log.
    empty = {"fct_work_items"}
    return Example("demo", DEMO_MAP, (first, both), empty, folder, background.submit(build))


@pytest.fixture(scope="module")
def loan_example(
    tmp_path_factory: pytest.TempPathFactory, background: ThreadPoolExecutor, shared_data: Path
) -> Example:
    folder = tmp_path_factory.mktemp("loan")
    landing = shared_data / "bpic2012"
    # A map without funnels, dimensions or actions, no contacts or answers, and a single run.
    empty = {
        *("fct_funnel_attempts", "fct_funnel_steps", "fct_visit_segments"),
        *("fct_action_readouts", "fct_restatements"),
        *("fct_support_contacts", "fct_moment_stages", "fct_survey_responses"),
        *("fct_feedback", "fct_feedback_topics", "gap_unclassified_phrases"),
    }
    built = background.submit(run, folder / "duckdb", LOAN_MAP, landing, "duckdb")
    return Example("loan_application", LOAN_MAP, (landing,), empty, folder, built)


def test_the_demo_has_the_same_rows_on_postgresql(
    demo_example: Example, new_database: NewDatabase
) -> None:
    new_database("demo")
    demo_example.run("postgres")
    demo_example.assert_parity("postgres")

    published = demo_example.published("postgres")
    manifest = read_manifest(published.parent)
    assert manifest["target"] == "postgres"
    assert (published / "report.html").exists()
    for mart, described in manifest["marts"].items():
        assert query(f"select count(*) from published.{mart}") == [(described["rows"],)]
    with PostgresWarehouse().connect() as server:
        assert differing(demo_example.published("duckdb") / DATABASE, server) == {}
    secret = os.environ["PGPASSWORD"].encode()
    home = demo_example.folder / "postgres"
    written = [file for file in home.rglob("*") if file.is_file()]
    assert [file for file in written if secret in file.read_bytes()] == []


def test_the_loan_applications_have_the_same_rows_on_postgresql(
    loan_example: Example, new_database: NewDatabase
) -> None:
    new_database("loan")
    loan_example.run("postgres")
    loan_example.assert_parity("postgres")


def test_the_demo_has_the_same_rows_on_spark_though_a_worker_is_killed(
    demo_example: Example, empty_spark: SparkCluster
) -> None:
    """In the middle of the first build one of two workers goes, with its executor; it comes back
    for the second."""
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(_kill_a_worker_in_the_middle_of_a_build, empty_spark)
        first, both = demo_example.landings
        run(demo_example.folder / "spark", DEMO_MAP, first, "spark")
        killed.result()
    print("\n" + "\n".join(_lines_about_the_loss(empty_spark)))  # make test-engines shows it
    empty_spark.start_worker(1)
    run(demo_example.folder / "spark", DEMO_MAP, both, "spark")
    demo_example.assert_parity("spark")


@pytest.mark.usefixtures("empty_spark")
def test_the_loan_applications_have_the_same_rows_on_spark(loan_example: Example) -> None:
    loan_example.run("spark")
    loan_example.assert_parity("spark")


def _kill_a_worker_in_the_middle_of_a_build(cluster: SparkCluster) -> None:
    def is_in_the_middle() -> bool:
        # A folder a table: asking for them by SQL ten times a second would be work by itself.
        built = list((cluster.folder / "warehouse" / "intermediate.db").glob("*"))
        return len(built) > TABLES_BEFORE_THE_KILL and cluster.active_tasks() > 0

    wait_until(is_in_the_middle, "half of the models are built", PATIENCE_SECONDS)
    cluster.kill_worker(1)


def _lines_about_the_loss(cluster: SparkCluster) -> list[str]:
    """What master and driver logged of it, one line of each."""
    lines = {
        "master": next(s for s in cluster.log("master").splitlines() if "Removing worker" in s),
        "driver": next(s for s in cluster.log("driver").splitlines() if "Lost executor" in s),
    }
    return [f"{part}: {line}" for part, line in lines.items()]


def test_every_unit_test_of_a_model_passes_on_the_server(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    """Among them ties that a collation would order otherwise."""
    new_database("units")
    workbench = Workbench(Settings(home=tmp_path / "home", target=Target.POSTGRES))
    empty = tmp_path / "empty"
    empty.mkdir()
    workbench.use_map(DEMO_MAP)
    workbench.land(empty)
    PostgresWarehouse().receive(workbench.settings.warehouse)
    workbench.build()
    workbench.dbt("test", "--select", "test_type:unit")
    workbench.remove()
