"""Known registries: the names they accept, what they are confused with, and how to log in."""

from __future__ import annotations

import re
from typing import NamedTuple

from pushsafe.model.credentials import HUB_KEY, Credential, SourceKind, Trouble, key_of
from pushsafe.oci.reference import DEFAULT_REGISTRY, HUB_INDEX, HUB_SERVER, hostname, server_of
from pushsafe.runtime.redact import clean


class KnownRegistry(NamedTuple):
    """One registry product or service.

    `hosts` is a regular expression for the whole host. `login` may use `{host}` and the groups of `hosts`. `right` is
    what an account needs to push. `example` is a full path; `depth` is the minimum and maximum number of path
    components (maximum 0: no limit). `account` is a regular expression for user names, whose group `own` is the only
    namespace (first component) that the account may own. `create` creates a repository if pushing does not; besides the
    fields of `login` it may use `{path}`, `{first}`, `{second}` and `{rest}`: the repository, two of its components,
    and all but the first.
    """

    name: str
    hosts: str
    login: str
    right: str
    source: str
    example: str = ""
    depth: tuple[int, int] = (1, 0)
    account: str = ""
    create: str = ""


GENERIC = KnownRegistry(
    name="registry",
    hosts=r".*",
    login="docker login {host}",
    right="the right to write (push) to the repository",
    source="https://distribution.github.io/distribution/spec/auth/",
)

