"""Telling a registry's answers from those of a proxy, or of whoever else answers through it, where HTTP is in clear."""

from __future__ import annotations

from pushsafe.errors import ProxyAnswers
from pushsafe.patience import BUSY
from pushsafe.registry.manifests import is_page, object_in
from pushsafe.registry.transport import Endpoint, Response, proxy_in_clear

_REFUSED, _WANTS_PROXY_LOGIN = 400, 407
_FROM_ANYBODY = (401, 413, 429)
"""Statuses whose meaning, and what to do about it, is the same whoever gives them."""


def of_registry(endpoint: Endpoint, method: str, said: Response) -> Response:
    """The answer to a request to a registry's API. Raises ProxyAnswers for one that came through a proxy in clear and
    is like no registry's."""
    proxy = proxy_in_clear(endpoint.base)
    if not proxy or said.elsewhere or _is_a_registrys(method, said):
        return said
    page = "a web page with " if is_page(said) else ""
    message = f"{endpoint.base}: what answers through the proxy {proxy} sends {page}status {said.status}"
    raise ProxyAnswers(f"{message}, which is not how a registry answers")


def _is_a_registrys(method: str, said: Response) -> bool:
    """Whether it may be a registry's: errors are JSON there (distribution specification, "Error Codes")."""
    if said.header("docker-distribution-api-version") or said.header("www-authenticate"):
        return True
    if is_page(said):
        return said.status in _FROM_ANYBODY[1:]
    if said.status < _REFUSED or said.status in _FROM_ANYBODY:
        return True
    if method == "HEAD":  # no answer to it has a body
        return said.status not in (_WANTS_PROXY_LOGIN, *BUSY)
    return object_in(said.body) is not None
