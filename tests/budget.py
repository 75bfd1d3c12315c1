"""What `make test` may cost: CPU seconds of each room on one core, printed beside what it took.

A run never fails by time. A room over its budget gets shared fixtures, smaller sizes or `slow` marks; where
that would cost a law, its number here is raised, in the same change.
"""

import os
from collections import Counter

import pytest

SECONDS = {  # that two loaded cores took in November 2026, and room for some tests more
    "start": 28,
    "callbacks": 20,
    "cli": 65,
    "data": 38,
    "energies": 5,
    "generator_terms": 15,
    "generators": 12,
    "inference": 20,
    "methods": 70,
    "metrics": 32,
    "negatives": 5,
    "numerics": 2,
    "reports": 16,
    "run": 120,
    "samplers": 5,
    "search": 20,
    "studies": 25,
    "tests": 5,
}
_clock = 0.0  # of this process at the end of its last phase of a test
_start = 0.0  # what imports and the collection took, until the first report has told it


def _cpu() -> float:
    """CPU seconds of this process and of those it has waited for."""
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


def pytest_collection_finish():
    global _clock, _start
    _clock = _start = _cpu()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """A report takes its seconds along: with xdist it is read in another process."""
    global _clock, _start
    report = yield
    now = _cpu()
    report.cpu_seconds, report.start_seconds = now - _clock, _start
    _clock, _start = now, 0.0
    return report


def room(nodeid: str) -> str:
    """The folder below tests/."""
    parts = nodeid.split("::")[0].split("/")
    return parts[1] if len(parts) > 2 else "tests"


class Budget:
    """Adds up, and prints at the end of `make test`."""

    def __init__(self):
        self.seconds, self.tests = Counter(), Counter()

    def pytest_runtest_logreport(self, report):
        self.seconds["start"] += getattr(report, "start_seconds", 0.0)
        self.seconds[room(report.nodeid)] += getattr(report, "cpu_seconds", 0.0)
        self.tests[room(report.nodeid)] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter, config):
        if config.option.markexpr != "not slow" or not self.tests:
            return
        rows = [
            (name, self.tests[name], self.seconds[name], SECONDS.get(name, 0))
            for name in sorted(self.seconds)
        ]
        total = ["all", *(sum(row[k] for row in rows) for k in (1, 2))]
        terminalreporter.write_line(f"{'room':16}{'tests':>7}{'CPU s':>8}{'budget':>8}")
        for name, tests, seconds, may in [*rows, (*total, sum(SECONDS.values()))]:
            terminalreporter.write_line(
                f"{name:16}{tests:7}{seconds:8.1f}{may:8}{' over' if seconds > may else ''}"
            )
