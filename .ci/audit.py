"""Known vulnerabilities of what requirements.lock pins: `make audit`.

pip-audit asks the advisory source for each pinned version. Exit 0: all were asked about, none
is known to be vulnerable; 1: some are; 2: some or all could not be audited, which is no
verdict. It is not part of CI: an advisory published today must not fail a change of code.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
CLEAN, VULNERABLE, UNKNOWN = 0, 1, 2


def verdict(dependencies: list[dict[str, Any]]) -> tuple[int, str]:
    """Exit code and text for the dependencies of pip-audit's JSON."""
    skipped = [each["name"] for each in dependencies if "skip_reason" in each]
    found = [
        f"{each['name']} {each['version']}: {vulnerability['id']}"
        f" (fixed in {', '.join(vulnerability['fix_versions']) or 'no version yet'})"
        for each in dependencies
        for vulnerability in each.get("vulns", [])
    ]
    audited = len(dependencies) - len(skipped)
    lines = [f"{audited} of {len(dependencies)} packages audited, {len(found)} advisories", *found]
    if skipped:
        lines.append(
            f"NOT audited, the advisory source does not answer for them: {len(skipped)} packages, "
            f"such as {', '.join(skipped[:3])}"
        )
    if found:
        return VULNERABLE, "\n".join(lines)
    return (UNKNOWN if skipped or not dependencies else CLEAN), "\n".join(lines)


def main() -> int:
    """Run pip-audit over the lock file, whose hashes it checks against."""
    done = subprocess.run(  # noqa: S603 (our own interpreter's pip-audit, no shell)
        [
            *(str(Path(sys.executable).with_name("pip-audit")), "--requirement", str(LOCK)),
            *("--require-hashes", "--disable-pip", "--progress-spinner", "off"),
            *("--format", "json", "--timeout", "15"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        tail = "\n".join(done.stderr.strip().splitlines()[-3:])
        print(f"NOT audited: the advisory source cannot be reached, or pip-audit failed.\n{tail}")
        return UNKNOWN
    code, text = verdict(dependencies)
    print(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
