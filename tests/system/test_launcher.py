"""The sh launcher: a literal that tells the truth, the right Python, and nothing imported that lies around."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pushsafe import __version__

ROOT = Path(__file__).parents[2]
LAUNCHER = ROOT / "docker-pushsafe"
SHELLS = [shell for shell in ("sh", "dash", "bash", "busybox") if shutil.which(shell)]
# The few tools that a machine without Python still has.
TOOLS = ("sh", "readlink")


def _run(
    file: Path, *words: str, environ: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environ = environ if environ is not None else {"PATH": os.environ["PATH"], "PUSHSAFE_PYTHON": sys.executable}
    return subprocess.run([file, *words], env=environ, cwd=cwd, capture_output=True, text=True, timeout=30, check=False)


def _metadata() -> dict[str, str]:
    answer = _run(LAUNCHER, "docker-cli-plugin-metadata", environ={"PATH": "/nowhere"})
    assert (answer.returncode, answer.stderr) == (0, "")
    found: dict[str, str] = json.loads(answer.stdout)
    return found


def test_metadata_without_any_program_on_path() -> None:
    found = _metadata()
    assert found["Version"] == __version__
    assert found["SchemaVersion"] == "0.1.0"
    assert found["Vendor"]
    assert set(found) <= {"SchemaVersion", "Vendor", "Version", "ShortDescription", "URL", "Hidden"}
    assert "\n" not in found["ShortDescription"]


def test_name_is_one_that_docker_takes() -> None:
    assert re.fullmatch(r"docker-[a-z][a-z0-9]*", LAUNCHER.name)
    assert os.access(LAUNCHER, os.X_OK)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_reads_it(shell: str) -> None:
    words = [shell, "sh"] if shell == "busybox" else [shell]
    subprocess.run([*words, "-n", LAUNCHER], check=True)
    answer = subprocess.run([*words, LAUNCHER, "docker-cli-plugin-metadata"], capture_output=True, check=True)
    assert json.loads(answer.stdout) == _metadata()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree whose program prints what it was given."""
    tree = tmp_path / "tree"
    (tree / "pushsafe").mkdir(parents=True)
    shutil.copy(LAUNCHER, tree)
    (tree / "setup.cfg").touch()
    (tree / "pushsafe/__init__.py").touch()
    (tree / "pushsafe/__main__.py").write_text(
        "import json, sys; print(json.dumps([sys.argv[1:], sys.executable, __file__]))"
    )
    return tree


def _hidden(folder: Path) -> Path:
    """What must not be imported: packages of our names that would say so."""
    folder.mkdir()
    for name in ("pushsafe", "docker", "click", "runpy", "usercustomize"):
        (folder / f"{name}.py").write_text("import sys; sys.exit('hijacked')")
    return folder


def test_arguments_arrive_as_they_are(tree: Path) -> None:
    given = ["", "a b", "*", "$HOME", "-c", "--", "ü\n"]
    answer = _run(tree / "docker-pushsafe", *given)
    assert json.loads(answer.stdout)[0] == given


def test_neither_current_folder_nor_pythonpath_is_imported(tree: Path, tmp_path: Path) -> None:
    hidden = _hidden(tmp_path / "hidden")
    environ = {
        "PATH": os.environ["PATH"],
        "PUSHSAFE_PYTHON": sys.executable,
        "PYTHONPATH": str(hidden),
        "PYTHONSTARTUP": str(hidden / "pushsafe.py"),
        "PYTHONHOME": "",
    }
    answer = _run(tree / "docker-pushsafe", environ=environ, cwd=hidden)
    assert answer.stderr == ""
    assert json.loads(answer.stdout)[2] == str(tree / "pushsafe/__main__.py")


def test_the_real_program_in_a_hostile_folder(tmp_path: Path) -> None:
    """It goes as far as to the engine, and so has imported docker's library."""
    environ = {
        "PATH": os.environ["PATH"],
        "PUSHSAFE_PYTHON": sys.executable,
        "DOCKER_HOST": f"unix://{tmp_path}/none",
        "HOME": str(tmp_path),
    }
    answer = _run(LAUNCHER, "127.0.0.1:9/team/app:1", environ=environ, cwd=_hidden(tmp_path / "hidden"))
    assert answer.returncode == 3, answer.stderr
    assert "hijacked" not in answer.stdout + answer.stderr


