"""`docker pushsafe explain-error [TEXT|-]`: what a pasted or piped error message means."""

from __future__ import annotations

import sys

import click

from pushsafe.cli import options, params
from pushsafe.report import FORMATS
from pushsafe.report.exit_codes import ExitCode
from pushsafe.report.output import colored, end
from pushsafe.runtime import streams


@click.command(
    "explain-error", context_settings={"help_option_names": ["-h", "--help"], "ignore_unknown_options": True}
)
@click.argument("text", nargs=-1)
@options.format_("Output format (default: human).")
@click.pass_obj
def explain_error(_session: object, text: tuple[str, ...], format_: str) -> int:
    """Explain an error message of a push, by its words alone.

    TEXT is the message, or - for standard input: `docker push REF 2>&1 | docker pushsafe explain-error -`. Only the
    last 64 KiB are read. If the words alone are ambiguous, the cause is `unclear`, and the output has the next command.
    """
    from pushsafe.denial.explain import explain

    found = explain(params.message(text))
    shown = FORMATS[format_].renderer.render_explanation(found, color=colored(sys.stdout))
    return end(ExitCode.OK, streams.show(shown))
