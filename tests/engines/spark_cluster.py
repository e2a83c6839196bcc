"""A real Spark cluster on loopback, from the pyspark package: no download, one process a part.

A standalone master, workers of one core each, and HiveThriftServer2 as the one application,
with its metastore (embedded Derby) in the cluster's own folder. Also a program, which prints
the variables that a run needs and keeps the cluster until it is interrupted::

    python -m tests.engines.spark_cluster FOLDER
"""

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NO_JAVA = "skipped: no Java 17 (apt-get install openjdk-17-jre-headless)"
NO_PYSPARK = "skipped: no pyspark (make spark installs it)"
# Those that Spark 4 is made for.
JAVA_VERSIONS = (17, 21)
HOST = "127.0.0.1"
PATIENCE_SECONDS = 180
STOP_SECONDS = 20
POLL_SECONDS = 0.1
# A plan is a tree, which Java walks and reads by recursion: that of a model with some hundred
# columns and steps is deeper than the default stack. The rest is for processes that live for
# minutes on two cores, where compiling twice and collecting beside the work cost more than they
# save; but with room for the code, or Java throws away what it has just compiled.
JAVA_OPTIONS = (
    "-Xss16m -Duser.timezone=UTC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
    " -XX:+UseParallelGC -XX:MetaspaceSize=256m"
)
# Hive's functions name it, and Spark's package lacks it (hive-llap-common). A session that closes
# may load them; once that has failed, the next ones to close never end (SPARK-51041).
MISSING_INTERFACE = "org/apache/hadoop/hive/llap/security/LlapSigner$Signable"

# For two cores and few gigabytes.
CONF = {
    # Adaptive execution makes fewer of them where rows are few.
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.session.timeZone": "UTC",
    # The default, INT96, has no statistics: no filter on a time skips anything.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # The first query waits for every executor.
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": f"{PATIENCE_SECONDS}s",
    "spark.eventLog.enabled": "true",
    "spark.eventLog.rolling.enabled": "false",
    "spark.eventLog.compress": "false",
    # A build is thousands of statements, and the driver remembers them.
    "spark.ui.retainedJobs": "100",
    "spark.ui.retainedStages": "100",
    "spark.sql.ui.retainedExecutions": "20",
    "spark.sql.thriftserver.ui.retainedStatements": "50",
    "spark.ui.showConsoleProgress": "false",
    # Each stage is told to the UI and the log with all of its plan, which has hundreds of steps: a
    # gigabyte in two builds of the demo.
    "spark.sql.ui.explainMode": "simple",
    "spark.sql.maxPlanStringLength": "1000",
}


class ClusterError(Exception):
    """A part of the cluster did not come up; the message has the end of its log."""


def missing() -> str | None:
    """Why there can be no cluster here, as a skipped test says it; None where there can be."""
    if _package() is None or find_spec("pyhive") is None:
        return NO_PYSPARK
    return NO_JAVA if java_home() is None else None


@cache
def java_home() -> Path | None:
    """The newest Java among those that Spark runs on, None where there is none."""
    programs = [Path(home) / "bin" / "java" for home in [os.environ.get("JAVA_HOME")] if home]
    programs += [Path(program) for program in [shutil.which("java")] if program]
    programs += sorted(Path("/usr/lib/jvm").glob("*/bin/java"))
    for program in programs:
        with suppress(OSError):
            said = subprocess.run(
                [program, "-version"], capture_output=True, text=True, check=False
            ).stderr
            version = re.search(r'version "(\d+)', said)
            if version and int(version[1]) in JAVA_VERSIONS:
                return program.resolve().parent.parent
    return None


@dataclass(frozen=True)
class _Part:
    """A process of the cluster, in one group with the processes that it starts."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def stop(self) -> None:
        """End it: first politely, since the event log is closed then."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=STOP_SECONDS)
        # Executors outlive their worker for a while.
        self.signal(signal.SIGKILL)
        self.process.wait(timeout=STOP_SECONDS)


