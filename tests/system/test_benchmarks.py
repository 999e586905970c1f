"""The benchmarks' own commands, run once with small images: every tag arrives, and nothing stays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import files, preflight, start, tags
from tests import lab
from tests.lab import engine_api

ENVIRON = {"PATH": os.environ["PATH"]}


def test_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """With one round: what it prints is a number, whatever the machine makes of it."""
    preflight.side_by_side("Bearer", 1)
    assert "20 repositories take" in capsys.readouterr().out


@pytest.mark.parametrize("name", tags.TOOL_COMMANDS)
def test_a_tool_pushes_ten_tags(name: str, the_lab: lab.Lab, tmp_path: Path) -> None:
    """To a registry that is near: what counts here is that every tag arrives."""
    program = lab.tool(name)
    if program is None:
        pytest.skip(f"{name}: not installed")
    registry = the_lab.registries["open"]
    place = tags.Place(registry, registry.host, {**ENVIRON, "HOME": str(tmp_path)})
    commands = tags.TOOL_COMMANDS[name][1]
    assert tags.by_tool(place, lambda folder, references: commands(str(program), folder, references))() > 0


def test_what_the_engine_was_given_is_gone_afterwards(the_lab: lab.Lab, tmp_path: Path) -> None:
    registry, engine = the_lab.registries["open"], the_lab.engines["containerd-new"]
    place = tags.Place(registry, registry.host, {**ENVIRON, "HOME": str(tmp_path)})
    given: list[str] = []

    def commands(references: Sequence[str]) -> tags.Commands:
        given.extend(references)
        return [["docker", "-H", engine.host, "push", "-q", reference] for reference in references]

    assert tags.on_engine(place, engine, 2, commands)() > 0
    assert [reference.rpartition(":")[2] for reference in given] == ["t0", "t1"]
    for reference in given:
        with pytest.raises(lab.LabError, match="404"):
            engine_api.request(engine.socket, "GET", f"/images/{reference}/json")


def test_files_are_pushed_by_all(the_lab: lab.Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones, once each; every turn has found its tag at the registry, and nothing of the turn before it."""
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr" / "text").write_bytes(b"word " * 300)
    monkeypatch.setattr(files, "USR", tmp_path / "usr")
    monkeypatch.setattr(files, "LARGE", (2, 1000))
    with start.surroundings() as environ, files.own_registry(str(tmp_path)) as registry:
        place = tags.Place(registry, registry.host, environ)
        for large in (files.large_layout, files.large_save):
            assert [ratio.other.command.split()[0] for ratio in large(place, tmp_path, 1)] == ["crane", "skopeo"]
            assert len(list((registry.repositories / "bench").iterdir())) == 1
        assert files.many_tags(tags.Place(registry, registry.host, environ), 1)
    assert not registry.repositories.exists()
