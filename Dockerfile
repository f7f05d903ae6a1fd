# Plain syntax: the classic builder takes it as well as BuildKit does.
#
#   docker build -t forge-media-sync .
#
# Without a network: put the wheels beside it first, and name a base image that the engine has.
#
#   pip download --dest wheels . hatchling && docker build --network none --build-arg PYTHON_IMAGE=... .
ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
# The second pattern gives the content of wheels/ when that folder is there, and nothing when it is not.
COPY README.md wheels* wheels/
COPY pyproject.toml README.md LICENSE ./
COPY sidecar sidecar
RUN python3 -m venv /opt/media-sync \
 && if ls wheels/*.whl >/dev/null 2>&1; then set -- --no-index --find-links wheels; else set --; fi \
 && /opt/media-sync/bin/python -m pip install --no-cache-dir --disable-pip-version-check "$@" . \
 && /opt/media-sync/bin/python -m pip uninstall --quiet --yes setuptools pip \
 && /opt/media-sync/bin/media-sync --help >/dev/null

FROM ${PYTHON_IMAGE}
ARG VERSION=dev
LABEL org.opencontainers.image.title="forge-media-sync" \
      org.opencontainers.image.description="Empties the output folders of ComfyUI and Forge containers, safely" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /opt/media-sync /opt/media-sync
# Started as root, the program gives itself to PUID and PGID before it does anything; `--user` works as well.
# There is no /library in here on purpose: what is not mounted would be lost with the container, so it is refused. A
# /state that is not mounted is only forgotten: the next run looks at everything again.
RUN mkdir -m 1777 /state
ENV PATH=/opt/media-sync/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PUID=1000 \
    PGID=1000 \
    UMASK=022
WORKDIR /
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["media-sync", "healthcheck"]
ENTRYPOINT ["media-sync"]
CMD ["serve"]
