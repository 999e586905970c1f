"""What several commands take, and what it comes to: their options, the report's form, an unusable command line."""

from __future__ import annotations

import click

from pushsafe import __version__
from pushsafe.cli import params
from pushsafe.model.errors import PushsafeError, UsageError
from pushsafe.model.report import Report
from pushsafe.report import DEFAULT_FORMAT, FORMATS
from pushsafe.report.output import Output

allow = click.option("--allow", multiple=True, metavar="CODE", help="Let one rule pass for this run; repeatable.")
digest_file = click.option(
    "--digest-file", metavar="FILE", help="Write REF@DIGEST of every verified tag to FILE, one a line."
)
dry_run = click.option(
    "--dry-run", is_flag=True, help="Check everything, show how each tag would get there, and push nothing."
)
format_ = click.option(
    "--format",
    "format_",
    type=click.Choice(list(FORMATS)),
    default=DEFAULT_FORMAT,
    help=f"Form of the report; {DEFAULT_FORMAT} if not given.",
)
answer_format = click.option(
    "--format", "format_", type=click.Choice(list(FORMATS)), default=DEFAULT_FORMAT, help="Form of the answer."
)
preflight = click.option(
    "--preflight/--no-preflight",
    default=None,
    help="Ask each registry first what the push would meet (the default), or do not.",
)
quiet = click.option("-q", "--quiet", is_flag=True, help="Print only the references that are in place and verified.")
retries = click.option(
    "--retries",
    metavar="N",
    help="Try again what met a busy registry or a dropped connection: up to N times (3 if not given), the engine's own "
    "push once.",
)
timeout = click.option("--timeout", metavar="TIME", help="End the whole run after TIME: seconds, or as 90s, 5m, 1h30m.")
verify_timeout = click.option(
    "--verify-timeout",
    metavar="TIME",
    help="Wait up to TIME for each pushed tag to show when it is read back (15s if not given); 0 for a single look.",
)
timings = click.option("--timings", is_flag=True, help="Show what each phase took; --format json always does.")


def require_sense(*, dry_run: bool, quiet: bool, digest_file: str | None) -> None:
    """Raise UsageError for options that contradict each other."""
    if dry_run and quiet:
        raise UsageError("--dry-run and --quiet: the one shows a plan, the other only what was pushed", "leave one out")
    if dry_run and digest_file is not None:
        raise UsageError("--dry-run pushes nothing, so there is no digest to write to --digest-file", "leave one out")


def with_digest_file(output: Output, name: str | None) -> Output:
    """The same with a digest file, if there is one. Raises UsageError where it cannot be written."""
    if name is None:
        return output
    from pushsafe.report.digest_file import DigestFile

    return output._replace(digest_file=DigestFile(name))


def unusable(error: PushsafeError) -> Report:
    """The report of a command line that cannot mean anything, or of settings that cannot be read."""
    return Report(__version__, errors=params.errors_of(error))
