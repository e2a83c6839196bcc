"""What is wrong with an installation, a HOME and a journey map, and what to do about it.

findings.py      what a finding is
installation.py  Python, packages, dbt
operation.py     HOME, disk, clock, runs, publication, landing
services.py      what is beside the files: Dagster's daemon, PostgreSQL, Spark
map_rows.py      the journey map alone: benchmarks, owners
map_use.py       the journey map against the data: unmapped events, stages never reached
dead_rules.py    rules of the map that no event meets
examination.py   all of them in their order
"""

from orchestration.doctor.examination import examine
from orchestration.doctor.findings import Finding, Level

__all__ = ["Finding", "Level", "examine"]