KNOWN: tuple[KnownRegistry, ...] = (
    KnownRegistry(
        name="Docker Hub",
        hosts=r"docker\.io|registry-1\.docker\.io",
        login="docker login -u YOUR-DOCKER-ID",
        right="an access token with Read & Write, and the write role on the repository",
        source="https://docs.docker.com/security/access-tokens/",
        example="docker.io/NAMESPACE/NAME",
        depth=(2, 2),
        account=r"(?P<own>[A-Za-z0-9]+)",
    ),
    KnownRegistry(
        name="GitHub Container Registry",
        hosts=r"ghcr\.io",
        login="docker login ghcr.io -u YOUR-GITHUB-USER",
        right=(
            "a classic token with write:packages, or in a workflow `permissions: packages: write` "
            "and access for the repository in the package's settings"
        ),
        source="https://docs.github.com/packages/working-with-a-github-packages-registry",
        example="ghcr.io/OWNER/IMAGE",
        depth=(2, 0),
    ),
    KnownRegistry(
        name="GitLab container registry",
        hosts=r"registry\.gitlab\.com",
        login="docker login {host} -u YOUR-GITLAB-USER",
        right="the Developer role in the project; a token needs read_registry and write_registry",
        source="https://docs.gitlab.com/user/packages/container_registry/authenticate_with_container_registry/",
        example="registry.gitlab.com/GROUP/PROJECT/IMAGE",
        depth=(2, 0),
        create="create the project in GitLab first",
    ),
    KnownRegistry(
        name="Amazon ECR Public",
        hosts=r"public\.ecr\.aws",
        login=(
            "aws ecr-public get-login-password --region us-east-1 | docker login -u AWS --password-stdin public.ecr.aws"
        ),
        right="ecr-public:GetAuthorizationToken, sts:GetServiceBearerToken and the ecr-public upload actions",
        source="https://docs.aws.amazon.com/AmazonECR/latest/public/public-registry-auth.html",
        example="public.ecr.aws/ALIAS/REPOSITORY",
        depth=(2, 0),
        create="aws ecr-public create-repository --region us-east-1 --repository-name {rest}",
    ),
    KnownRegistry(
        name="Amazon ECR",
        hosts=(
            r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\."
            r"(?:amazonaws\.com(?:\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)"
        ),
        login="aws ecr get-login-password --region {region} | docker login -u AWS --password-stdin {host}",
        right=(
            "ecr:GetAuthorizationToken, ecr:BatchCheckLayerAvailability, ecr:InitiateLayerUpload, "
            "ecr:UploadLayerPart, ecr:CompleteLayerUpload and ecr:PutImage"
        ),
        source="https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html",
        example="ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY",
        create="aws ecr create-repository --region {region} --repository-name {path}",
    ),
    KnownRegistry(
        name="Google Artifact Registry",
        hosts=r"(?P<location>[a-z0-9-]+)-docker\.pkg\.dev",
        login="gcloud auth configure-docker {host}",
        right="roles/artifactregistry.writer on the repository",
        source="https://cloud.google.com/artifact-registry/docs/docker/pushing-and-pulling",
        example="LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE",
        depth=(3, 0),
        create=(
            "gcloud artifacts repositories create {second} --repository-format=docker --location={location} "
            "--project={first}"
        ),
    ),
    KnownRegistry(
        name="Azure Container Registry",
        hosts=r"(?P<name>[a-z0-9-]+)\.azurecr\.(?:io|cn|us)",
        login="az acr login -n {name}",
        right="AcrPush, or Container Registry Repository Writer where the registry is in ABAC mode",
        source="https://learn.microsoft.com/azure/container-registry/container-registry-roles",
        example="NAME.azurecr.io/REPOSITORY",
    ),
    KnownRegistry(
        name="Quay",
        hosts=r"quay\.io",
        login="docker login -u 'NAMESPACE+ROBOT' quay.io",
        right="the write permission on the repository (for a robot account too)",
        source="https://docs.quay.io/glossary/robot-accounts.html",
        example="quay.io/NAMESPACE/REPOSITORY",
        depth=(2, 0),
        account=r"(?P<own>[^+]+)\+.+",
    ),
    KnownRegistry(
        name="DigitalOcean container registry",
        hosts=r"registry\.digitalocean\.com",
        login="doctl registry login",
        right="an API token with write access to the registry",
        source="https://docs.digitalocean.com/products/container-registry/",
        example="registry.digitalocean.com/REGISTRY/IMAGE",
        depth=(2, 0),
    ),
    KnownRegistry(
        name="Oracle Cloud container registry",
        hosts=r"[a-z0-9-]+\.ocir\.io|ocir\.[a-z0-9-]+\.oci\.oraclecloud\.com",
        login="docker login {host} -u 'TENANCY-NAMESPACE/YOUR-USER'",
        right="a policy that allows `manage repos` (REPOSITORY_UPDATE) in the compartment",
        source="https://docs.oracle.com/iaas/Content/Registry/Tasks/registrypushingimagesusingthedockercli.htm",
        example="REGION.ocir.io/TENANCY-NAMESPACE/REPOSITORY",
        depth=(2, 0),
    ),
    KnownRegistry(
        name="IBM Cloud container registry",
        hosts=r"(?:[a-z]{2}\.)?icr\.io",
        login="docker login -u iamapikey {host}",
        right="the Writer role for the container registry service",
        source="https://cloud.ibm.com/docs/Registry?topic=Registry-registry_access",
        example="REGION.icr.io/NAMESPACE/REPOSITORY",
        depth=(2, 0),
        create="ibmcloud cr namespace-add {first}",
    ),
)


class WebSite(NamedTuple):
    """A host that serves web pages, and the registry that people mean by it."""

    registry: str
    note: str = ""


WEB_SITES: dict[str, WebSite] = {
    "hub.docker.com": WebSite(DEFAULT_REGISTRY),
    "www.docker.com": WebSite(DEFAULT_REGISTRY),
    "docker.com": WebSite(DEFAULT_REGISTRY),
    "cloud.docker.com": WebSite(DEFAULT_REGISTRY),
    "store.docker.com": WebSite(DEFAULT_REGISTRY),
    "login.docker.com": WebSite(DEFAULT_REGISTRY),
    "app.docker.com": WebSite(DEFAULT_REGISTRY),
    "github.com": WebSite("ghcr.io"),
    "www.github.com": WebSite("ghcr.io"),
    "gitlab.com": WebSite("registry.gitlab.com"),
    "www.gitlab.com": WebSite("registry.gitlab.com"),
    "bitbucket.org": WebSite("", "Bitbucket has no container registry"),
    "console.aws.amazon.com": WebSite("ACCOUNT.dkr.ecr.REGION.amazonaws.com"),
    "gallery.ecr.aws": WebSite("public.ecr.aws"),
    "console.cloud.google.com": WebSite("LOCATION-docker.pkg.dev"),
    "portal.azure.com": WebSite("NAME.azurecr.io"),
    "cloud.digitalocean.com": WebSite("registry.digitalocean.com"),
    "cloud.ibm.com": WebSite("REGION.icr.io"),
}


