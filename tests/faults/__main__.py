"""The fault matrix by one command; see the package."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import date

from tests.faults import running
from tests.faults.judge import Figure
from tests.faults.matrix import Case, cases, named, sample
from tests.faults.page import PAGE, page
from tests.faults.running import Verdict, bench, side_by_side
from tests.faults.stages import WAYS
from tests.faults.stopping import Stopping, stops


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if options.kill or options.stop:
        return _stop(options)
    chosen = _chosen(options)
    began = time.monotonic()
    verdicts = []
    with bench(sorted({case.way for case in chosen}), options.timeout) as ready:
        for verdict in side_by_side(ready.run, chosen, options.workers):
            verdicts.append(verdict)
            if options.verbose or verdict.offences:
                print(verdict, flush=True)
    print(summary(verdicts, time.monotonic() - began))
    if options.write:
        drawn = f"a sample of {len(chosen)}, seed {options.seed}" if options.sample else "all"
        PAGE.write_text(page(verdicts, f"{drawn}, `--timeout {options.timeout}s`, {date.today()}"), encoding="utf-8")
    return 1 if any(verdict.offences for verdict in verdicts) else 0


def _stop(options: argparse.Namespace) -> int:
    """Runs that are killed, or told to stop."""
    numbers = (signal.SIGKILL,) if options.kill else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    names = tuple(options.way or WAYS)
    print(f"seed {options.seed}")
    done = []
    with bench(names, options.timeout) as ready:
        chosen = stops(options.kill or options.stop, names, numbers, options.seed)
        for stopped in side_by_side(Stopping(ready).run, chosen, options.workers):
            done.append(stopped)
            if options.verbose or stopped.wrong:
                print(stopped, flush=True)
    for name in names:
        some = [one for one in done if one.stop.way == name]
        live = [one for one in some if one.live]
        slowest = max((one.seconds for one in live), default=0.0)
        wrong = sum(bool(one.wrong) for one in some)
        print(f"{name}: {len(some)} runs, {len(live)} met alive, over after {slowest:.2f} s at most, {wrong} wrong")
    return 1 if any(one.wrong for one in done) else 0


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
    parser.add_argument("--write", action="store_true", help="write docs/faults.md with what came of it")
    parser.add_argument("--kill", type=int, metavar="N", help="in place of all this: kill -9, so many runs a way")
    parser.add_argument("--stop", type=int, metavar="N", help="the same with SIGINT, SIGTERM and SIGHUP by turns")
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
