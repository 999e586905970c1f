"""The fault matrix by one command; see the package."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.faults import running
from tests.faults.judge import Figure
from tests.faults.matrix import Case, cases, named, sample
from tests.faults.running import Verdict, bench
from tests.faults.stages import WAYS


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    chosen = _chosen(options)
    began = time.monotonic()
    verdicts = []
    with bench(sorted({case.way for case in chosen}), options.timeout) as ready:
        for verdict in ready.run_all(chosen, options.workers):
            verdicts.append(verdict)
            if options.verbose or verdict.offences:
                print(verdict, flush=True)
    print(summary(verdicts, time.monotonic() - began))
    return 1 if any(verdict.offences for verdict in verdicts) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="Every stage of a push meets every fault."
    )
    parser.add_argument("--way", choices=WAYS, action="append", help="only this way; several times for several")
    parser.add_argument("--stage", action="append", help="only this stage; several times for several")
    parser.add_argument("--case", action="append", type=named, metavar="WAY/STAGE/FAULT", help="only this case")
    parser.add_argument("--sample", type=int, metavar="N", help="so many cases, a share of each way and stage")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="which ones (default: by chance)")
    parser.add_argument("--timeout", type=int, default=running.SECONDS, metavar="SECONDS", help="of each run")
    parser.add_argument("--workers", type=int, default=running.WORKERS, metavar="N", help="cases side by side")
    parser.add_argument("--verbose", action="store_true", help="a line for each case")
    return parser.parse_args(arguments)


def _chosen(options: argparse.Namespace) -> tuple[Case, ...]:
    if options.case:
        return tuple(options.case)
    among = [
        case
        for case in cases()
        if case.way in (options.way or WAYS) and case.stage.name in (options.stage or [case.stage.name])
    ]
    if not options.sample:
        return tuple(among)
    print(f"seed {options.seed}")
    return sample(options.sample, options.seed, among=among)


def summary(verdicts: Sequence[Verdict], seconds: float) -> str:
    counted = Counter(offence.figure for verdict in verdicts for offence in verdict.offences)
    met = sum(verdict.seen.met > 0 for verdict in verdicts)
    figures = ", ".join(f"{counted[figure]} {figure.value}" for figure in Figure)
    leaks = sum(verdict.leaks > 0 for verdict in verdicts)
    return (
        f"{len(verdicts)} cases ({met} met their fault) in {seconds:.0f} s: {figures};"
        f" in {leaks} the engine sent its credential elsewhere"
    )


if __name__ == "__main__":
    sys.exit(main())
