"""python -m tests.lab up | down [--remove] | status | install | newest-python [PYTEST ARGUMENTS]."""

import argparse
import sys

from . import lifecycle, newest_python, status
from .model import LabError


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=lifecycle.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start what does not run, install what is missing")
    down = commands.add_parser("down", help="end what the lab has started")
    down.add_argument("--remove", action="store_true", help="empty the run directory too")
    commands.add_parser("status", help="show what runs")
    commands.add_parser("install", help="install and cache only")
    commands.add_parser("newest-python", help="run the unit and contract tests under the newest Python")
    chosen, rest = parser.parse_known_args(argv)
    if rest and chosen.command != "newest-python":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        if chosen.command == "up":
            lifecycle.up()
        elif chosen.command == "down":
            lifecycle.down(remove=chosen.remove)
        elif chosen.command == "install":
            print(lifecycle.install())
        elif chosen.command == "newest-python":
            return newest_python.run(rest)
        if chosen.command in ("up", "status"):
            print(status.table())
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
