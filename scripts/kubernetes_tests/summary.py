"""What the run came to: files and second attempts. Its slowest tests are in check.sh's list of all suites."""

import sys
from collections.abc import Sequence

from .attempts import SecondAttempt, SecondAttempts, counted_elsewhere, too_many
from .suite import Result


def conclude(results: Sequence[Result], attempts: Sequence[SecondAttempt], notes: Sequence[str]) -> int:
    """Prints it; returns the exit code."""
    print("\n-- tests on Kubernetes")
    for result in results:
        print(line(result))
    for note in notes:
        print(f"  {note}")
    for told in SecondAttempts().told(attempts):
        print(told)
    wrong = "" if counted_elsewhere() else too_many(attempts)
    if wrong:
        print(wrong, file=sys.stderr)
    return 0 if all(result.passed for result in results) and not wrong else 1


def line(result: Result) -> str:
    minutes, seconds = divmod(round(result.seconds), 60)
    where = f" on {result.where}" if result.where else ""
    why = f": {result.why}" if result.why else ""
    return f"  {'passed' if result.passed else 'FAILED'} {minutes:2}:{seconds:02}  {result.what}{where}{why}"
