"""A small B2B software company, invented: raw CSV files in which gaps are planted.

`python -m orchestration.demo` rewrites seeds/demo and, beside it, seeds/demo_truth.json: what
was planted, and what the ranking must therefore say. The figures stand in `plan.Plan`, the
company's year in `company`, what its customers write in `verbatims`.
"""

from orchestration.demo.company import write_demo
from orchestration.demo.plan import Plan, Segment

__all__ = ["Plan", "Segment", "write_demo"]
