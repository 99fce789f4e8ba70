# syntax=docker/dockerfile:1
# graphwriter in a container: `docker build -t graphwriter .`, then compose.yaml or docs/deployment.md.
#
# Both stages start from one image, named by its tag. To pin it, ask a registry for its digest and
# build with --build-arg PYTHON=python:3.13-slim-bookworm@sha256:...
#   docker buildx imagetools inspect python:3.13-slim-bookworm
ARG PYTHON=python:3.13-slim-bookworm

# Every package is a wheel whose hash stands in requirements.lock: nothing is compiled, and no code
# of a package runs before its hash was checked. The lock pins what builds our own wheel too.
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
# Nothing is written but locks, heartbeats and a socket, in a directory of our own below /tmp: run it
# with a read-only root and a tmpfs there.
#
# Every worker is alive and its loop gets on. A server that is away makes no container unhealthy:
# the workers wait for it, and starting them again would not bring it back.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["graphwriter", "watchdog", "--check"]
# `up` hands SIGTERM to supervisord, and that to the workers, which finish their batches: give it
# more than the ten seconds that are usual (docker run --stop-timeout 120).
ENTRYPOINT ["graphwriter"]
CMD ["up"]
