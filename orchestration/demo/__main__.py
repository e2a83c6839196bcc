"""Rewrite the demo's files in the checkout."""

import json
from pathlib import Path

from orchestration.demo.company import write_demo
from orchestration.settings import PROJECT_DIR


def rewrite(seeds: Path) -> None:
    """Write `demo/` and, outside it so that it is not landed, `demo_truth.json`."""
    truth = write_demo(seeds / "demo")
    text = json.dumps(truth, indent=2, ensure_ascii=False) + "\n"
    (seeds / "demo_truth.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    rewrite(PROJECT_DIR / "seeds")
