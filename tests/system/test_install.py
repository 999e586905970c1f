"""install.sh in a home of its own: what it makes, shows and refuses, and that nothing half-done stays."""

from __future__ import annotations

import configparser
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pushsafe import __version__
from tests.docker_client import needs_docker

ROOT = Path(__file__).parents[2]
PARTS = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "docker-pushsafe", "pushsafe", "install.sh")
# What install.sh may take for granted on a machine without Python and docker.
TOOLS = (
    "sh", "awk", "cat", "chmod", "cp", "dirname", "id", "ln", "mkdir", "mktemp",
    "readlink", "rm", "rmdir", "sed", "sort",
)  # fmt: skip

PYTHON = f'exec {sys.executable} "$@"'
NO_VENV = f'case "$*" in *ensurepip*) exit 1 ;; esac; exec {sys.executable} "$@"'


def _script(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


@dataclass
class Home:
    """A home folder, a source tree and a PATH in which only the named programs are."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.root / "home"

    @property
    def base(self) -> Path:
        return self.folder / ".local/share/docker-pushsafe"

    @property
    def link(self) -> Path:
        return self.folder / ".docker/cli-plugins/docker-pushsafe"

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    def put(self, name: str, text: str) -> None:
        _script(self.root / "bin" / name, text)

    def arguments(self, *words: str) -> tuple[list[str], dict[str, str]]:
        environ = {"HOME": str(self.folder), "PATH": str(self.root / "bin")} | self.environ
        return ["sh", str(self.tree / "install.sh"), *words], environ

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command, environ = self.arguments(*words)
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)

    def docker(self, *words: str) -> subprocess.CompletedProcess[str]:
        environ = {"HOME": str(self.folder), "PATH": os.environ["PATH"]}
        return subprocess.run(["docker", *words], env=environ, capture_output=True, text=True, timeout=60, check=False)

    def files(self) -> set[str]:
        """Everything in the home but what pip keeps for itself."""
        found = (str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))
        return {name for name in found if name.split("/")[0] not in (".cache", ".rustup")}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Nobody's machine: no Python, no docker, no package tool."""
    home = Home(tmp_path)
    home.folder.mkdir()
    home.tree.mkdir()
    (tmp_path / "bin").mkdir()
    for name in TOOLS:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    shutil.copy(ROOT / "install.sh", home.tree)
    (home.tree / "pushsafe").mkdir()
    (home.tree / "setup.cfg").touch()
    return home


def _complete_tree(home: Home, version: str = "") -> None:
    """The real source tree, or with a version a tiny one without dependencies."""
    shutil.rmtree(home.tree)
    home.tree.mkdir()
    if not version:
        for name in PARTS:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, home.tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, home.tree)
        return
    for name in ("pyproject.toml", "docker-pushsafe", "install.sh"):
        shutil.copy(ROOT / name, home.tree)
    (home.tree / "setup.cfg").write_text(
        f"[metadata]\nname = docker-pushsafe\nversion = {version}\n"
        "[options]\npackages = pushsafe\nscripts =\n    docker-pushsafe\n"
    )
    (home.tree / "pushsafe").mkdir()
    (home.tree / "pushsafe/__init__.py").touch()
    (home.tree / "pushsafe/__main__.py").write_text(f"print('docker pushsafe {version}')\n")


@pytest.fixture(scope="session")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds all that the program and its build need, to be copied where a new one is asked for."""
    venv = tmp_path_factory.mktemp("ready") / "venv"
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    needed = settings["options"]["install_requires"].split("\n")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "setuptools>=70.1", *filter(None, needed)], check=True)
    return venv


@pytest.fixture
def python(home: Home, venv: Path) -> None:
    """A Python on the machine that copies the environment rather than make one."""
    home.put(
        "python3",
        f"""\
case "$*" in
    *base_executable*) echo {home.root}/bin/python3; exit ;;
    *"-m venv "*) for folder; do :; done; exec cp -al {venv}/. "$folder" ;;
esac
exec {sys.executable} "$@\"""",
    )


NO_INDEX = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_CONFIG_FILE": os.devnull}
"""What is needed is there; the last but one is pip's way to say that the build shall see it."""
CLOSED_INDEX = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
"""Nothing listens there: pip cannot even get what it builds with."""


def _docker_works(home: Home) -> None:
    (home.root / "bin/docker").unlink(missing_ok=True)
    home.environ["PATH"] = f"{home.root}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"


