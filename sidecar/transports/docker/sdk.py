"""The data plane: the docker SDK's client of an engine, and the translation of its errors. Imported when first used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import docker
import requests
import urllib3
from docker.tls import TLSConfig

from sidecar.config import ResolvedHost
from sidecar.transports.docker import client
from sidecar.transports.docker.client import refusal, unreachable


def connect(host: ResolvedHost, timeout: float, version: str) -> docker.APIClient:
    """A client for an engine that speaks this version of the API; `timeout` in seconds for each answer."""
    tls: TLSConfig | bool = False
    if host.tls is not None:
        pair = (host.tls.cert, host.tls.key) if host.tls.cert and host.tls.key else None
        tls = TLSConfig(client_cert=pair, ca_cert=host.tls.ca, verify=host.tls.verify)
    return docker.APIClient(base_url=host.url, version=version, timeout=int(timeout) or 1, tls=tls, max_pool_size=16)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what the SDK, and what it stands on, raises into our errors; `what` names the engine or container."""
    with client.translated(what):
        try:
            yield
        except docker.errors.APIError as error:
            raise refusal(what, int(error.status_code or 500), str(error.explanation)) from error
        except (requests.RequestException, docker.errors.DockerException, urllib3.exceptions.HTTPError) as error:
            raise unreachable(what, error, late=isinstance(error, requests.Timeout)) from error
