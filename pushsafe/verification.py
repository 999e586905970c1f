"""Reading a pushed tag back: does the registry hold the very digest that was pushed, with all its children?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from pushsafe.errors import EngineUnreachable, RegistryUnreachable
from pushsafe.model import (
    Credential,
    Evidence,
    ManifestInfo,
    Mismatch,
    Missing,
    NotChecked,
    Reference,
    Verification,
    Verified,
)

PATIENCE = (0.25, 0.5, 1.0, 2.0)
"""Seconds between looks at a registry that does not show a new tag at once."""

_NOT_FOUND = 404


class AsksRegistry(Protocol):
    def manifest(self, reference: Reference, credential: Credential, digest: str = "") -> ManifestInfo | Evidence: ...


class AsksEngine(Protocol):
    def distribution(self, reference: Reference, credential: Credential) -> ManifestInfo | Evidence: ...


def verify(
    reference: Reference,
    digest: str,
    credential: Credential,
    registry: AsksRegistry,
    engine: AsksEngine,
    sleep: Callable[[float], None] = time.sleep,
) -> Verification:
    """Compare what the registry names under a tag with `digest`, asking again while it shows something older.

    The registry is asked directly; where it cannot be reached from here or will not show the tag to this
    account, through the engine.
    """
    found: Verification = _look(reference, digest, credential, registry, engine)
    for pause in PATIENCE:
        if not isinstance(found, Missing | Mismatch):
            break
        sleep(pause)
        found = _look(reference, digest, credential, registry, engine)
    return found


def _look(
    reference: Reference, digest: str, credential: Credential, registry: AsksRegistry, engine: AsksEngine
) -> Verification:
    try:
        answer = registry.manifest(reference, credential)
        if isinstance(answer, ManifestInfo):
            return _compare(reference, digest, answer, credential, registry)
        if answer.status == _NOT_FOUND:
            return Missing(str(reference))
        why = f"the registry answers {answer.status} {answer.message}".strip()
    except RegistryUnreachable as error:
        why = error.message
    try:
        through_engine = engine.distribution(reference, credential)
    except EngineUnreachable as error:
        return NotChecked(f"{why}; {error.message}")
    if isinstance(through_engine, ManifestInfo):
        if through_engine.digest != digest:
            return Mismatch(digest, through_engine.digest)
        return Verified(through_engine, "engine")
    if through_engine.status == _NOT_FOUND:
        return Missing(str(reference))
    return NotChecked(f"{why}; through the engine: {through_engine.message}")


def _compare(
    reference: Reference, digest: str, found: ManifestInfo, credential: Credential, registry: AsksRegistry
) -> Verification:
    if found.digest != digest:
        return Mismatch(digest, found.digest)
    for child in found.children:
        answer = registry.manifest(reference, credential, child)
        if isinstance(answer, Evidence):
            if answer.status == _NOT_FOUND:
                return Missing(f"{child}, which the index of {reference} names")
            return NotChecked(f"the registry answers {answer.status} for {child}")
        if answer.digest != child:
            return Mismatch(child, answer.digest)
    return Verified(found, "registry")
