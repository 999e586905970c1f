"""The engine's JSON answers read into our values; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pushsafe.model import INDEX_TYPES, Platform
from pushsafe.sanitize import clean


def shown(value: object) -> str:
    """A text of the engine's as it may be shown; empty for what is none."""
    return clean(value) if isinstance(value, str) else ""


def decoded(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"error": f"the engine answered what is not JSON: {text}"}
    return value if isinstance(value, dict) else {"error": f"the engine answered {text}"}


def message(body: str) -> str:
    """The message of an engine's answer: `{"message": ...}`, `{"Status": ...}` for a login, or the bare text."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(answer, dict):
        return body
    return str(answer.get("message") or answer.get("Status") or answer.get("error") or body)


def platforms(answer: Mapping[str, Any]) -> tuple[tuple[Platform, ...], tuple[Platform, ...]]:
    """Platforms present and missing; the classic store knows one, the containerd store lists its manifests."""
    images = [entry for entry in answer.get("Manifests") or () if entry.get("Kind") == "image"]
    descriptor = answer.get("Descriptor") or {}
    if images and descriptor.get("mediaType") in INDEX_TYPES:
        present = [entry for entry in images if entry.get("Available")]
        missing = [entry for entry in images if not entry.get("Available")]
        return tuple(map(_manifest_platform, present)), tuple(map(_manifest_platform, missing))
    return (platform({str(key).lower(): value for key, value in answer.items()}),), ()


def _manifest_platform(entry: Mapping[str, Any]) -> Platform:
    found = (entry.get("ImageData") or {}).get("Platform") or (entry.get("Descriptor") or {}).get("platform") or {}
    return platform(found)


def platform(entry: Mapping[str, Any]) -> Platform:
    return Platform(
        os=shown(entry.get("os")),
        architecture=shown(entry.get("architecture")),
        variant=shown(entry.get("variant")),
        os_version=shown(entry.get("os.version") or entry.get("osversion")),
    )


def oci_platform(platform: Platform) -> dict[str, str]:
    parts = {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant}
    return {key: value for key, value in parts.items() if value}


def architecture(machine: str) -> str:
    """`/info` names the machine as the kernel does; images name it as Go does."""
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}.get(machine, machine)


def insecure_registries(config: Mapping[str, Any]) -> tuple[str, ...]:
    networks = map(shown, config.get("InsecureRegistryCIDRs") or ())
    indexes = config.get("IndexConfigs") or {}
    hosts = (shown(name) for name, index in indexes.items() if not (index or {}).get("Secure", True))
    return (*networks, *hosts)


def familiar(name: str) -> str:
    return name.removeprefix("docker.io/").removeprefix("library/") if name.startswith("docker.io/") else name
