"""A port of the loopback where nothing listens."""

import socket


def closed_port() -> int:
    """A port that refuses connections as long as this process lives: bound, so that nobody else gets it."""
    keeper = socket.socket()
    keeper.bind(("127.0.0.1", 0))
    port = int(keeper.getsockname()[1])
    keeper.detach()
    return port
