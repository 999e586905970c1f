"""A docker with a buildx that does what a test tells it, as a program, and notes what it was given."""

from __future__ import annotations

import json
import os
import stat
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pushsafe.engine.buildx_cli import BuildxCommand
from pushsafe.model.request import CLI_VARIABLE, Build, DockerFlags, Target
from tests.values import ref, sha

D = sha("d")
TARGET = Target((ref("registry.test/team/app:1"),))
NO_FLAGS = DockerFlags()
VERSION = {"out": "github.com/docker/buildx v0.29.1 abcdef\n"}
WORKER = {"org.mobyproject.buildkit.worker.executor": "containerd"}

FAKE = """\
#!{python}
import json, os, signal, subprocess, sys, time
from pathlib import Path

here = Path(__file__).parent
words = sys.argv[1:]
with (here / "calls").open("a") as calls:
    print(json.dumps(words), file=calls)
script = json.loads((here / "script").read_text())
at = words.index("buildx") + 1 if "buildx" in words else 0
command = words[at] if at < len(words) else ""
if command in ("build", "bake") and "--print" in words:
    command = "print"
def option(name):
    return words[words.index(name) + 1] if name in words else ""
PLUGIN = "import os, signal, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
PLUGIN += "open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
{body}
"""
BODY = """
say = script.get(command, {})
if say.get("reads"):
    (here / "read").write_bytes(sys.stdin.buffer.read())
if say.get("environ"):
    (here / "environ").write_text(json.dumps(dict(os.environ)))
if say.get("waits"):
    def stop(number, frame):
        (here / "stopped").write_text(str(number))
        sys.exit(say.get("status", 1))
    signal.signal(signal.SIGINT, signal.SIG_IGN if say.get("stubborn") else stop)
    (here / f"pid-{command}").write_text(str(os.getpid()))
    (here / "pid").write_text(str(os.getpid()))
    time.sleep(60)
if say.get("plugin"):
    # As docker does: the first order to stop only reaches its plugin, and the third kills it.
    plugin = subprocess.Popen([sys.executable, "-c", PLUGIN, here / "pid"], process_group=0)
    told = []
    def stop(number, frame):
        told.append(number)
        (here / "stopped").write_text(str(len(told)))
        if len(told) == 3:
            plugin.kill()
    signal.signal(signal.SIGINT, stop)
    sys.exit(plugin.wait())
if say.get("leaves"):
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (here / "left").write_text(str(left.pid))
if "descriptor" in say:
    with open(say["descriptor"], "rb") as given:
        (here / "read").write_bytes(given.read())
if say.get("terminal"):
    (here / "terminal").write_text(json.dumps([os.isatty(n) for n in range(3)]))
sys.stdout.write(say.get("out", ""))
sys.stderr.write(say.get("err", "") * say.get("times", 1))
if "metadata" in say:
    Path(option("--metadata-file")).write_text(say["metadata"])
sys.exit(say.get("status", 0))
"""


class Docker:
    """A docker that answers by a script, and notes how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "docker"
        self.program.write_text(FAKE.format(python=sys.executable, body=textwrap.dedent(BODY)))
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        self.answer()

    def answer(self, **script: Mapping[str, Any]) -> None:
        (self.folder / "script").write_text(json.dumps(script))

    def buildx(self, flags: DockerFlags = NO_FLAGS, **environ: str) -> BuildxCommand:
        return BuildxCommand(flags, {"PATH": os.defpath, CLI_VARIABLE: str(self.program), **environ})

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

    def note(self, name: str) -> str:
        return (self.folder / name).read_text()


def build(*words: str, **given: Any) -> Build:
    return Build("build", words or ("-t", "registry.test/team/app:1", "."), (TARGET,), **given)


def node(*platforms: str, **given: Any) -> dict[str, Any]:
    return {"Name": "n0", "Status": "running", "Platforms": list(platforms), **given}


def listing(*entries: dict[str, Any]) -> dict[str, str]:
    return {"out": "".join(f"{json.dumps(entry)}\n" for entry in entries)}


def until(file: Path) -> str:
    for _ in range(500):
        if file.exists() and file.read_text():
            return file.read_text()
        time.sleep(0.02)
    raise AssertionError(f"no {file}")


def gone(pid: int) -> bool:
    """Whether a process has ended; one whose parent ended before it may stay for nobody to ask after."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def fake_docker(tmp_path: Path) -> Docker:
    folder = tmp_path / "docker-here"
    folder.mkdir()
    return Docker(folder)
