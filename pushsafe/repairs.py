"""What to do about a credential that does not do or cannot be read: a login helps only where docker would use it."""

from __future__ import annotations

from pushsafe.model import Credential, SourceKind, Trouble
from pushsafe.registry.known import login_command
from pushsafe.sanitize import clean

_STORE_ANEW = "docker login would rewrite it without your other logins"
_OWN_COMMANDS = {
    "ecr-login": "aws sts get-caller-identity   (docker-credential-ecr-login uses the login of the AWS CLI)",
    "gcloud": "gcloud auth login",
    "gcr": "docker-credential-gcr gcr-login",
    "acr-env": "az login   (docker-credential-acr-env uses AZURE_CLIENT_ID and the like, or a managed identity)",
    "acr-login": "az login",
    "ghcr-login": "export GITHUB_TOKEN   (docker-credential-ghcr-login reads the token from it)",
}
"""Helpers that hand on a login which was made elsewhere, and store none (their `store` is not implemented)."""


def login(credential: Credential, username: str = "") -> str:
    """What to run for another login: where docker takes it from, and not where `docker login` puts it in vain.

    `username` is that of the account, empty where it is not known or another one is wanted.
    """
    source = credential.source
    if source.kind is SourceKind.BROKEN:
        return repair(credential)
    if source.kind is SourceKind.ENVIRONMENT:
        return _of_environment(credential)
    if source.helper in _OWN_COMMANDS:
        return _OWN_COMMANDS[source.helper]
    return login_command(credential.registry, clean(username))


def repair(credential: Credential) -> str:
    """What to do where a credential cannot be read."""
    source = credential.source
    removed = f"take {source.setting} out of {source.file}" if source.setting else ""
    match source.trouble:
        case Trouble.NOT_INSTALLED:
            return f"install {source.name}{f', or {removed} and log in again' if removed else ''}"
        case Trouble.NO_NAME:
            return f"correct {source.setting} in {source.file}, or take it out and log in again"
        case Trouble.HELPER if source.helper in _OWN_COMMANDS:
            return _OWN_COMMANDS[source.helper]
        case Trouble.HELPER:
            return f"{source.name} list   (it has to work first{f'; or {removed}' if removed else ''})"
        case Trouble.FILE:
            return f"correct {source.name} first   ({_STORE_ANEW})"
        case Trouble.UNREADABLE:
            return f"ls -l {source.name}   (it has to be a file that you may read)"
        case Trouble.VARIABLE:
            return f"unset {source.name}, or correct its value"
        case _:
            return login_command(credential.registry)


def _of_environment(credential: Credential) -> str:
    variable = credential.source.name
    if credential.overridden:
        return f"unset {variable}   ({credential.overridden} has another login for {credential.registry})"
    return f"put another login for {credential.registry} into {variable}, or unset it and log in"
