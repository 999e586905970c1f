"""The lint rules: one file each, listed here in the order in which they are checked and shown."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib import import_module

from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Finding, Severity
from pushsafe.rules.rule import Needs, Rule

__all__ = ["RULES", "Needs", "Rule", "lint", "refused"]

RULES: tuple[Rule, ...] = tuple(
    import_module(f"{__name__}.{name}").RULE
    for name in (
        "ps101_unqualified_name",
        "ps102_implicit_docker_hub",
        "ps103_implicit_tag",
        "ps104_not_a_registry",
        "ps105_retired_registry",
        "ps106_path_shape",
        "ps107_duplicate_reference",
        "ps108_web_site_answers",
        "ps201_image_missing",
        "ps202_tags_differ",
        "ps203_multi_platform_without_buildx",
        "ps204_index_incomplete",
        "ps205_shrinks_index",
        "ps206_platform_change",
        "ps207_attestations_left",
        "ps301_not_logged_in",
        "ps302_credential_expired",
        "ps303_credential_unusable",
        "ps304_cleartext_credential",
        "ps305_credential_elsewhere",
        "ps401_overwrites_tag",
        "ps402_latest_goes_back",
        "ps501_content_trust",
    )
)


def lint(facts: Sequence[Facts], needs: Needs, allowed: Collection[str] = ()) -> tuple[Finding, ...]:
    """Run the rules that can decide at this point; findings of `allowed` codes are marked as allowed."""
    return tuple(
        Finding(
            code=rule.code,
            slug=rule.slug,
            severity=problem.severity or rule.severity,
            step=rule.step,
            reference=problem.reference,
            message=problem.message,
            fix=problem.fix,
            allowed=rule.code in allowed,
        )
        for rule in RULES
        if rule.needs is needs
        for problem in rule.check(facts)
    )


def refused(findings: Sequence[Finding]) -> bool:
    """Whether any finding forbids the push."""
    return any(finding.severity is Severity.ERROR and not finding.allowed for finding in findings)
