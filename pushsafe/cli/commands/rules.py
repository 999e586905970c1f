"""`docker pushsafe rules` and `docker pushsafe explain CODE`: the lint rules."""

from __future__ import annotations

import click

from pushsafe.cli import params
from pushsafe.cli.session import Session
from pushsafe.report.exit_codes import ExitCode
from pushsafe.report.output import end
from pushsafe.rules import RULES
from pushsafe.runtime import streams


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_obj
def rules(_session: Session) -> int:
    """List the lint rules: code, level, name and summary."""
    listed = (f"{rule.code}  {rule.severity.value:<8} {rule.slug:<32} {rule.summary}\n" for rule in RULES)
    return end(ExitCode.OK, streams.show("".join(listed)))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("code")
@click.pass_obj
def explain(_session: Session, code: str) -> int:
    """Explain a lint rule: what triggers it, why it matters, how to fix it."""
    import shutil

    rule = params.rule(code)
    told = click.wrap_text(rule.explanation, width=min(100, shutil.get_terminal_size().columns))
    text = (
        f"{rule.code} {rule.slug} ({rule.severity.value}): {rule.summary}\n\n{told}\n\n"
        f"fires on:  {rule.example}\nto fix:    {rule.fix}\n"
        f"to pass:   --allow {rule.code} suppresses it for one run\n"
    )
    return end(ExitCode.OK, streams.show(text))
