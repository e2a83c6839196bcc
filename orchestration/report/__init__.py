"""The report: one self-contained HTML page made of nothing but a publication's folder."""

from orchestration.report.page import render_report, write_page, write_report

__all__ = ["render_report", "write_page", "write_report"]
