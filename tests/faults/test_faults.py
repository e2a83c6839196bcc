"""What may happen to a run in a year, done to real ones: nothing is lost, nothing half-built.

Each fault meets a run that has new rows to take in and a publication to replace. Afterwards a
plain run publishes what an undisturbed one does, row for row.

FAULT_MOMENTS is the number of moments within each step at which a run is killed; without it one
moment in each of two steps, a full disk and a damaged file. docs/operation.md says how often what
was tried.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from libfaketime import get_reload_information

from tests.small_runs import Finished, Home, write_log, write_map

pytestmark = pytest.mark.slow

STEPS = ("journey_map", "landing", "raw_gate", "dbt_models", "marts_gate", "publication")
IS_WHOLE = "FAULT_MOMENTS" in os.environ
MOMENTS = int(os.environ.get("FAULT_MOMENTS", "1"))
READER_SECONDS = 60
KILLED_IN = STEPS if IS_WHOLE else ("dbt_models", "publication")
FILLED_IN = ("dbt_models", "publication") if IS_WHOLE else ("publication",)
DAMAGES = ("its head", "its middle", "its end is missing") if IS_WHOLE else ("its middle",)
only_whole = pytest.mark.skipif(not IS_WHOLE, reason="skipped: takes an hour, with FAULT_MOMENTS")
# A step may end before its moment comes: the kill then hits the next one, and so often at most
# another is tried.
AT_LEAST, TRIES = 5, 4
LEFTOVERS = (".landing-*", ".copy-*", "*.tmp", "spill", "*.draft", "*.wal")


class Undisturbed:
    """A HOME whose next run has work to do, and what an undisturbed run makes of it."""

    def __init__(self, folder: Path) -> None:
        self._pristine, self._folder = folder / "pristine", folder / "all"
        self._folder.mkdir(parents=True)
        home = self.home
        write_map(home.map)
        write_log(home.landing, "event_log.csv", cases=240)
        first = home.run()
        assert first.exit_code == 0, first.errors
        # Cases that are new, and the end of some that the first run saw open.
        home.landing.joinpath("event_log.csv").rename(home.landing / "event_log_1.csv")
        in_a_folder = home.landing / "event_log"
        in_a_folder.mkdir()
        (home.landing / "event_log_1.csv").rename(in_a_folder / "1.csv")
        write_log(in_a_folder, "2.csv", first=240, cases=60)
        write_log(in_a_folder, "3.csv", first=101, cases=30)
        shutil.copytree(self._folder, self._pristine, symlinks=True)
        run = home.run()
        assert run.exit_code == 0, run.errors
        self.rows = published_rows(home)
        self.books = books(home)
        self.seconds = {
            step: float(seconds)
            for step, seconds in re.findall(r"^(\w+) +done +([\d.]+) s$", run.output, re.M)
        }
        assert set(self.seconds) == set(STEPS)

    @property
    def home(self) -> Home:
        """Always at the same place: dbt would parse the project again."""
        return Home(self._folder / "home", self._folder / "map", self._folder / "landing")

    def restore(self) -> Home:
        """The HOME as it was before the run."""
        shutil.rmtree(self._folder)
        shutil.copytree(self._pristine, self._folder, symlinks=True)
        return self.home

    def check(self, home: Home) -> None:
        """A plain run now publishes what an undisturbed one did, and leaves nothing behind."""
        run = home.run()
        assert run.exit_code == 0, run.errors
        assert published_rows(home) == self.rows
        assert books(home) == self.books
        assert [path for name in LEFTOVERS for path in home.home.rglob(name)] == []
        with home.instance() as instance:
            assert not [run.run_id for run in instance.get_runs() if not run.is_finished], (
                "Dagster believes that a dead run goes on"
            )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    made = Undisturbed(tmp_path_factory.mktemp("faults"))
    yield made
    shutil.rmtree(made.home.settings.seed_dir, ignore_errors=True)


def published_rows(home: Home) -> dict[str, tuple[int, str]]:
    """Mart -> its rows and the hash of their content."""
    marts = home.manifest()["marts"].items()
    return {name: (mart["rows"], mart["content_hash"]) for name, mart in marts}


def books(home: Home) -> list[tuple[object, ...]]:
    """Each file that landed with its counts, and the rows that are there."""
    with duckdb.connect(home.settings.warehouse, read_only=True) as connection:
        landed = connection.execute(
            "select source_file, rows_in, rows_kept, rows_quarantined, rows_duplicate"
            " from raw.loads where status = 'landed' order by all"
        ).fetchall()
        return (
            landed
            + connection.execute(
                "select count(*), count(distinct event_id) from raw.event_log"
            ).fetchall()
        )


def begin(home: Home, step: str) -> tuple[subprocess.Popen[str], str]:
    """A run of which `step` begins now, and what it has printed."""
    process = home.start(is_group=True)
    assert process.stdout is not None
    printed = ""
    before = STEPS[STEPS.index(step) - 1] if step != STEPS[0] else None
    if before is None:
        while not home.settings.warehouse.with_suffix(".lock.json").exists():
            assert lasts(process, 0.02)
        return process, printed
    for line in process.stdout:
        printed += line
        if line.startswith(f"{before} "):
            return process, printed
    raise AssertionError(f"the run ended before {step}: {printed}{process.communicate()[1]}")


def lasts(process: subprocess.Popen[str], seconds: float) -> bool:
    """Whether the process goes on for so long."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def kill(process: subprocess.Popen[str], *, with_all: bool) -> str:
    """End a run, alone or with every process that it began; what it still printed."""
    if with_all:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    # What lives on holds the other end of the pipe.
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    process.wait()
    rest = process.stdout.read()
    process.stdout.close()
    return rest or ""


