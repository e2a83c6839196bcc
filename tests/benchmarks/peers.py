"""Moves, times in stage and a five-step funnel beside what others would use, in one run.

`make bench-peers [SIZES=1,5,20]`, in million events, about 20 a case. Per size all contenders read
one Parquet file of raw events, each in a process of its own on two threads, and must agree. One
that takes more than BENCH_MEMORY (8GiB) of resident memory or BENCH_SECONDS (900) is stopped, and
is not tried at larger sizes. BENCH_DIR names a folder for the files; BENCH_FILE a file of events
that is there, in the order of event_ts and stage, on which the others run alone, instead of SIZES.
"""

import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from orchestration.journey_map import load_journey_map, write_seeds
from orchestration.settings import Settings
from tests.benchmarks.contenders import (
    ALL_MOVES,
    ANY_ENTRY,
    FIRST_ENTRY,
    LOADED,
    MOVES_OF_ATTEMPTS,
    Contender,
    has_chdb,
    ours_in_funnels,
    ours_in_moves,
    rivals_in_funnels,
    rivals_in_moves,
)
from tests.benchmarks.hundred_million import EVENTS_A_CASE
from tests.benchmarks.measuring import Cost, Limits, StoppedError, measured
from tests.benchmarks.scale import (
    MAP,
    MILLION,
    THREADS,
    build,
    by_group,
    line,
    median,
    seed,
    write_parquet,
    write_warehouse,
)
from tests.maps import write_tables

SELECTED = ("--select", "+fct_stage_transitions", "+fct_funnel_attempts")
PUBLISHED = "".join(
    f"create table published.{fact} as from marts.{fact};"
    for fact in ("fct_stage_transitions", "fct_funnel_attempts")
)
OURS = "our models"
TURNS = 3
# What takes longer runs once: noise is the smaller part of it.
SECONDS_OF_TURNS = 60
MEBIBYTES = {"KB": 1e3 / 2**20, "MB": 1e6 / 2**20, "GB": 1e9 / 2**20, "MiB": 1, "GiB": 1024}
# Of the limit, what an engine is told: all of them take some more than they are told.
SHARE_OF_ENGINE = 0.75


class Costs(NamedTuple):
    """What there is to compare at one size: by contender, and of our models by group."""

    contenders: dict[str, Cost]
    groups: dict[str, tuple[float, float]]


class Race:
    """All contenders over all sizes: who was stopped, and how far each came."""

    def __init__(self, limits: Limits, turns: int = TURNS) -> None:
        self.limits = limits
        self.turns = turns
        self.stopped: dict[str, str] = {}
        self.largest: dict[str, int] = {}

    def run(self, contenders: Sequence[Contender], events: int) -> dict[str, Cost]:
        """The median of each who was not stopped, printed. All to one question must agree."""
        turns: dict[str, list[Cost]] = {contender.name: [] for contender in contenders}
        for _ in range(self.turns):
            for contender in contenders:
                costs = turns[contender.name]
                if contender.name in self.stopped or any(
                    cost.wall_seconds > SECONDS_OF_TURNS for cost in costs
                ):
                    continue
                cost = self.tried(contender, events)
                if cost is not None:
                    costs.append(cost)
        medians = {
            name: median(costs)
            for name, costs in turns.items()
            if costs and name not in self.stopped
        }
        for name in turns:
            if name in medians:
                show(name, medians[name])
            else:
                print(f"| {name} | stopped: {self.stopped[name]} | | |", flush=True)
        return medians

    def tried(self, contender: Contender, events: int) -> Cost | None:
        """One turn; None where it was stopped, which is remembered."""
        try:
            cost = measured(contender.work, prepare=contender.prepare, limits=self.limits)
        except StoppedError as error:
            self.stopped[contender.name] = f"{error} at {events / MILLION:,.1f} M"
            return None
        self.largest[contender.name] = events
        # The tables come after all turns, hours later where there is much to do.
        print(f"{contender.name}: {cost.cpu_seconds:.2f} CPU s", file=sys.stderr, flush=True)
        return cost


