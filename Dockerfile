# syntax=docker/dockerfile:1
# graphwriter in a container: `docker build -t graphwriter .`, then compose.yaml or docs/deployment.md.
#
# Both stages use one image, by its tag. To pin it, get its digest from a registry and
# build with --build-arg PYTHON=python:3.13-slim-bookworm@sha256:...
#   docker buildx imagetools inspect python:3.13-slim-bookworm
ARG PYTHON=python:3.13-slim-bookworm

# Every package is a wheel whose hash is in requirements.lock: nothing is compiled, and no code of a
# package runs before its hash was verified. The lock also pins the build tools of our own wheel.
FROM ${PYTHON} AS build
WORKDIR /build
COPY requirements.lock ./
RUN pip download --quiet --no-cache-dir --require-hashes --only-binary :all: --dest wheels -r requirements.lock
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY conf conf
COPY graphwriter graphwriter
RUN pip wheel --quiet --no-deps --no-index --find-links wheels --wheel-dir wheels . \
    && python -m venv /opt/graphwriter \
    && /opt/graphwriter/bin/pip install --quiet --no-index --find-links wheels graphwriter

FROM ${PYTHON}
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin graphwriter
COPY --from=build /opt/graphwriter /opt/graphwriter
ENV PATH=/opt/graphwriter/bin:$PATH
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
# Only locks, heartbeats and a socket are written, in a private directory below /tmp: run it with a
# read-only root and a tmpfs there.
#
# Healthy: every worker is alive and its loop makes progress. An unavailable server does not make the
# container unhealthy: the workers wait for it, and a restart would not help.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["graphwriter", "watchdog", "--check"]
# `up` passes SIGTERM to supervisord and the workers, which finish their batches: allow more than the
# usual 10 seconds (docker run --stop-timeout 120).
ENTRYPOINT ["graphwriter"]
CMD ["up"]
