"""The digest file: REF@DIGEST of every verified tag, one a line."""

from __future__ import annotations

from pushsafe.model import Pushed, Report, Verified


def render(report: Report) -> str:
    return "".join(
        f"{result.reference}@{result.outcome.digest}\n"
        for result in report.results
        if isinstance(result.outcome, Pushed) and isinstance(result.verification, Verified)
    )