def show(name: str, cost: Cost) -> None:
    line(name, cost.cpu_seconds, cost.wall_seconds, cost.peak_mb)


def check(contenders: Sequence[Contender], costs: dict[str, Cost]) -> dict[str, Any]:
    """The answer to each question. Raises SystemExit where two differ."""
    answers: dict[str, tuple[str, Any]] = {}
    for contender in contenders:
        if contender.name not in costs:
            continue
        answer = costs[contender.name].result
        name, first = answers.setdefault(contender.question, (contender.name, answer))
        if answer != first:
            differences = [pair for pair in zip(first, answer, strict=False) if pair[0] != pair[1]]
            raise SystemExit(
                f"{name} and {contender.name} differ on {contender.question}: "
                f"{len(first)} and {len(answer)} rows, first {differences[:1]}"
            )
    return {question: answer for question, (_, answer) in answers.items()}


def show_answers(answers: dict[str, Any]) -> None:
    """What all agreed on, and by how much the questions differ."""
    print()
    for question in (ALL_MOVES, MOVES_OF_ATTEMPTS):
        if question in answers:
            moves = answers[question]
            count, seconds = (sum(row[place] for row in moves) for place in (2, 3))
            print(
                f"{question}: {count:,} of {len(moves)} kinds, {seconds / count / 86_400:.4f} days"
            )
    for question in (FIRST_ENTRY, ANY_ENTRY):
        if question in answers:
            [reached] = answers[question]
            print(f"{question}: {', '.join(f'{count:,}' for count in reached)}")


def write_events(folder: Path, size: float) -> Path:
    """A file of `size` million events, made in another process, whose memory no fork inherits."""
    path, increment = folder / "events.parquet", folder / "increment.parquet"
    events = int(size * MILLION)
    measured(lambda: write_parquet(path, increment, events, events_a_case=EVENTS_A_CASE))
    return path


def count_events(path: Path) -> tuple[int, int]:
    """How many events, of how many customers."""
    counted = f"select count(*), count(distinct entity_id) from '{path}'"
    [(events, customers)] = measured(lambda: duckdb.sql(counted).fetchall()).result
    return events, customers


def write_ours(settings: Settings, folder: Path, path: Path) -> None:
    """A warehouse with the events as landed, and its map seeded."""
    write_seeds(load_journey_map(write_tables(folder / "map", MAP)), settings.seed_dir)
    show("events stored as landed, not judged", measured(lambda: write_warehouse(settings, path)))
    measured(lambda: seed(settings))


def build_ours(settings: Settings, race: Race, events: int) -> dict[str, tuple[float, float]]:
    """CPU and wall seconds of the groups of our models; none where they were stopped."""
    work = Contender(OURS, "", lambda: [build(settings, *SELECTED)])
    cost = race.tried(work, events)
    if cost is None:
        print(f"| {OURS} | stopped: {race.stopped[OURS]} | | |", flush=True)
        return {}
    groups = by_group(cost.result[0])
    for group in ("mapping", "facts", "funnels", "all models"):
        line(f"ours: {group}", *groups[group], cost.peak_mb if group == "all models" else None)
    show("both facts published", measured(lambda: store_facts(settings)))
    return groups


def store_facts(settings: Settings) -> None:
    with duckdb.connect(str(settings.warehouse), config={"threads": THREADS}) as connection:
        connection.execute(f"create schema published; {PUBLISHED}")


