"""What runs, as a table for people."""

from . import engine_api, engines, registries, state
from .lifecycle import ISOLATED
from .newer import PROGRAMS, tool
from .paths import run_directory
from .processes import living


def table() -> str:
    """Engines, registries and tools, and where to reach them; no passwords."""
    rows = [("NAME", "STATE", "KIND", "WHERE")]
    for engine in engines.KINDS:
        socket = engines.socket_path(engine.name)
        up = living(engine.name) is not None and engine_api.answers(socket)
        kind = f"{engine.store} store, engine {engine_api.version(socket)}" if up else f"{engine.store} store"
        rows.append((engine.name, "up" if up else "down", kind, f"unix://{socket}"))
    kept = state.read()
    found = {**registries.described(kept, ""), **registries.described(kept, ISOLATED)} if kept else {}
    for registry in found.values():
        up = all(living(name) for name in registries.service_names(registry.name))
        users = f"{registry.scheme} auth: {', '.join(registry.users)}" if registry.users else "no auth"
        rows.append((registry.name, "up" if up else "down", users, registry.host))
    for name in PROGRAMS:
        path = tool(name)
        rows.append((name, "cached" if path else "missing", "tool", str(path or "-")))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join((*map(str.ljust, row[:3], widths), row[3])) for row in rows]
    return "\n".join((*lines, "", f"passwords, ports, logs: {run_directory()}"))
