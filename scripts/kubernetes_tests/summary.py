"""What the run came to: files and second attempts. Its slowest tests are in check.sh's list of all suites."""

import sys
from collections.abc import Sequence

from .attempts import SecondAttempt, SecondAttempts
from .suite import Result

# In one run. One may be this computer's fault; two are a race.
MOST_SECOND_ATTEMPTS = 1


def conclude(results: Sequence[Result], attempts: Sequence[SecondAttempt], notes: Sequence[str]) -> int:
    """Prints it; returns the exit code."""
    print("\n-- tests on Kubernetes")
    for result in results:
        print(line(result))
    for note in notes:
        print(f"  {note}")
    known = SecondAttempts()
    for attempt in attempts:
        print(f"  second attempt: {attempt.test}: {attempt.error}")
        print(f"    in {known.times(attempt.test)} runs on this computer ({known.path})")
    too_many = len(attempts) > MOST_SECOND_ATTEMPTS
    if too_many:
        print(f"{len(attempts)} second attempts: at most {MOST_SECOND_ATTEMPTS} passes; find each race", file=sys.stderr)
    return 0 if all(result.passed for result in results) and not too_many else 1


def line(result: Result) -> str:
    minutes, seconds = divmod(round(result.seconds), 60)
    where = f" on {result.where}" if result.where else ""
    why = f": {result.why}" if result.why else ""
    return f"  {'passed' if result.passed else 'FAILED'} {minutes:2}:{seconds:02}  {result.what}{where}{why}"