def compare(
    what: str,
    rivals: Sequence[Contender],
    ours: Sequence[Contender],
    built: str,
    found: Costs,
) -> None:
    """CPU seconds of ours over each rival's: of models with and without mapping, and asked.

    Last, after how many times of asking the view our models have cost less than that rival.
    """
    print(f"\n| {what}: ours / peer, CPU | mapping and {built} | {built} ", end="")
    print("| view | published | pays after |\n|---|---|---|---|---|---|")
    part = found.groups[built][0]
    whole = part + found.groups["mapping"][0]
    asked = [
        found.contenders[contender.name].cpu_seconds
        for contender in ours
        if contender.name in found.contenders
    ]
    for rival in rivals:
        if len(asked) < len(ours) or rival.name not in found.contenders or rival.question == LOADED:
            continue
        cost = found.contenders[rival.name].cpu_seconds
        ratios = " | ".join(f"{seconds / cost:.2f}" for seconds in (whole, part, *asked))
        saved = cost - asked[0]
        pays = f"{math.ceil(whole / saved)} times" if saved > 0 else "never"
        print(f"| {rival.name} | {ratios} | {pays} |", flush=True)


def run_file(folder: Path, path: Path, race: Race, *, with_ours: bool) -> dict[str, Any]:
    """Everything on one file. Returns the answers by question."""
    events, customers = count_events(path)
    print(f"\n### {events:,} events of {customers:,} customers\n")
    print("| what | CPU s | wall s | peak MB |\n|---|---|---|---|")
    memory_mb = race.limits.memory_mb * SHARE_OF_ENGINE
    in_moves = rivals_in_moves(path, folder, memory_mb)
    in_funnels = rivals_in_funnels(path, folder, memory_mb)
    groups: dict[str, tuple[float, float]] = {}
    moves, funnels = [], []
    settings = Settings(home=folder / "home", threads=1, memory_limit=f"{memory_mb:.0f}MiB")
    try:
        if with_ours and OURS not in race.stopped:
            write_ours(settings, folder, path)
            groups = build_ours(settings, race, events)
        if groups:
            moves = ours_in_moves(settings.warehouse)
            funnels = ours_in_funnels(settings.warehouse)
        contenders = [*moves, *in_moves, *funnels, *in_funnels]
        costs = race.run(contenders, events)
    finally:
        shutil.rmtree(settings.seed_dir, ignore_errors=True)
    answers = check(contenders, costs)
    show_answers(answers)
    if groups:
        compare("moves and times", in_moves, moves, "facts", Costs(costs, groups))
        compare("funnel", in_funnels, funnels, "funnels", Costs(costs, groups))
    return answers


def limits() -> Limits:
    memory = os.environ.get("BENCH_MEMORY", "8GiB")
    size = re.fullmatch(r"(\d+(?:\.\d+)?) ?(\w+)", memory)
    if size is None or size[2] not in MEBIBYTES:
        raise SystemExit(f"BENCH_MEMORY: {memory}: not understood: a size such as 8GiB")
    return Limits(
        memory_mb=float(size[1]) * MEBIBYTES[size[2]],
        seconds=float(os.environ.get("BENCH_SECONDS", "900")),
    )


def main() -> None:
    """Run the sizes, or the file that is there; then how far each came."""
    if not has_chdb():
        print("skipped: ClickHouse, since chdb is not installed (make bench-peers installs it)")
    race = Race(limits())
    given = os.environ.get("BENCH_FILE")
    sizes = [] if given else os.environ.get("SIZES", "1,5,20").split(",")
    parent = os.environ.get("BENCH_DIR")
    if given:
        with tempfile.TemporaryDirectory(dir=parent) as name:
            run_file(Path(name), Path(given), race, with_ours=False)
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=parent) as name:
            run_file(Path(name), write_events(Path(name), float(size)), race, with_ours=True)
    print("\n| contender | largest size done, M events | stopped |\n|---|---|---|")
    for contender in {**race.largest, **race.stopped}:
        done = race.largest.get(contender, 0) / MILLION
        print(f"| {contender} | {done:,.1f} | {race.stopped.get(contender, '')} |")


if __name__ == "__main__":
    main()