def test_through_links(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/docker-pushsafe").symlink_to("../hop")
    (tmp_path / "hop").symlink_to(tree / "docker-pushsafe")
    answer = _run(tmp_path / "plugins/docker-pushsafe")
    assert json.loads(answer.stdout)[2] == str(tree / "pushsafe/__main__.py")


def _venv(folder: Path, python: str = sys.executable) -> Path:
    """The outer form of a virtual environment: no package in it."""
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (folder / "bin/python3").symlink_to(python)
    shutil.copy(LAUNCHER, folder / "bin")
    return folder / "bin/docker-pushsafe"


def _program(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def test_python_beside_the_launcher_is_taken_without_a_question(tmp_path: Path) -> None:
    launcher = _venv(tmp_path / "venv")
    (tmp_path / "venv/bin/python3").unlink()
    _program(tmp_path / "venv/bin/python3", '#!/bin/sh\necho "$1 $2 [$4] $5"\n')
    assert _run(launcher, "REF", environ={"PATH": "/nowhere"}).stdout == "-I -c [] REF\n"


def test_source_tree_with_its_own_venv(tree: Path) -> None:
    (tree / ".venv/bin").mkdir(parents=True)
    (tree / ".venv/bin/python").symlink_to(sys.executable)
    answer = _run(tree / "docker-pushsafe", "x", environ={"PATH": "/usr/bin:/bin"})
    assert json.loads(answer.stdout)[1] == str(tree / ".venv/bin/python")


def test_python_on_path_that_has_the_package(tmp_path: Path) -> None:
    """`pip install --user`: the launcher is in ~/.local/bin, and the first Python on PATH need not be the one."""
    shutil.copy(LAUNCHER, tmp_path)
    _program(tmp_path / "bin/python3", "#!/bin/sh\nexit 1\n")
    # The first call is the question; the second one is the run.
    _program(tmp_path / "bin/python3.12", '#!/bin/sh\n[ $# = 3 ] || echo "$1 $2 [$4] $5"\n')
    assert _run(tmp_path / "docker-pushsafe", "REF", environ={"PATH": f"{tmp_path}/bin"}).stdout == "-E -c [] REF\n"


@pytest.mark.parametrize(
    ("prepare", "environ", "says"),
    [
        ("copy", {}, "no Python here has the pushsafe package: run install.sh again"),
        ("tree", {}, "python3 -m venv '"),
        ("gone", {}, "is gone: run install.sh again"),
        ("empty", {}, "does not have the pushsafe package"),
        ("copy", {"PUSHSAFE_PYTHON": "/nowhere/python"}, "PUSHSAFE_PYTHON is /nowhere/python, which cannot be run"),
    ],
)
def test_no_python_is_one_clear_sentence(
    prepare: str, environ: dict[str, str], says: str, tree: Path, tmp_path: Path
) -> None:
    launcher = {
        "copy": lambda: Path(shutil.copy(LAUNCHER, tmp_path)),
        "tree": lambda: tree / "docker-pushsafe",
        "gone": lambda: _venv(tmp_path / "gone", "/nowhere/python3"),
        "empty": lambda: _venv(tmp_path / "empty"),
    }[prepare]()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(shutil.which(name) or name)
    answer = _run(launcher, "REF", environ={"PATH": str(tools)} | environ, cwd=tmp_path)
    assert answer.returncode == 127
    assert answer.stdout == ""
    assert answer.stderr.startswith("docker pushsafe: ")
    assert says in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize("chosen", [True, False])
def test_a_missing_dependency_is_one_clear_sentence(chosen: bool, tree: Path) -> None:
    (tree / "pushsafe/__main__.py").write_text("import no_such_dependency")
    environ = {"PATH": os.environ["PATH"]}
    if chosen:
        environ["PUSHSAFE_PYTHON"] = sys.executable
    else:
        (tree / ".venv/bin").mkdir(parents=True)
        (tree / ".venv/bin/python").symlink_to(sys.executable)
    answer = _run(tree / "docker-pushsafe", environ=environ)
    assert (answer.returncode, answer.stdout) == (127, "")
    assert "No module named 'no_such_dependency'" in answer.stderr
    assert ("PUSHSAFE_PYTHON" if chosen else "install.sh") in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_dependency_that_is_missed_late(tmp_path: Path) -> None:
    """click is there and what speaks HTTP is not: no bug of ours, and no code that means a push."""
    script = f"import sys\nsys.modules['docker'] = None\nexec({_boot()!r})"
    answer = subprocess.run(
        [sys.executable, "-c", script, str(ROOT), "127.0.0.1:9/team/app:1"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_HOST": "unix:///nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 127, answer.stderr
    assert "cannot import what pushsafe needs" in answer.stderr


def test_old_python_is_named(tmp_path: Path) -> None:
    _program(
        tmp_path / "old",
        f"#!{sys.executable} -E\nimport sys; sys.version_info = (3, 9, 2); sys.argv = ['-c', *sys.argv[4:]]\n"
        f"exec({_boot()!r})\n",
    )
    answer = _run(LAUNCHER, environ={"PATH": os.environ["PATH"], "PUSHSAFE_PYTHON": str(tmp_path / "old")})
    assert answer.returncode == 127
    assert "is Python 3.9, 3.11 is needed" in answer.stderr


def _boot() -> str:
    found = re.search(r"^boot='(.*?)'$", LAUNCHER.read_text(), re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def test_interrupted_while_importing(tree: Path) -> None:
    (tree / "pushsafe/__main__.py").write_text("import time; print('importing', flush=True); time.sleep(20)")
    environ = {"PATH": os.environ["PATH"], "PUSHSAFE_PYTHON": sys.executable}
    child = subprocess.Popen(
        [tree / "docker-pushsafe"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "importing\n"
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=10)
    assert (child.returncode, stderr) == (130, "docker pushsafe: interrupted before it began\n")
