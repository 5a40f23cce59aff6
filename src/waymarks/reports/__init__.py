"""Reports: what a person looks at."""

from waymarks.reports.arms import FEW_STEPS, arm_table
from waymarks.reports.configuration import arm_names_for
from waymarks.reports.loose import outcome_of_runs
from waymarks.reports.report import Report, write_report

__all__ = ["FEW_STEPS", "Report", "arm_names_for", "arm_table", "outcome_of_runs", "write_report"]