@pytest.mark.parametrize("step", KILLED_IN)
def test_a_run_is_killed(step: str, undisturbed: Undisturbed) -> None:
    """With kill -9, by turns the run alone (its step lives on) and all its processes."""
    hits: list[str] = []
    before = {run.name for run in runs_of(undisturbed.restore())}
    while len(hits) < MOMENTS or hits.count(step) < min(MOMENTS, AT_LEAST):
        assert len(hits) < TRIES * MOMENTS, hits
        home = undisturbed.restore()
        process, printed = begin(home, step)
        share = (len(hits) % MOMENTS + 0.5) / MOMENTS
        goes_on = lasts(process, share * undisturbed.seconds[step])
        printed += kill(process, with_all=len(hits) % 2 == 0)
        ended = re.findall(r"^(\w+) +done ", printed, re.M)
        hit = next((name for name in STEPS if name not in ended), "its end")
        hits.append(hit if goes_on else "nothing")
        current = home.publication().name
        assert current in before or "publication" in (hit, *ended)
        undisturbed.check(home)
    print(f"killed, meant for {step}: {Counter(hits)}")


def runs_of(home: Home) -> list[Path]:
    return sorted((home.home / "published" / "runs").iterdir())


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own with 600 MB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("skipped: only root mounts a small disk")
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"skipped: no small disk here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * (1 << 20)):
            pass
    return filler


@pytest.mark.parametrize("step", FILLED_IN)
def test_the_disk_is_full(step: str, undisturbed: Undisturbed) -> None:
    pristine = undisturbed.restore()
    parked = pristine.home.with_name("parked")
    pristine.home.rename(parked)
    try:
        with small_disk(pristine.home):
            shutil.copytree(parked, pristine.home, symlinks=True, dirs_exist_ok=True)
            home = undisturbed.home
            current = home.publication()
            process, printed = begin(home, step)
            filler = fill(home.home)
            output, errors = process.communicate()
            assert process.returncode == 1, printed + output + errors
            assert "disk is full" in errors, printed + output + errors
            assert "journey-gaps prune" in errors
            assert home.publication() == current
            assert [name for name in runs_of(home) if name.suffix == ".tmp"] == []
            filler.unlink()
            undisturbed.check(home)
    finally:
        shutil.rmtree(parked, ignore_errors=True)


READER = """
import sys, duckdb
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    print(connection.sql("select count(*) from raw.event_log").fetchone(), flush=True)
    sys.stdin.read()
"""


