"""Every model compiled by dbt for a warehouse that nobody connects to."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from orchestration.settings import PROJECT_DIR

PATIENCE_SECONDS = 600
FOLDERS = ("macros", "models", "seeds", "tests/dbt")

# Nobody answers, so what a statement is written from is said here: there is no relation when
# the first build begins, and an increment finds what it asks for. The values read are ids and
# numbers; 1 is both.
STUBS = {
    "first build": """
{% macro read_values(relation, column, condition) -%} {{ return([]) }} {%- endmacro %}
{% macro built_relation(identifier) -%} {{ return(none) }} {%- endmacro %}
{% macro is_incremental() -%} {{ return(false) }} {%- endmacro %}
""",
    "increment": """
{% macro read_values(relation, column, condition) -%} {{ return(["1"]) }} {%- endmacro %}
{% macro built_relation(identifier) -%}
    {{ return(api.Relation.create(this.database, this.schema, identifier)) }}
{%- endmacro %}
{% macro is_incremental() -%}
    {{ return(config.get("materialized") == "incremental") }}
{%- endmacro %}
""",
}
PROFILES = """
journey_gaps:
  target: snowflake
  outputs:
    snowflake:
      {type: snowflake, account: none, user: none, password: none, database: journey_gaps,
       schema: main, warehouse: none, threads: 1}
    bigquery:
      {type: bigquery, method: oauth-secrets, token: none, project: journey-gaps,
       dataset: main, threads: 1}
"""


def compiled_models(dialect: str, state: str, programs: Path, folder: Path) -> dict[str, str]:
    """The statement of each model by its name, as dbt compiles it for a dialect.

    `state` is a key of STUBS, `programs` a folder with a dbt that has the dialect's adapter;
    `folder` gets a copy of the project. A failed test shows dbt's output.
    """
    for part in FOLDERS:
        shutil.copytree(PROJECT_DIR / part, folder / part)
    shutil.copy(PROJECT_DIR / "dbt_project.yml", folder)
    stub = STUBS[state]
    for name in re.findall(r"macro (\w+)\(", stub):
        for file in (folder / "macros").glob("*.sql"):
            definition = rf"\{{% macro {name}\(.*?endmacro -?%\}}"
            file.write_text(re.sub(definition, "", file.read_text(), flags=re.DOTALL))
    (folder / "macros" / "stubs.sql").write_text(stub)
    (folder / "profiles.yml").write_text(PROFILES)
    done = subprocess.run(
        [
            *(programs / "dbt", "compile", "--quiet", "--target", dialect),
            *("--no-introspect", "--no-populate-cache", "--select", "resource_type:model"),
            *("--indirect-selection", "empty"),
            *("--target-path", "target", "--log-level-file", "none"),
        ],
        cwd=folder,
        env={**os.environ, "JOURNEY_GAPS_HOME": str(folder), "DBT_PROFILES_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    compiled = folder / "target" / "compiled" / "journey_gaps" / "models"
    files = [file for file in sorted(compiled.rglob("*.sql")) if file.parent.suffix != ".yml"]
    return {file.stem: file.read_text() for file in files}
