"""The command line of `docker pushsafe index`: what a source may look like, and what cannot mean anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from pushsafe.cli import params
from pushsafe.cli.main import main
from pushsafe.model.request import Place, Source
from pushsafe.oci.reference import BadReference
from pushsafe.report.exit_codes import ExitCode
from tests.values import ref, sha

DIGEST = sha("a")
LONG = f"sha512:{'b' * 128}"
SOURCES = {
    # what is written: the reference, the digest, the place
    "my-api:amd64": ("my-api:amd64", "", Place.EITHER),
    "ghcr.io/acme/app": ("ghcr.io/acme/app:latest", "", Place.EITHER),
    "docker-daemon:my-api:amd64": ("my-api:amd64", "", Place.ENGINE),
    "docker-daemon:localhost:5000/app:1": ("localhost:5000/app:1", "", Place.ENGINE),
    "docker://ghcr.io/acme/app:1": ("ghcr.io/acme/app:1", "", Place.REGISTRY),
    f"ghcr.io/acme/app@{DIGEST}": ("ghcr.io/acme/app:latest", DIGEST, Place.REGISTRY),
    f"ghcr.io/acme/app:1@{DIGEST}": ("ghcr.io/acme/app:1", DIGEST, Place.REGISTRY),
    f"docker://ghcr.io/acme/app@{LONG}": ("ghcr.io/acme/app:latest", LONG, Place.REGISTRY),
}


@pytest.mark.parametrize("text", SOURCES)
def test_a_source(text: str) -> None:
    name, digest, place = SOURCES[text]
    found = params.source(text)
    assert isinstance(found, Source)
    assert (found.given, str(found.reference), found.digest, found.place) == (text, str(ref(name)), digest, place)


NO_SOURCES = {
    "": "it is empty",
    "docker://": "it is empty",
    "ghcr.io/acme/App:1": "the repository contains capitals, and must be lower case",
    f"ghcr.io/acme/app@{DIGEST[:-1]}": f"{DIGEST[:-1]} is no whole digest",
    f"ghcr.io/acme/app@{DIGEST.upper().replace('SHA', 'sha')}x": "is no whole digest",
    "ghcr.io/acme/app@sha384:abc": "it names a digest",
    f"docker-daemon:app@{DIGEST}": "the engine has an image by its name and tag, a registry by a digest",
    "https://ghcr.io/acme/app:1": "it starts with a URL scheme (https://)",
    "oci-archive://x.tar": "it starts with a URL scheme (oci-archive://)",
}


@pytest.mark.parametrize("text", NO_SOURCES)
def test_no_source(text: str) -> None:
    found = params.source(text)
    assert isinstance(found, BadReference)
    assert NO_SOURCES[text] in "; ".join(found.reasons)


TARGET = ("-t", "ghcr.io/acme/app:1")
WRONG = {
    "no tag": (("my-api:amd64",), "no tag is given for the index"),
    "no source": (TARGET, "no image is given to put into the index"),
    "a bad tag": (("-t", "ghcr.io/acme/App:1", "a:1"), "'ghcr.io/acme/App:1' cannot be pushed to: "),
    "a tag by digest": (("-t", f"ghcr.io/acme/app@{DIGEST}", "a:1"), "only a tag can be pushed to"),
    "a bad source": ((*TARGET, "a:1", "B:1"), "'B:1' cannot be put into an index: "),
    "an option of another command": ((*TARGET, "--push-each", "a:1"), "No such option"),
    "a rule that is none": ((*TARGET, "--allow", "PS999", "a:1"), "there is no rule 'PS999'"),
    "a plan and its digests": ((*TARGET, "--dry-run", "--digest-file", "x", "a:1"), "--dry-run pushes nothing"),
    "no number": ((*TARGET, "--retries", "many", "a:1"), "many"),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_mean_anything(
    words: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["index", *words]) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


def test_a_password_in_a_source_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("ada:hunter2@ghcr.io/acme/app:1", f"docker://ada:hunter2@ghcr.io/acme/app@{DIGEST}"):
        assert main(["index", *TARGET, text]) == ExitCode.USAGE
        shown = capsys.readouterr()
        assert "hunter2" not in shown.out + shown.err


def test_the_tags_are_linted_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    assert main(["index", "-t", "my-api:1", "my-api:amd64", "my-api:arm64"]) == ExitCode.LINT
    assert "PS101" in capsys.readouterr().out