class RetiredRegistry(NamedTuple):
    """A registry that is retired or has moved; `source` is its owner's page."""

    hosts: str
    since: str
    successor: str
    source: str


RETIRED: tuple[RetiredRegistry, ...] = (
    RetiredRegistry(
        r"docker\.pkg\.github\.com",
        "GitHub's Docker registry was replaced by the Container registry",
        "ghcr.io",
        "https://docs.github.com/packages/working-with-a-github-packages-registry/migrating-to-the-container-registry-from-the-docker-registry",
    ),
    RetiredRegistry(
        r"(?:(?:us|eu|asia|marketplace|staging-k8s)\.)?gcr\.io",
        "Google Container Registry was shut down in 2025; gcr.io takes pushes only for projects that moved",
        "LOCATION-docker.pkg.dev",
        "https://cloud.google.com/artifact-registry/docs/transition/transition-from-gcr",
    ),
    RetiredRegistry(
        r"k8s\.gcr\.io",
        "the Kubernetes registry at k8s.gcr.io has been frozen since April 2023",
        "registry.k8s.io",
        "https://kubernetes.io/blog/2023/02/06/k8s-gcr-io-freeze-announcement/",
    ),
    RetiredRegistry(
        r"registry(?:\.[a-z-]+)?\.bluemix\.net",
        "IBM's bluemix.net registry names are deprecated",
        "REGION.icr.io",
        "https://cloud.ibm.com/docs/Registry?topic=Registry-registry_overview",
    ),
    RetiredRegistry(
        r"registry\.hub\.docker\.com",
        "registry.hub.docker.com is an old name of Docker Hub, and docker keeps its login under another key",
        DEFAULT_REGISTRY,
        "https://docs.docker.com/docker-hub/",
    ),
)


TOKENS = r"gh[opsur]_|github_pat_|gl[a-z]{2,5}-|dckr_[a-z]{3}_|npm_|hf_|pypi-|xox[a-z]-|AKCp|cmVmdGtu|ya29\."
"""Prefixes of tokens, Artifactory's and Google's among them."""


def known(registry: str) -> KnownRegistry:
    """The row for a registry's host (the port is ignored), GENERIC for every other host."""
    host = hostname(registry)
    return next((row for row in KNOWN if _matches(row.hosts, host)), GENERIC)


def retired(registry: str) -> RetiredRegistry | None:
    host = hostname(registry)
    return next((row for row in RETIRED if _matches(row.hosts, host)), None)


def login_command(registry: str, username: str = "") -> str:
    """The login command for this registry, filled in as far as its name and the user's name allow.

    It never contains a secret: docker asks for it, or reads it with `--password-stdin`.
    """
    row = known(registry)
    host = hostname(registry)
    groups = match.groupdict() if (match := _matches(row.hosts, host)) else {}
    command = row.login.format(host=registry, **groups)
    if not username:
        return command
    from shlex import quote  # not at module level: a run that ends with the text alone does not need it

    if row is GENERIC:
        return f"{command} -u {quote(username)}"
    return re.sub(r"(?<=-u )YOUR-\S+", lambda _: quote(username), command)


def own_namespace(registry: str, username: str) -> str:
    """The only namespace this account can own, if the registry's names imply one; else empty."""
    found = re.fullmatch(known(registry).account, username)
    return found["own"] if found and username else ""


def creation_command(registry: str, repository: str) -> str:
    """The command that creates this repository (or project, or namespace), if pushing does not; else empty."""
    row = known(registry)
    host = hostname(registry)
    groups = match.groupdict() if (match := _matches(row.hosts, host)) else {}
    first, *others = repository.split("/")
    rest, second = "/".join(others) or first, others[0] if others else first
    return row.create.format(host=registry, path=repository, first=first, second=second, rest=rest, **groups)