@contextmanager
def reader(home: Home) -> Iterator[subprocess.Popen[str]]:
    """An analyst's program that has the private warehouse open until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(home.settings.warehouse)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline().startswith("(")
        yield process
    finally:
        process.stdin.close()
        process.wait()


@only_whole
def test_a_reader_has_the_warehouse_open_before_the_run(undisturbed: Undisturbed) -> None:
    home = undisturbed.restore()
    with reader(home):
        process = home.start()
        assert process.stdout is not None
        assert any("Waiting up to 600 s for another program" in line for line in process.stdout)
        assert lasts(process, READER_SECONDS)
    assert Finished.wait(process).exit_code == 0
    assert published_rows(home) == undisturbed.rows


@only_whole
@pytest.mark.parametrize("step", STEPS[1:])
def test_a_reader_opens_the_warehouse_between_steps(step: str, undisturbed: Undisturbed) -> None:
    home = undisturbed.restore()
    process, _ = begin(home, step)
    with reader(home):
        lasts(process, READER_SECONDS)
    assert Finished.wait(process).exit_code == 0
    assert published_rows(home) == undisturbed.rows


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_warehouse_file_is_damaged(damage: str, undisturbed: Undisturbed) -> None:
    home = undisturbed.restore()
    current = home.publication()
    file = home.settings.warehouse
    size = file.stat().st_size
    with file.open("r+b") as content:
        match damage:
            case "its head":
                content.write(os.urandom(3 * 4096))
            case "its middle":
                content.seek(3 * 4096)
                content.write(os.urandom(size - 4 * 4096))
            case _:
                content.truncate(size // 2)
    run = home.run()
    assert run.exit_code == 1
    assert "warehouse.duckdb" in run.errors
    assert "journey-gaps run --rebuild" in run.errors
    assert home.publication() == current

    rebuilt = home.run("--rebuild")
    assert rebuilt.exit_code == 0, rebuilt.errors
    assert published_rows(home) == undisturbed.rows
    assert list(home.home.glob("warehouse.duckdb.damaged-*"))


def is_open(file: Path, process: subprocess.Popen[str]) -> bool:
    """Whether a process of the run has the file open now."""
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):
            if os.getsid(int(descriptors.parent.name)) == process.pid and any(
                link.samefile(file) for link in descriptors.iterdir() if link.exists()
            ):
                return True
    return False


@only_whole
@pytest.mark.skipif(sys.platform != "linux", reason="skipped: only Linux tells who reads a file")
@pytest.mark.parametrize("seconds", [0.1 * moment for moment in range(min(MOMENTS, 5))])
def test_a_landing_file_is_deleted_while_it_is_read(
    seconds: float, undisturbed: Undisturbed
) -> None:
    home = undisturbed.restore()
    file = home.landing / "event_log" / "2.csv"
    parked = file.read_text()
    header, rows = parked.split("\n", 1)
    file.write_text(f"{header}\n{rows * 8000}")
    process = home.start(is_group=True)
    while not is_open(file, process):
        assert lasts(process, 0.001)
    lasts(process, seconds)
    file.unlink()
    run = Finished.wait(process)
    rejected = [line for line in run.lines if "2.csv" in line]
    print(f"deleted {seconds:.2f} s after it was opened: {rejected or 'it landed'}")
    if run.exit_code == 0:
        # It had been opened for the last time: whole, then, or not at all.
        landed = {row[0]: row[1:] for row in books(home)}
        kept = next(row[2] for row in undisturbed.books if row[0] == "event_log/2.csv")
        assert landed["event_log/2.csv"][:2] == (8000 * rows.count("\n"), kept)
        assert published_rows(home) == undisturbed.rows
        return
    assert run.exit_code == 3, run.errors
    assert rejected
    file.write_text(parked)
    undisturbed.check(home)


@only_whole
def test_the_clock_is_moved_back(undisturbed: Undisturbed) -> None:
    """By ten days, between the first run and the next."""
    home = undisturbed.restore()
    first = home.publication()
    _, faked = get_reload_information()
    home.variables |= {**faked, "FAKETIME": "-10d"}
    run = home.run()
    assert run.exit_code == 0, run.errors
    published_at = datetime.fromisoformat(home.manifest()["published_at"])
    assert published_at < datetime.now(UTC) - timedelta(days=9)
    assert home.publication() != first
    assert published_rows(home) == undisturbed.rows
    home.variables.clear()
    undisturbed.check(home)


@only_whole
def test_two_runs_are_started_at_once(undisturbed: Undisturbed) -> None:
    home = undisturbed.restore()
    processes = [home.start(), home.start()]
    for process in processes:
        assert Finished.wait(process).exit_code == 0
    assert published_rows(home) == undisturbed.rows
