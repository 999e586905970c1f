"""The registries people use, as data: their hosts, login command, the right a push needs, the path they can hold.

Each row's facts come from the page named in `source`. An unknown host gets GENERIC, so `known(host)` always answers.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class KnownRegistry(NamedTuple):
    """One registry product or service.

    `hosts` is a regular expression for the whole host. `login` may name `{host}` and the groups of `hosts`.
    `right` is what an account needs to push. `example` shows a full path; `depth` is the least and most number
    of path components (most 0: no limit). `account` is a regular expression for user names, whose group `own` is the
    one namespace (first component) that an account of that name may own. `create` makes a repository where pushing
    does not; it may name what `login` may, and `{path}`, `{first}`, `{second}` and `{rest}`: the repository, two of
    its components, and all but the first.
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
    """A host that serves pages, and the registry that people mean by it."""

    registry: str
    note: str = ""


WEB_SITES: dict[str, WebSite] = {
    "hub.docker.com": WebSite("docker.io"),
    "www.docker.com": WebSite("docker.io"),
    "docker.com": WebSite("docker.io"),
    "cloud.docker.com": WebSite("docker.io"),
    "store.docker.com": WebSite("docker.io"),
    "login.docker.com": WebSite("docker.io"),
    "app.docker.com": WebSite("docker.io"),
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
    """A host that no longer takes pushes, or only for those who moved; `source` is its owner's page."""

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
        "docker.io",
        "https://docs.docker.com/docker-hub/",
    ),
)


def known(registry: str) -> KnownRegistry:
    """The row for a registry's host (a port is ignored), GENERIC for every other host."""
    host = hostname(registry)
    return next((row for row in KNOWN if _matches(row.hosts, host)), GENERIC)


def retired(registry: str) -> RetiredRegistry | None:
    host = hostname(registry)
    return next((row for row in RETIRED if _matches(row.hosts, host)), None)


def login_command(registry: str, username: str = "") -> str:
    """The command that logs in to this very registry, filled in as far as its name and the user's name allow.

    A secret is never part of it: docker asks for it, or it comes through `--password-stdin`.
    """
    row = known(registry)
    host = hostname(registry)
    groups = match.groupdict() if (match := _matches(row.hosts, host)) else {}
    command = row.login.format(host=registry, **groups)
    if not username:
        return command
    from shlex import quote  # a refusal by the text alone names nobody, and shall not pay for it

    if row is GENERIC:
        return f"{command} -u {quote(username)}"
    return re.sub(r"(?<=-u )YOUR-\S+", lambda _: quote(username), command)


def own_namespace(registry: str, username: str) -> str:
    """The only namespace that an account of this name can own, where the registry's names tell; else nothing."""
    found = re.fullmatch(known(registry).account, username)
    return found["own"] if found and username else ""


def creation_command(registry: str, repository: str) -> str:
    """What makes this repository (its project, its namespace) at a registry where pushing does not; else nothing."""
    row = known(registry)
    host = hostname(registry)
    groups = match.groupdict() if (match := _matches(row.hosts, host)) else {}
    first, *others = repository.split("/")
    rest, second = "/".join(others) or first, others[0] if others else first
    return row.create.format(host=registry, path=repository, first=first, second=second, rest=rest, **groups)


def _matches(hosts: str, host: str) -> re.Match[str] | None:
    # Compiled on first use only: most runs meet one registry and start-up must not pay for the others.
    return re.fullmatch(hosts, host, re.ASCII | re.IGNORECASE)


def hostname(registry: str) -> str:
    """A registry's host without its port."""
    host, colon, port = registry.rpartition(":")
    return host if colon and port.isdigit() else registry
