"""What `make bench-peers` compares answers alike, and what takes too much is stopped."""

from functools import partial
from pathlib import Path

import duckdb
import pytest

from tests.benchmarks.by_hand import any_entry_funnel
from tests.benchmarks.contenders import (
    ANY_ENTRY,
    FIRST_ENTRY,
    Contender,
    ask_clickhouse,
    ask_duckdb,
    has_chdb,
    import_chdb,
)
from tests.benchmarks.measuring import Limits, StoppedError, measured
from tests.benchmarks.peers import Race, check, run_file
from tests.benchmarks.scale import write_parquet

MEMORY_MB = 1_000
# A contender that hangs fails its test.
PATIENCE = Limits(memory_mb=4_000, seconds=300)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file of the benchmark's, with more attempts, and with many events of one moment."""
    folder = tmp_path_factory.mktemp("events")
    path, tied = folder / "events.parquet", folder / "tied.parquet"
    measured(lambda: write_parquet(path, folder / "later.parquet", 70_000, events_a_case=20))
    duckdb.execute(f"""
        copy (
            select * replace (
                case
                    when hash(entity_id) % 2 = 0 then time_bucket(interval 6 hours, event_ts)
                    else event_ts
                end as event_ts,
                case
                    when hash(event_id) % 5 = 0 then 'stage_1'
                    when hash(event_id) % 11 = 0 then 'stage_8'
                    else stage
                end as stage
            )
            from '{path}' order by event_ts, stage
        ) to '{tied}' (format parquet)
    """)
    [(ties,)] = duckdb.sql(f"""
        select count(*) - count(distinct (entity_id, event_ts)) from '{tied}'
    """).fetchall()
    assert ties > 1_000
    return tied


def test_all_contenders_answer_alike(
    events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    race = Race(PATIENCE, turns=1)
    answers = run_file(tmp_path, events, race, with_ours=True)
    assert race.stopped == {}
    tables = capsys.readouterr().out
    for name in ("our models", "the query with attempts, in DuckDB", "polars, windows", "pm4py"):
        assert name in race.largest
    assert "pays after" in tables
    # What the funnel from the first entry misses is there to be missed.
    [[first], [furthest]] = answers[FIRST_ENTRY], answers[ANY_ENTRY]
    assert first[0] == furthest[0] > 500
    assert 0 < first[4] < furthest[4]


@pytest.mark.skipif(not has_chdb(), reason="skipped: no ClickHouse (make peers installs chdb)")
def test_window_funnel_counts_the_same(events: Path, tmp_path: Path) -> None:
    clickhouse = measured(
        lambda: ask_clickhouse(events, MEMORY_MB), prepare=import_chdb, limits=PATIENCE
    )
    by_hand = measured(
        lambda: ask_duckdb(any_entry_funnel(events), tmp_path, MEMORY_MB), limits=PATIENCE
    )
    assert clickhouse.result == by_hand.result


def test_what_reaches_a_limit_is_stopped() -> None:
    def take_memory() -> None:
        taken = [bytearray(b"x" * 2**20) for _ in range(100_000)]
        raise AssertionError(f"{len(taken)} MiB were taken")

    def take_time() -> None:
        while True:
            pass

    with pytest.raises(StoppedError, match="1,000 MB"):
        measured(take_memory, limits=Limits(memory_mb=1_000))
    with pytest.raises(StoppedError, match="1 s"):
        measured(take_time, limits=Limits(seconds=1))


def test_who_was_stopped_is_not_tried_again(tmp_path: Path) -> None:
    tries = tmp_path / "tries"

    def fail() -> list[int]:
        with tries.open("a") as file:
            file.write("x")
        raise MemoryError

    race = Race(PATIENCE)
    contenders = [Contender("greedy", "one?", fail), Contender("modest", "one?", lambda: [1])]
    for events in (1_000_000, 5_000_000):
        assert race.run(contenders, events).keys() == {"modest"}
    assert tries.read_text() == "x"
    assert race.stopped == {"greedy": "out of memory at 1.0 M"}
    assert race.largest == {"modest": 5_000_000}


def test_contenders_who_differ_end_the_benchmark() -> None:
    contenders = [
        Contender(name, "how many?", partial(list, [answer]))
        for name, answer in (("one", 1), ("another", 1), ("other", 2))
    ]
    costs = Race(PATIENCE, turns=1).run(contenders, 1)
    assert check(contenders[:2], costs) == {"how many?": [1]}
    with pytest.raises(SystemExit, match="one and other differ on how many"):
        check(contenders, costs)
