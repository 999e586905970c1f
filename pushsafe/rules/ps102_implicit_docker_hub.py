"""PS102: a namespace but no registry, or a first word that looks like a registry's host but is not read as one."""

from __future__ import annotations

import re

from pushsafe.model.facts import Facts, Upcoming
from pushsafe.model.verdicts import Severity
from pushsafe.oci.reference import DEFAULT_REGISTRY, Implied
from pushsafe.rules.rule import Needs, Problem, Rule, each, renamed

_HOST_LIKE = re.compile(r"(?:docker-?)?(?:registry|hub|harbor|nexus|artifactory|quay|ghcr|gcr|ecr|acr)(?:-.*|\d*)")


def check(facts: Facts) -> Problem | None:
    reference = facts.reference
    if Implied.REGISTRY in reference.implied and Implied.NAMESPACE not in reference.implied:
        return _implied_hub(facts)
    if not any(character in reference.registry for character in ".:") and reference.registry != "localhost":
        return _capitals(facts)
    return None


def _implied_hub(facts: Facts) -> Problem:
    reference, configured = facts.reference, facts.configured
    first, _, rest = reference.repository.partition("/")
    said = f"{reference.given!r} names no registry, so docker would push to {reference.name} (Docker Hub)"
    for registry in configured:
        if first in _short_names(registry.host):
            return Problem(
                reference,
                f"{said}; {first!r} is read as a namespace, because it has neither a dot nor a port. "
                f"{registry.host} is probably meant ({registry.origin})",
                renamed(facts, f"{registry.host}/{rest}{reference.tag_suffix}"),
            )
    if "/" in rest or _HOST_LIKE.fullmatch(first):
        return Problem(
            reference,
            f"{said}; {first!r} is read as a namespace, because it has neither a dot nor a port. "
            "If it is a registry's host, write it with its port or domain",
            renamed(facts, f"{first}:443/{rest}{reference.tag_suffix}"),
        )
    if len(configured) == 1:
        registry = configured[0]
        return Problem(
            reference,
            f"{said}; {registry.host} may be meant ({registry.origin}). If Docker Hub is, write {reference}",
            renamed(facts, f"{registry.host}/{reference.repository}{reference.tag_suffix}"),
        )
    said = f"{said}. If you mean Docker Hub, write it out"
    if isinstance(facts.image, Upcoming):
        return Problem(reference, said, renamed(facts, str(reference)))
    fix = f"docker pushsafe {reference}" if reference.tag else f"docker pushsafe --all-tags {reference.name}"
    return Problem(reference, said, fix)


def _capitals(facts: Facts) -> Problem:
    reference = facts.reference
    return Problem(
        reference,
        f"{reference.given!r} starts with {reference.registry!r}, which docker reads as the host of a registry "
        "because of its capitals",
        renamed(facts, f"{DEFAULT_REGISTRY}/{reference.registry.lower()}/{reference.repository}{reference.tag_suffix}"),
    )


def _short_names(host: str) -> set[str]:
    name = host.partition(":")[0]
    return {name, name.partition(".")[0]}


RULE = Rule(
    code="PS102",
    slug="implicit-docker-hub",
    severity=Severity.ERROR,
    needs=Needs.TEXT,
    step="reference",
    summary="no registry is named, so Docker Hub is implied",
    explanation=(
        "Docker reads a first component without dot or port (and not `localhost`) as a namespace of Docker Hub, even "
        "if it is the host name of a registry in the local network. That way images meant for a private registry "
        "become public, or the push is denied with a message that does not mention the name. If you are logged in "
        "elsewhere, or the engine is configured for another registry, the finding names it."
    ),
    example="docker pushsafe myorg/my-api:1.4.2",
    fix="Write the registry: `docker.io/myorg/my-api:1.4.2` for Docker Hub (the same local image), else tag it first.",
    check=each(check),
)