def _docker_fails(home: Home) -> None:
    home.put("docker", "echo 'docker: unknown command: docker pushsafe' >&2; exit 1")


# --------------------------------------------------------------------------- the whole way


@needs_docker
def test_install_and_uninstall(home: Home) -> None:
    """With a Python that makes its environment, and a pip that fetches what it needs."""
    _docker_works(home)
    _complete_tree(home)
    # Another Python for the launcher must not be what the new installation is tried with.
    home.environ["PUSHSAFE_PYTHON"] = "/nowhere/python"
    (home.folder / ".docker").mkdir()
    (home.folder / ".docker/config.json").write_text("{}")
    before, tree_before = home.files(), sorted(home.tree.rglob("*"))

    answer = home.run()
    assert answer.returncode == 0
    assert answer.stderr == "install.sh: PUSHSAFE_PYTHON is set: docker pushsafe will run /nowhere/python while it is\n"
    assert f"docker pushsafe {__version__}" in answer.stdout
    assert str(home.link) in answer.stdout
    assert sorted(home.tree.rglob("*")) == tree_before, "a build leaves traces in the source tree"
    assert home.docker("pushsafe", "--version").stdout.split()[-1] == __version__
    assert home.docker("pushsafe", "my-api").returncode == 1
    assert list(home.base.rglob("cli/__pycache__/main.*.pyc")), "the first start would have to compile"

    answer = home.run("--uninstall")
    assert (answer.returncode, answer.stdout) == (0, "Removed docker-pushsafe.\n")
    assert home.files() == before
    assert "nothing to remove" in home.run("--uninstall").stdout


@needs_docker
@pytest.mark.usefixtures("python")
def test_upgrade_replaces_and_a_failed_one_changes_nothing(home: Home) -> None:
    _docker_works(home)
    home.environ |= NO_INDEX
    plugins = home.link.parent
    plugins.mkdir(parents=True)
    _script(plugins / "docker-other", "echo")
    before = home.files()

    for version in ("1.0", "2.0"):
        _complete_tree(home, version)
        assert home.run().returncode == 0
        assert home.docker("pushsafe", "--version").stdout == f"docker pushsafe {version}\n"
        assert len(list(home.base.glob("venv.*"))) == 1

    installed = home.files()
    _docker_fails(home)
    _complete_tree(home, "3.0")
    answer = home.run()
    assert answer.returncode == 1
    assert "docker: unknown command" in answer.stderr
    assert "nothing was changed" in answer.stderr
    assert home.files() - installed == set()
    assert home.docker("pushsafe", "--version").stdout == "docker pushsafe 2.0\n"

    assert home.run("--uninstall").returncode == 0
    assert home.files() == before


@pytest.mark.usefixtures("python")
def test_failed_first_installation_leaves_nothing(home: Home) -> None:
    _docker_fails(home)
    _complete_tree(home, "1.0")
    home.environ |= CLOSED_INDEX
    answer = home.run()
    assert answer.returncode == 1
    assert "127.0.0.1" in answer.stderr, "pip's own words are missing"
    assert answer.stderr.endswith("install.sh: the installation failed, see above; nothing was changed\n")
    assert home.files() == set()


