"""Real engines and real registries on this machine, for the tests that fakes cannot answer."""

from .images import build_index, docker_archive, drop_platform, load_image, newer_docker_config
from .lifecycle import down, install, stopped, unavailable, up
from .model import Lab, LabEngine, LabError, LabRegistry
from .newer import newer_docker_cli, tool
from .ports import closed_port

__all__ = [
    "Lab",
    "LabEngine",
    "LabError",
    "LabRegistry",
    "build_index",
    "closed_port",
    "docker_archive",
    "down",
    "drop_platform",
    "install",
    "load_image",
    "newer_docker_cli",
    "newer_docker_config",
    "stopped",
    "tool",
    "unavailable",
    "up",
]
