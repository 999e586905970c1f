"""The digest file: REF@DIGEST of every verified tag that was asked for, one a line."""

from __future__ import annotations

from pushsafe.model import Pushed, Report


def render(report: Report) -> str:
    lines = (
        f"{result.reference}@{result.outcome.digest}\n"
        for result in report.results
        if result.confirmed and not result.carrier and isinstance(result.outcome, Pushed)
    )
    return "".join(dict.fromkeys(lines))  # a tag that was listed twice is one tag