@pytest.fixture
def silent_index() -> Iterator[tuple[str, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple", server


@pytest.mark.usefixtures("python")
def test_interrupted_installation_leaves_nothing(home: Home, silent_index: tuple[str, socket.socket]) -> None:
    url, server = silent_index
    _docker_fails(home)
    _complete_tree(home, "1.0")
    home.environ |= {"PIP_INDEX_URL": url, "PIP_CONFIG_FILE": os.devnull}
    assert _interrupted(home, signal.SIGINT, server) == 130
    assert home.files() == set()


def _interrupted(home: Home, number: int, server: socket.socket, *words: str) -> int:
    """Interrupt install.sh when pip waits for its index; its exit status."""
    command, environ = home.arguments(*words)
    child = subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    with server.accept()[0]:
        assert list(home.root.rglob("pyvenv.cfg"))
        os.killpg(child.pid, number)
        return child.wait(30)


# --------------------------------------------------------------------------- the tour


@pytest.fixture
def visitor(home: Home, python: None) -> Home:
    """A machine with Python and no docker, and a folder for temporary files."""
    (home.root / "temporary").mkdir()
    home.environ |= {"TMPDIR": str(home.root / "temporary"), "DOCKER_HOST": f"unix://{home.root}/nobody.sock"}
    return home


def _left(visitor: Home) -> set[str]:
    return visitor.files() | {str(path) for path in (visitor.root / "temporary").iterdir()}


def _tour_that_ends_with(visitor: Home, status: int) -> None:
    _complete_tree(visitor, "1.0")
    text = f"import sys\nprint('pushsafe', *sys.argv[1:])\nsys.exit({status} * (sys.argv[1:] == ['try']))\n"
    (visitor.tree / "pushsafe/__main__.py").write_text(text)


def test_try_shows_it_all_with_nothing_but_python_and_leaves_nothing(visitor: Home) -> None:
    _complete_tree(visitor)
    visitor.environ |= {**NO_INDEX, "PUSHSAFE_PYTHON": "/nowhere/python"}
    tree_before = sorted(visitor.tree.rglob("*"))
    answer = visitor.run("--try")
    assert (answer.returncode, answer.stderr) == (0, ""), answer.stdout
    assert [line for line in answer.stdout.splitlines() if line.startswith("exit code")] == [
        f"exit code {status}" for status in (1, 1, 4, 5, 0, 0)
    ]
    assert answer.stdout.splitlines()[-1].startswith("  ./install.sh  ")
    assert _left(visitor) == set()
    assert sorted(visitor.tree.rglob("*")) == tree_before


def test_try_ends_as_the_tour_does(visitor: Home) -> None:
    _tour_that_ends_with(visitor, 7)
    visitor.environ |= NO_INDEX
    answer = visitor.run("--try")
    assert answer.returncode == 7, answer.stderr
    assert answer.stdout.endswith("pushsafe try\n"), "nobody is told to install what did not work"
    assert _left(visitor) == set()


def test_try_that_cannot_be_built_leaves_nothing(visitor: Home) -> None:
    _tour_that_ends_with(visitor, 0)
    visitor.environ |= CLOSED_INDEX
    answer = visitor.run("--try")
    assert answer.returncode == 1
    assert "127.0.0.1" in answer.stderr, "pip's own words are missing"
    assert answer.stderr.endswith(
        "install.sh: it could not be built, see above; nothing is left of it "
        "(pip fetches packages: check HTTPS_PROXY, or pip config list)\n"
    )
    assert _left(visitor) == set()


def test_try_that_is_interrupted_leaves_nothing(visitor: Home, silent_index: tuple[str, socket.socket]) -> None:
    url, server = silent_index
    _tour_that_ends_with(visitor, 0)
    visitor.environ |= {"PIP_INDEX_URL": url, "PIP_CONFIG_FILE": os.devnull}
    assert _interrupted(visitor, signal.SIGTERM, server, "--try") == 143
    assert _left(visitor) == set()


@pytest.mark.parametrize(
    ("programs", "says"),
    [
        ({}, "Python 3.11 or newer is needed and there is none on PATH: see https://www.python.org/"),
        ({"apt-get": ""}, "{root}apt-get install python3 python3-venv"),
        ({"apk": "", "python3": "exit 1"}, "{root}apk add python3"),
    ],
)
def test_try_names_what_is_missing_and_wants_no_docker(programs: dict[str, str], says: str, home: Home) -> None:
    for name, text in programs.items():
        home.put(name, text or "exit 0")
    answer = home.run("--try")
    assert answer.returncode == 1
    assert says.format(root="" if os.geteuid() == 0 else "sudo ") in answer.stderr
    assert "docker is needed" not in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_try_names_the_venv_that_is_missing(home: Home) -> None:
    home.put("apt-get", "exit 0")
    home.put("python3", f'case "$*" in *base_executable*) echo {home.root}/bin/python3; exit ;; esac\n{NO_VENV}')
    answer = home.run("--try")
    assert answer.returncode == 1
    assert "lacks the venv module" in answer.stderr


def test_try_is_of_a_source_tree_and_for_no_system(home: Home) -> None:
    assert home.run("--try", "--system").returncode == 2
    (home.tree / "setup.cfg").unlink()
    answer = home.run("--try")
    assert answer.returncode == 1
    assert "source tree" in answer.stderr


# --------------------------------------------------------------------------- what is not ours


@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
@pytest.mark.parametrize("option", ["", "--uninstall"])
def test_foreign_plugin_is_left_alone(kind: str, option: str, home: Home) -> None:
    home.put("docker", "exit 0")
    home.put("python3", PYTHON)
    home.link.parent.mkdir(parents=True)
    (home.folder / "mine").write_text("x")
    if kind == "file":
        home.link.write_text("x")
    else:
        home.link.symlink_to(home.folder / ("mine" if kind == "link" else "gone"))
    before = home.files()
    answer = home.run(*option.split())
    assert answer.returncode == 1
    assert str(home.link) in answer.stderr
    assert f"rm '{home.link}'" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert home.files() == before


def test_uninstall_keeps_what_others_put_beside(home: Home) -> None:
    (home.base / "venv.abc/bin").mkdir(parents=True)
    (home.base / "current").symlink_to("venv.abc")
    (home.base / "notes").write_text("mine")
    home.link.parent.mkdir(parents=True)
    home.link.symlink_to(home.base / "current/bin/docker-pushsafe")
    (home.link.parent / "docker-other").write_text("x")
    (home.base / "made").write_text(f"link {home.link}\ndir {home.link.parent}\ndir {home.folder}/.docker\n")
    answer = home.run("--uninstall")
    assert answer.returncode == 0
    assert "holds something else and stays" in answer.stderr
    assert {name for name in home.files() if not (home.folder / name).is_dir()} == {
        ".docker/cli-plugins/docker-other",
        ".local/share/docker-pushsafe/notes",
    }


# --------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize(
    ("programs", "says"),
    [
        ({}, "docker is needed and not on PATH: see https://docs.docker.com/engine/install/"),
        ({"apt-get": ""}, "docker is needed and not on PATH: {root}apt-get install docker.io"),
        ({"docker": ""}, "Python 3.11 or newer is needed and there is none on PATH: see https://www.python.org/"),
        ({"docker": "", "apt-get": ""}, "{root}apt-get install python3 python3-venv"),
        ({"docker": "", "dnf": ""}, "{root}dnf install python3"),
        ({"docker": "", "apk": ""}, "{root}apk add python3"),
        ({"docker": "", "brew": ""}, ": brew install python"),
        ({"docker": "", "brew": "", "python3": "exit 1"}, "Python 3.11 or newer is needed"),
        (
            {"docker": "", "apt-get": "", "python3": NO_VENV},
            "lacks the venv module: {root}apt-get install python3-venv",
        ),
    ],
)
def test_missing_things_are_one_sentence_with_its_cure(programs: dict[str, str], says: str, home: Home) -> None:
    for name, text in programs.items():
        home.put(name, text or "exit 0")
    if "python3" in programs and "ensurepip" in programs["python3"]:
        # install.sh goes on with the interpreter that this one names as its own.
        home.put("python3", f'case "$*" in *base_executable*) echo {home.root}/bin/python3; exit ;; esac\n{NO_VENV}')
    answer = home.run()
    assert answer.returncode == 1
    assert says.format(root="" if os.geteuid() == 0 else "sudo ") in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert home.files() == set()


def test_wrong_python_is_named(home: Home) -> None:
    home.put("docker", "exit 0")
    answer = home.run("--python", "/nowhere/python")
    assert answer.returncode == 1
    assert "/nowhere/python is no Python >= 3.11" in answer.stderr
    assert home.run("--python").returncode == 2


def test_system_needs_root(home: Home) -> None:
    home.put("id", "echo 1000")
    answer = home.run("--system")
    assert answer.returncode == 1
    assert answer.stderr == (
        "install.sh: --system writes to /usr/local/lib/docker and needs root: sudo ./install.sh --system\n"
    )


def test_not_a_source_tree(home: Home) -> None:
    (home.tree / "setup.cfg").unlink()
    answer = home.run()
    assert answer.returncode == 1
    assert "source tree" in answer.stderr


def test_unknown_option(home: Home) -> None:
    for option in ("--unknown", "-x", "extra", ""):
        answer = home.run("--uninstall", option)
        assert answer.returncode == 2, option
        assert "./install.sh --help" in answer.stderr, option


def test_help_names_every_option(home: Home) -> None:
    answer = home.run("--help")
    assert answer.returncode == 0
    assert all(option in answer.stdout for option in ("--python", "--system", "--try", "--uninstall", "--help"))


@pytest.mark.parametrize("shell", [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)])
def test_every_shell_reads_it(shell: str) -> None:
    subprocess.run([shell, "-n", ROOT / "install.sh"], check=True)
