"""Which tags are versions, which one an image is of, and which are higher."""

from __future__ import annotations

import sys

import pytest

from pushsafe.model.facts import Facts, ImageMissing
from pushsafe.model.versions import higher, local_version, version_of
from tests.unit.rules.facts import facts, image

NAME = "registry.test/my-api"


def test_a_version() -> None:
    for text in (
        "1",
        "1.4",
        "1.4.2",
        "v1.4.2",
        "V2",
        "1.4.2-rc1",
        "1.4.2rc1",
        "1.4.2.dev3",
        "2024.01.15",
        "123456",
        "1.4-1",
    ):
        assert version_of(text) is not None, text


def test_no_version() -> None:
    for text in (
        *("", "latest", "stable", "main", "edge", "2024-edge", "1.4.2-alpine", "1.4.2-slim-bookworm", "dev", "vnext"),
        *("release-1.4.2", "a1b2c3d", "1234567", "20240115", "12e4567", "0" * 40, "1.4.x", "1..4", "9" * 5000, "1.²"),
    ):
        assert version_of(text) is None, text


def listed(*tags: str, digit: str = "a", label: str = "", name: str = NAME) -> tuple[Facts, ...]:
    return tuple(facts(f"{name}:{tag}", image=image(digit)._replace(version=label)) for tag in tags)


def test_local_version() -> None:
    for references, expected in (
        (listed("latest"), ""),
        (listed("latest", "1.4.2"), "1.4.2"),
        (listed("latest", "1", "1.4", "1.4.2"), "1.4.2"),
        (listed("latest", "v1.4.2", "1.4.2rc1"), "v1.4.2"),
        (listed("latest", "1.9.0", "1.10.0"), "1.10.0"),
        (listed("latest", "1.4", "1.4.0"), "1.4.0"),
        (listed("latest", "1.4.2", "812"), "1.4.2"),
        (listed("latest", "812"), "812"),
        (listed("latest", "2024-edge", "a1b2c3d"), ""),
        (listed("latest", label="1.4.2"), "1.4.2"),
        (listed("latest", "1.4.2", label="24.04"), "1.4.2"),
        (listed("latest", label="nightly"), ""),
        (listed("latest") + listed("2.0.0", digit="b"), ""),
        (listed("latest") + listed("2.0.0", name="registry.test/other"), ""),
        ((facts(f"{NAME}:1.4.2", image=ImageMissing()),), ""),
        ((facts(f"{NAME}:1.4.2"),), ""),
    ):
        assert local_version(references[0], references) == expected, expected
        assert local_version(references[0], references[::-1]) == expected, expected


def test_higher() -> None:
    for candidates, than, expected in (
        (("1.4.1", "1.4.2", "1.4.3", "1.10.0"), "1.4.2", ("1.10.0", "1.4.3")),
        (("latest", "2024-edge", "a1b2c3d", "20240115", ""), "1.4.2", ()),
        (("2.0.0rc1", "2.0.0"), "1.9.5", ("2.0.0", "2.0.0rc1")),
        (("2.0.0rc1",), "2.0.0", ()),
        (("2.0.0",), "2.0.0rc1", ("2.0.0",)),
        (("v2.0.0",), "1.9.5", ("v2.0.0",)),
        (("1.5",), "1.4.2", ("1.5",)),
        (("1.4",), "1.4.2", ()),
        (("1.4.2",), "1.4", ()),
        (("1.5.0",), "1.4", ("1.5.0",)),
        (("1.4.2.1",), "1.4.2", ("1.4.2.1",)),
        (("1.4.1",), "1.4rc1", ("1.4.1",)),
        (("812", "2"), "1.9.5", ()),
        (("813", "2.0.0"), "812", ("813",)),
        (("2.0.0", "2.0.0"), "1.0.0", ("2.0.0",)),
        (("2.0.0",), "latest", ()),
        (("2.0.0",), "", ()),
    ):
        assert higher(candidates, than) == expected, than
        assert higher(candidates[::-1], than) == expected, than


def test_what_does_not_begin_like_a_version_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "packaging.version", None)
    assert version_of("latest") is None
    with pytest.raises(ImportError):
        version_of("1.4.2")
