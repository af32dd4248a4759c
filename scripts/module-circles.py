#!/usr/bin/env python3
"""Checks that no modules of a crate import each other in a circle. rust_modules.py says what counts.

module-circles.py                every crate of the workspace; exit code 1 when there is a circle
module-circles.py --list         every arrow, for people who look for a place to cut
"""

import argparse
import sys
from collections import defaultdict, deque
from pathlib import Path

from rust_modules import Arrow, Package, Unreadable, read_workspace

Graph = dict[Path, dict[Path, list[Arrow]]]


def graph_of(arrows: list[Arrow]) -> Graph:
    graph: Graph = defaultdict(dict)
    for arrow in arrows:
        graph[arrow.source].setdefault(arrow.target, []).append(arrow)
    return graph


def reached_from(graph: Graph, start: Path) -> set[Path]:
    """The files that can be reached over one arrow or more."""
    reached: set[Path] = set()
    waiting = [start]
    while waiting:
        new = graph.get(waiting.pop(), {}).keys() - reached
        reached |= new
        waiting += new
    return reached


def circles_of(graph: Graph) -> list[list[Path]]:
    """The sets of files in which each reaches each, in the order of their names."""
    reached = {file: reached_from(graph, file) for file in graph}
    members = {
        frozenset(other for other in reached[file] if file in reached.get(other, ())) for file in graph if file in reached[file]
    }
    return sorted(sorted(circle) for circle in members)


def shortest_cycle(graph: Graph, circle: list[Path]) -> list[Path]:
    """The fewest files of a circle that name each other in turn; the first is named by the last."""
    return min((way_back(graph, start) for start in circle), key=len)


def way_back(graph: Graph, start: Path) -> list[Path]:
    came_from: dict[Path, Path] = {}
    waiting = deque([start])
    while waiting:
        file = waiting.popleft()
        for target in sorted(graph.get(file, {})):
            if target == start:
                way = [file]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if target not in came_from:
                came_from[target] = file
                waiting.append(target)
    raise ValueError(f"{start} is in no circle")


def line_of(arrow: Arrow, root: Path) -> str:
    return f"{shown(arrow.source, root)}:{arrow.line} -> {shown(arrow.target, root)}: {arrow.path}"


def shown(file: Path, root: Path) -> str:
    return str(file.relative_to(root) if file.is_relative_to(root) else file)


def print_circles(package: Package, root: Path) -> int:
    """Prints the circles of a package, and returns how many there are."""
    graph = graph_of(package.arrows)
    circles = circles_of(graph)
    for circle in circles:
        cycle = shortest_cycle(graph, circle)
        print(f"circle of {len(circle)} modules in {package.name}: {', '.join(shown(file, root) for file in circle)}")
        if len(cycle) < len(circle):
            print(f"  the shortest way around, of {len(cycle)}:")
        for source, target in zip(cycle, cycle[1:] + cycle[:1], strict=True):
            first, *others = graph[source][target]
            print(f"  {line_of(first, root)}" + (f" (and {len(others)} more)" if others else ""))
    return len(circles)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("module-circles.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crate", metavar="NAME", help="only this crate")
    parser.add_argument("--list", action="store_true", help="print every arrow instead of the circles")
    parser.add_argument("--root", metavar="DIR", type=Path, default=Path(__file__).parent.parent, help="the workspace (this one)")
    options = parser.parse_args(arguments)
    root: Path = options.root.resolve()
    try:
        packages = read_workspace(root)
    except Unreadable as error:
        print(f"module-circles.py: {error}", file=sys.stderr)
        return 2
    if options.crate is not None:
        known = [package.name for package in packages]
        packages = [package for package in packages if package.name == options.crate]
        if not packages:
            parser.error(f"no crate is called {options.crate!r}: {', '.join(known)}")
    if options.list:
        for package in packages:
            for arrow in package.arrows:
                print(line_of(arrow, root))
        return 0
    found = sum(print_circles(package, root) for package in packages)
    modules = sum(len(package.files) for package in packages)
    print(f"module circles: {found or 'none'} in {modules} modules of {len(packages)} crates")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
