"""The form of JSON log lines, as docs/logs.md has it: what is asked of each line of every program."""

import json
import re
from functools import cache
from pathlib import Path

TABLE = Path(__file__).resolve().parents[3] / "docs" / "logs.md"
EVERYWHERE = {"timestamp", "level", "target", "message"}
# The debug form of a value in Rust, which is for whoever wrote the program.
DEBUG_FORM = re.compile(r"\b(Some|Err|Ok)\(|\b[A-Z]\w+ \{ \w+: |ApiError")


@cache
def fields() -> set[str]:
    rows = TABLE.read_text().partition("## Fields")[2]
    return set(re.findall(r"^\| `(\w+)` \|", rows, re.M))


def strange(log: str, *, asked: tuple[str, ...] = ()) -> list[str]:
    """What is wrong with the lines of a log; `asked` are fields that each has, besides those of every line."""
    found = []
    for text in log.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            found.append(f"no JSON: {text}")
            continue
        if missing := (EVERYWHERE | set(asked)) - line.keys():
            found.append(f"lacks {sorted(missing)}: {text}")
        if unknown := line.keys() - fields():
            found.append(f"has {sorted(unknown)}, which docs/logs.md does not: {text}")
        if "cluster" in line and "namespace" not in line:
            found.append(f"does not say in which namespace: {text}")
        if any(isinstance(value, str) and DEBUG_FORM.search(value) for value in line.values()):
            found.append(f"has the debug form of a value: {text}")
    return found
