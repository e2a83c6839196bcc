"""The same rows on PostgreSQL as on DuckDB, of whole runs and of what analysts ask of them."""

import os
import random
import shutil
from collections.abc import Callable, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestration.publish.publication import DATABASE, read_manifest
from orchestration.settings import PROJECT_DIR, Settings, Target
from orchestration.warehouse.postgres import PostgresWarehouse
from tests.conftest import Workbench
from tests.cookbook import differing
from tests.engines.parity import compare
from tests.engines.server import journey_gaps, query

NewDatabase = Callable[[str], None]

# Doubles may differ by the order in which an engine adds them up: seen in survival curves, by
# 1e-14, and in the p-values of times and of drivers, by 1e-13. All else is equal to the last bit.
TOLERANCE = 1e-12
DEMO = PROJECT_DIR / "seeds" / "demo"
DEMO_MAP = PROJECT_DIR / "seeds" / "journey_map"
LOAN_MAP = PROJECT_DIR / "examples" / "loan_application"


def run(home: Path, map_dir: Path, landing: Path, target: str, *more: str) -> None:
    flags = ("--home", home, "--map", map_dir, "--landing", landing, "--target", target)
    done = journey_gaps("run", *flags, *more)
    assert done.returncode == 0, done.stdout + done.stderr


def side_by_side(*chains: Callable[[], None]) -> None:
    """Chains of runs at the same time: most of a run is Python, on one core."""
    with ThreadPoolExecutor(len(chains)) as pool:
        for done in [pool.submit(chain) for chain in chains]:
            done.result()


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


def test_the_demo_has_the_same_rows_on_both_engines(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    """A tenth of the rows comes late: PostgreSQL adds it, DuckDB builds all of them at once."""
    new_database("demo")
    first, both = divided(DEMO, tmp_path, ("events", "crm_stage_changes"))

    def on_the_server() -> None:
        run(tmp_path / "server", DEMO_MAP, first, "postgres")
        run(tmp_path / "server", DEMO_MAP, both, "postgres")

    def embedded() -> None:
        run(tmp_path / "embedded", DEMO_MAP, first, "duckdb")
        run(tmp_path / "embedded", DEMO_MAP, both, "duckdb", "--full-refresh")

    side_by_side(on_the_server, embedded)
    # It has no process log.
    _assert_parity("demo", tmp_path, {"fct_work_items"})

    manifest = read_manifest(tmp_path / "server" / "published")
    assert manifest["target"] == "postgres"
    assert (tmp_path / "server" / "published" / "current" / "report.html").exists()
    for mart, described in manifest["marts"].items():
        assert query(f"select count(*) from published.{mart}") == [(described["rows"],)]
    published = tmp_path / "embedded" / "published" / "current" / DATABASE
    with PostgresWarehouse().connect() as server:
        assert differing(published, server) == {}
    secret = os.environ["PGPASSWORD"].encode()
    written = [file for file in (tmp_path / "server").rglob("*") if file.is_file()]
    assert [file for file in written if secret in file.read_bytes()] == []


def test_the_loan_applications_have_the_same_rows_on_both_engines(
    tmp_path: Path, new_database: NewDatabase, shared_data: Path
) -> None:
    new_database("loan")
    landing = shared_data / "bpic2012"
    side_by_side(
        lambda: run(tmp_path / "server", LOAN_MAP, landing, "postgres"),
        lambda: run(tmp_path / "embedded", LOAN_MAP, landing, "duckdb"),
    )
    # A map without funnels, dimensions or actions, no contacts or answers, and a single run.
    empty = {
        *("fct_funnel_attempts", "fct_funnel_steps", "fct_visit_segments"),
        *("fct_action_readouts", "fct_restatements"),
        *("fct_support_contacts", "fct_moment_stages", "fct_survey_responses"),
        *("fct_feedback", "fct_feedback_topics", "gap_unclassified_phrases"),
    }
    _assert_parity("loan_application", tmp_path, empty)


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


def _assert_parity(name: str, folder: Path, empty: Set[str] = frozenset()) -> None:
    files = [
        folder / home / "published" / "current" / "journey_gaps.duckdb"
        for home in ("embedded", "server")
    ]
    compared = compare(*files, tolerance=TOLERANCE)
    print(f"\n{name}\n{compared.to_string(index=False)}")  # make test-engines shows it
    assert set(compared.loc[compared["rows"] == 0, "mart"]) == empty
    assert set(compared["schema"]) == {""}
    assert compared["differences"].sum() == 0
