"""Where a path ends and a REF begins."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pushsafe.model.errors import UsageError
from pushsafe.model.request import Archive
from pushsafe.sources import open_image
from pushsafe.sources.archive.open import split

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


@pytest.mark.parametrize(("place", "expected"), PLACES.items())
def test_the_longest_path_that_is_there(
    place: str, expected: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in THERE:
        Path(name).touch()
    path, ref = split(Archive("oci-archive", place), "")
    assert (str(path), ref) == expected


REFUSED = {
    "b:1.0": "b:1.0: there is no such file or folder",
    "": "oci: names no file",
    " ": "oci: names no file",
    "b\x1b[1m": "b [1m: there is no such file or folder",
    "b\0": "b: there is no such file or folder",
    "b" * 300: f"{'b' * 300}: there is no such file or folder",
}


@pytest.mark.parametrize(("place", "message"), REFUSED.items(), ids=repr)
def test_what_is_not_there(place: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        open_image(Archive("oci", place))
    assert error.value.message == message
    assert error.value.hint == "name the folder of an OCI image layout: oci:PATH[:REF]"


@pytest.mark.parametrize("ref", ["", ":1.0"])
def test_what_may_not_be_looked_at(ref: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_path: str) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pushsafe.sources.archive.open.os", SimpleNamespace(stat=denied))
    with pytest.raises(UsageError) as error:
        open_image(Archive("oci", f"/root/layout{ref}"))
    assert error.value.message == f"/root/layout{ref}: it cannot be read: permission denied"
    assert error.value.hint == "let this user read it, and its folders"