@dataclass(frozen=True)
class SparkCluster:
    """A running cluster: its Thrift server's place, and its parts.

    `folder` holds its warehouse (`warehouse/`), metastore and logs.
    """

    folder: Path
    port: int
    event_log_dir: Path
    _parts: Mapping[str, _Part]
    _master_ui: str
    _driver_ui: str
    _launch_worker: Callable[[int], object]

    @property
    def variables(self) -> dict[str, str]:
        """What a run reads to find it."""
        return {"JOURNEY_GAPS_SPARK_HOST": HOST, "JOURNEY_GAPS_SPARK_PORT": str(self.port)}

    @property
    def event_log(self) -> Path:
        """Spark's event log: one JSON object a line; whole once the cluster has stopped."""
        [file] = self.event_log_dir.iterdir()
        return file

    def log(self, part: str) -> str:
        """What a part has logged: master, worker1 and on, or driver (the Thrift server)."""
        return self._parts[part].log.read_text(encoding="utf-8", errors="replace")

    def workers(self) -> int:
        """How many workers the master knows to be alive."""
        state = _read_json(f"{self._master_ui}/json/")
        return sum(worker["state"] == "ALIVE" for worker in state["workers"])

    def executors(self) -> int:
        """How many executors the driver has at work."""
        return len(self._executors())

    def active_tasks(self) -> int:
        """How many tasks they have under way."""
        return sum(executor["activeTasks"] for executor in self._executors())

    def _executors(self) -> list[dict[str, Any]]:
        [application] = _read_json(f"{self._driver_ui}/api/v1/applications")
        found = _read_json(f"{self._driver_ui}/api/v1/applications/{application['id']}/executors")
        return [executor for executor in found if executor["id"] != "driver"]

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements in a session of their own; return the rows of the last."""
        from pyhive import hive

        with (
            closing(hive.connect(HOST, self.port)) as connection,
            closing(connection.cursor()) as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def clear(self) -> None:
        """Drop every database but the one that is always there."""
        databases = {name for (name,) in self.execute("show databases")} - {"default"}
        self.execute(*(f"drop database `{name}` cascade" for name in databases), "select 1")

    def kill_worker(self, number: int) -> None:
        """Kill a worker (the first is 1) with its executor, as where its machine loses power.

        Returns when master and driver have noticed.
        """
        workers, executors = self.workers() - 1, self.executors() - 1
        part = self._parts[f"worker{number}"]
        part.signal(signal.SIGKILL)
        part.process.wait(timeout=STOP_SECONDS)
        wait_until(lambda: self.workers() == workers, "the master misses the worker")
        wait_until(lambda: self.executors() == executors, "the driver misses the executor")

    def start_worker(self, number: int) -> None:
        """Start a worker that was killed again; returns when its executor is at work."""
        executors = self.executors() + 1
        self._launch_worker(number)
        wait_until(lambda: self.executors() == executors, "the executor is registered")


@contextmanager
def running_cluster(
    folder: Path,
    *,
    workers: int = 2,
    executor_memory_mb: int = 1024,
    driver_memory_mb: int = 4096,
    event_log_dir: Path | None = None,
    conf: Mapping[str, str] | None = None,
) -> Iterator[SparkCluster]:
    """Start a cluster, wait until it answers and has an executor a worker; then stop all of it.

    `folder` must exist and be empty of another cluster's files; the event log goes to
    `event_log_dir` (default: in it). `conf` is added to the driver's, and wins. Raises
    ClusterError with the log of the part that does not come up.
    """
    master_port, master_ui, port, driver_ui = free_ports(4)
    event_log_dir = event_log_dir or folder / "events"
    event_log_dir.mkdir(parents=True, exist_ok=True)
    master = f"spark://{HOST}:{master_port}"
    home, java = _package(), java_home()
    if home is None or java is None:
        raise ClusterError(missing() or NO_PYSPARK)
    spark_class = str(home / "bin" / "spark-class")
    _write_interface(folder / "classes", MISSING_INTERFACE)
    settings = {
        **CONF,
        "spark.cores.max": str(workers),
        "spark.executor.cores": "1",
        "spark.executor.memory": f"{executor_memory_mb}m",
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.ui.port": str(driver_ui),
        "spark.local.dir": str(folder / "scratch"),
        "spark.eventLog.dir": event_log_dir.as_uri(),
        "spark.sql.warehouse.dir": (folder / "warehouse").as_uri(),
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={folder / 'metastore'};create=true"
        ),
        "spark.driver.extraJavaOptions": (
            # Nothing here must outlive a power cut.
            f"{JAVA_OPTIONS} -Dderby.system.home={folder} -Dderby.system.durability=test"
        ),
        "spark.driver.extraClassPath": str(folder / "classes"),
        "spark.executor.extraJavaOptions": JAVA_OPTIONS,
        **(conf or {}),
    }
    with ExitStack() as stack:
        parts: dict[str, _Part] = {}

        def start(name: str, *command: str, memory_mb: int = 256) -> _Part:
            log = folder / f"{name}.log"
            with log.open("wb") as sink:
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=_environment(home, java, folder, memory_mb),
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            parts[name] = _Part(process, log)
            stack.callback(parts[name].stop)
            return parts[name]

        def launch_worker(number: int) -> _Part:
            return start(
                *(f"worker{number}", spark_class, "org.apache.spark.deploy.worker.Worker"),
                *("--host", HOST, "--webui-port", "0", "--cores", "1"),
                *("--memory", f"{executor_memory_mb}m"),
                *("--work-dir", str(folder / f"work{number}"), master),
            )

        cluster = SparkCluster(
            folder,
            port,
            event_log_dir,
            parts,
            f"http://{HOST}:{master_ui}",
            f"http://{HOST}:{driver_ui}",
            launch_worker,
        )
        start(
            *("master", spark_class, "org.apache.spark.deploy.master.Master"),
            *("--host", HOST, "--port", str(master_port), "--webui-port", str(master_ui)),
        )
        _wait_for(parts["master"], lambda: cluster.workers() == 0, "the master answers")
        for number in range(1, workers + 1):
            launch_worker(number)
        start(
            *("driver", str(home / "bin" / "spark-submit"), "--master", master),
            *("--class", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"),
            *(part for name, value in settings.items() for part in ("--conf", f"{name}={value}")),
            "spark-internal",
            *("--hiveconf", f"hive.server2.thrift.port={port}"),
            *("--hiveconf", f"hive.server2.thrift.bind.host={HOST}"),
            memory_mb=driver_memory_mb,
        )
        _wait_for(parts["driver"], lambda: _answers(cluster), "the Thrift server answers")
        _wait_for(
            parts["driver"],
            lambda: cluster.executors() == workers,
            f"{workers} executors are registered",
        )
        yield cluster


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [int(one.getsockname()[1]) for one in sockets]


def wait_until(
    condition: Callable[[], bool], what: str, patience_seconds: float = PATIENCE_SECONDS
) -> None:
    """Poll a condition; raise ClusterError where it does not hold in time."""
    deadline = time.monotonic() + patience_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"gave up after {patience_seconds:g} s waiting until {what}")
        time.sleep(POLL_SECONDS)


def _wait_for(part: _Part, condition: Callable[[], bool], what: str) -> None:
    """As `wait_until`, while the part lives; what it does not answer yet is no error."""

    def holds() -> bool:
        if part.process.poll() is not None:
            raise ClusterError(f"it ended with code {part.process.returncode}")
        # A page of Spark's is there before what it answers in JSON.
        with suppress(OSError, json.JSONDecodeError):
            return condition()
        return False

    try:
        wait_until(holds, what)
    except ClusterError as error:
        end = part.log.read_text(encoding="utf-8", errors="replace")[-4000:]
        raise ClusterError(f"{part.log.stem}: {error}\n{end}") from error


def _answers(cluster: SparkCluster) -> bool:
    """Whether a session opens and a query that needs an executor is answered."""
    # PyHive would log every attempt as an error.
    socket.create_connection((HOST, cluster.port), timeout=10).close()
    return cluster.execute("select count(*) from range(100)") == [(100,)]


def _environment(home: Path, java: Path, folder: Path, memory_mb: int) -> dict[str, str]:
    """Variables of every part: nothing of this process may change how Spark is set up."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    return own | {
        "JAVA_HOME": str(java),
        "SPARK_HOME": str(home),
        "SPARK_CONF_DIR": str(folder),
        # For the Thrift server it says more than spark.driver.memory.
        "SPARK_DAEMON_MEMORY": f"{memory_mb}m",
        "SPARK_LOCAL_DIRS": str(folder / "scratch"),
        "SPARK_LOCAL_HOSTNAME": "localhost",
        "SPARK_LOCAL_IP": HOST,
        "SPARK_NO_DAEMONIZE": "1",
        "TZ": "UTC",
    }


def _write_interface(classes: Path, name: str) -> None:
    """Write a Java interface without members, which needs no compiler (class file, version 52)."""

    def text(value: str) -> bytes:
        return b"\x01" + struct.pack(">H", len(value)) + value.encode()

    constants = [
        *(text(name), b"\x07\x00\x01"),
        *(text("java/lang/Object"), b"\x07\x00\x03"),
    ]
    public_abstract_interface = 0x0601
    file = (classes / name).with_suffix(".class")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(
        struct.pack(">IHHH", 0xCAFEBABE, 0, 52, len(constants) + 1)
        + b"".join(constants)
        + struct.pack(">7H", public_abstract_interface, 2, 4, 0, 0, 0, 0)
    )


def _package() -> Path | None:
    """Where pyspark is installed, though our program hides it (orchestration/validation)."""
    spec = PathFinder.find_spec("pyspark")
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else None


def _read_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 (loopback, our URL)
        return json.load(response)


if __name__ == "__main__":
    place = Path(sys.argv[1]).resolve()
    place.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), running_cluster(place) as running:
        for variable, value in running.variables.items():
            print(f"export {variable}={value}", flush=True)
        signal.pause()
