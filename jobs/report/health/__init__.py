"""What is wrong with the tracks of a table, as findings with examples and advice."""

from jobs.report.health.finding import Example, Finding
from jobs.report.health.findings import Predictions, findings

__all__ = ["Example", "Finding", "Predictions", "findings"]
