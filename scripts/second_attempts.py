#!/usr/bin/env python3
"""Prints the tests of a run that failed and were tried once more: `scripts/second_attempts.py RUN`. Two of them fail it.
Whoever names the run (SFUMATO_RUN) calls this at its end: check.sh for all its suites, or scripts/stories.sh alone."""

import argparse
import sys

from kubernetes_tests.attempts import SecondAttempts, too_many


def main() -> int:
    parser = argparse.ArgumentParser("second_attempts.py", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="what SFUMATO_RUN was for its tests")
    known = SecondAttempts()
    attempts = known.of_run(parser.parse_args().run)
    for line in known.told(attempts):
        print(line)
    wrong = too_many(attempts)
    if wrong:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
