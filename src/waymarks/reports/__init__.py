"""Reports: what a person looks at."""

from waymarks.reports.configuration import arm_names_for
from waymarks.reports.report import Report, write_report
from waymarks.reports.summary import arm_table, outcome_of_runs

__all__ = ["Report", "arm_names_for", "arm_table", "outcome_of_runs", "write_report"]
