"""One HTML page on a data set and what was trained on it, for people who were not there: `mmkd report`."""

from mmkd_core.evidence.report.written import write_report

__all__ = ["write_report"]
