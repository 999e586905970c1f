"""Where a path ends and a REF begins."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pushsafe.model.request import Archive
from pushsafe.sources.archive.open import split
from tests.fakes.archives import refused

THERE = ["a", "a:b", "c:d"]
PLACES = {
    "a": ("a", ""),
    "a:": ("a", ""),
    "a:1.0": ("a", "1.0"),
    "a:b": ("a:b", ""),
    "a:b:1.0": ("a:b", "1.0"),
    "a:c:b": ("a", "c:b"),
    "c:d": ("c:d", ""),
    "a:registry.test:5000/my/api:1": ("a", "registry.test:5000/my/api:1"),
    "a:sha256:12": ("a", "sha256:12"),
    "a:@0": ("a", "@0"),
}


def test_the_longest_path_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in THERE:
        Path(name).touch()
    for place, expected in PLACES.items():
        path, ref = split(Archive("oci-archive", place), "")
        assert (str(path), ref) == expected, place


REFUSED = {
    "b:1.0": "b:1.0: there is no such file or folder",
    "": "oci: names no file",
    " ": "oci: names no file",
    "b\x1b[1m": "b [1m: there is no such file or folder",
    "b\0": "b: there is no such file or folder",
    "b" * 300: f"{'b' * 300}: there is no such file or folder",
}


def test_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hint = "name the folder of an OCI image layout: oci:PATH[:REF]"
    for place, message in REFUSED.items():
        assert refused(Archive("oci", place)) == (message, hint), place


def test_what_may_not_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_path: str) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pushsafe.sources.archive.open.os", SimpleNamespace(stat=denied))
    for place in ("/root/layout", "/root/layout:1.0"):
        expected = (f"{place}: it cannot be read: permission denied", "let this user read it, and its folders")
        assert refused(Archive("oci", place)) == expected