def reach_command(registry: str) -> str:
    """A command that shows whether the registry can be reached from here."""
    plain = hostname(registry) == "localhost" or registry.startswith("127.")
    return f"curl -sSi {'http' if plain else 'https'}://{server_of(registry)}/v2/"


def _matches(hosts: str, host: str) -> re.Match[str] | None:
    # compiled on first use: most runs meet one registry
    return re.fullmatch(hosts, host, re.ASCII | re.IGNORECASE)


HUB_HOSTS = (HUB_SERVER, HUB_INDEX, "auth.docker.io", "registry.docker.io", "registry.hub.docker.com")
"""The host to contact for Docker Hub."""
_HUB_NAMES = {DEFAULT_REGISTRY, "hub.docker.com", *HUB_HOSTS}
_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
_LONG = 8
"""From this length on, hosts that differ in one letter are more likely a typo than two hosts."""


def near_miss(credential: Credential) -> str:
    """One sentence, without a full stop, on the nearest login that docker does not use; empty if there is none."""
    registry = credential.registry
    if credential.callers_config:
        return (
            f"{credential.callers_config} has a login for {registry}, and docker does not read it: "
            "sudo changed the home folder"
        )
    for key in credential.elsewhere:
        if why := neighbour(registry, key):
            return f"there is a credential for {key}, and docker does not use it for {registry}: {why}"
    return ""


def neighbour(registry: str, key: str) -> str:
    """Why the login under `key` of config.json may be mistaken for `registry`'s; empty if it would not be."""
    other = _server(key)
    mine, theirs = hostname(registry).lower(), hostname(other).lower()
    if key == key_of(registry):
        return ""
    if {mine, theirs} <= _HUB_NAMES:
        return f"docker keeps Docker Hub's login under {HUB_KEY}"
    if registry == other:
        return ""
    if registry.lower() == other.lower():
        return "docker compares names letter by letter, capitals too"
    if mine == theirs and {registry.lower(), other.lower()} == {mine, f"{mine}:443"}:
        return "docker compares names, with and without :443"
    if mine == theirs:
        return "another port is another registry"
    if {mine, theirs} <= _LOOPBACK:
        return "docker compares names, not addresses"
    row = known(registry)
    if row in KNOWN and row is known(other):
        return f"each {row.name} host (region, account) has a login of its own"
    if mine.endswith(f".{theirs}") or theirs.endswith(f".{mine}"):
        return "another host is another registry"
    if min(len(mine), len(theirs)) > _LONG and _is_slip(mine, theirs):
        return "one letter is another"
    return ""


def _server(key: str) -> str:
    """The host and port of a key of config.json, which may be a URL."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _is_slip(one: str, other: str) -> bool:
    """Whether one letter is wrong, missing or extra, or two are swapped; digits number servers, and must match."""
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    if any(letter.isdigit() for letter in one + other):
        return False
    return max(len(one), len(other)) == 1 or (len(one) == 2 and one == other[::-1])


_STORE_ANEW = "docker login would rewrite it without your other logins"
_OWN_COMMANDS = {
    "ecr-login": "aws sts get-caller-identity   (docker-credential-ecr-login uses the login of the AWS CLI)",
    "gcloud": "gcloud auth login",
    "gcr": "docker-credential-gcr gcr-login",
    "acr-env": "az login   (docker-credential-acr-env uses AZURE_CLIENT_ID and the like, or a managed identity)",
    "acr-login": "az login",
    "ghcr-login": "export GITHUB_TOKEN   (docker-credential-ghcr-login reads the token from it)",
}
"""Helpers that pass on a login made elsewhere and store none (their `store` is not implemented)."""


def login(credential: Credential, username: str = "") -> str:
    """The command for another login: where docker takes it from, not where `docker login` would store it in vain.

    `username` is the account's, empty if unknown or if another one is wanted.
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
    """The fix for a credential that cannot be read."""
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
