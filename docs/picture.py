"""Draw docs/example.svg from real runs in the lab: a bare name, an account that may only read, three tags pushed.

python docs/picture.py     # needs what tests/lab needs
"""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import lab  # noqa: E402
from tests.terminal import read_all  # noqa: E402

WIDTH = 118


def main() -> None:
    the_lab = lab.up()
    engine, registry = the_lab.engines["classic-new"], the_lab.registries["token"]
    name = f"{registry.host}/myorg/my-api"
    tags = ("1.4.2", "1.4", "latest")
    layers = [os.urandom(200_000), os.urandom(3_000_000)]
    for tag in tags:
        lab.load_image(engine, f"{name}:{tag}", layers=layers)
    console = Console(record=True, width=WIDTH, file=Path(os.devnull).open("w"))  # noqa: SIM115 - until the end
    with tempfile.TemporaryDirectory() as home:
        for who, words in (
            ("writer", ["my-api:1.4.2"]),
            ("reader", [f"{name}:1.4.2"]),
            ("writer", [f"{name}:{tag}" for tag in tags]),
        ):
            log_in(Path(home), registry.host, who, registry.users[who])
            console.print(Text(f"$ docker pushsafe {' '.join(words)}", style="bold"))
            console.print(Text.from_ansi(run(Path(home), engine.host, words)))
    drawing = console.export_svg(title="docker pushsafe")
    # The reader's own monospaced font: a picture that loads fonts from elsewhere is not a picture.
    drawing = re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL).replace("Fira Code, ", "")
    (ROOT / "docs" / "example.svg").write_text(drawing, encoding="utf-8")


def log_in(home: Path, host: str, user: str, password: str) -> None:
    folder = home / ".docker"
    plugins = folder / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    link = plugins / "docker-pushsafe"
    if not link.exists():
        link.symlink_to(ROOT / "docker-pushsafe")
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


def run(home: Path, engine: str, words: list[str]) -> str:
    """What a person sees on a terminal once the run is over: results, without the progress that was wiped."""
    controller, terminal = pty.openpty()
    environ = {**os.environ, "HOME": str(home), "DOCKER_HOST": engine, "PUSHSAFE_PYTHON": sys.executable}
    environ = {key: value for key, value in environ.items() if key != "NO_COLOR"}
    environ |= {"DOCKER_CONFIG": ".docker", "TERM": "xterm"}  # a short path, whatever the temporary folder is called
    process = subprocess.Popen(
        ["docker", "pushsafe", *words], stdout=terminal, stderr=subprocess.DEVNULL, env=environ, cwd=home
    )
    os.close(terminal)
    shown = read_all(controller)
    process.wait()
    os.close(controller)
    return shown.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    main()
