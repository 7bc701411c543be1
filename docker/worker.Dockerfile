# The role that runs the flows: trains, exports, judges, watches. From the repository's root:
#   docker build -f docker/worker.Dockerfile -t everfit-worker .
# Without a GPU the CPU build of torch saves gigabytes: --build-arg PIP_EXTRA_INDEX_URL=<an index that has it>
FROM python:3.11.14-slim-bookworm AS builder
ARG PIP_EXTRA_INDEX_URL=""
ARG ROLES="worker postgres demo"
WORKDIR /src
RUN python -m venv /opt/everfit
COPY pyproject.toml requirements.lock docker/role.py ./
# The packages first: this layer is kept until the ranges or the lock change.
RUN python role.py ${ROLES} > role.txt \
    && /opt/everfit/bin/pip install --no-cache-dir --constraint requirements.lock --requirement role.txt
COPY README.md LICENSE ./
COPY components components
COPY flows flows
RUN /opt/everfit/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --create-home everfit \
    && install --directory --owner everfit /var/lib/everfit
COPY --from=builder /opt/everfit /opt/everfit
ENV PATH=/opt/everfit/bin:$PATH \
    DO_NOT_TRACK=1 \
    EVERFIT_HOME=/var/lib/everfit \
    MLFLOW_DISABLE_TELEMETRY=true \
    OMP_WAIT_POLICY=PASSIVE \
    ORT_DISABLE_TELEMETRY=1 \
    PREFECT_API_URL=http://prefect:4200/api \
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30 \
    PREFECT_HOME=/var/lib/everfit/prefect \
    PREFECT_LOGGING_EXTRA_LOGGERS=components,flows \
    PREFECT_RUNNER_SERVER_ENABLE=true \
    PREFECT_RUNNER_SERVER_HOST=127.0.0.1 \
    PREFECT_RUNNER_SERVER_MISSED_POLLS_TOLERANCE=5 \
    PREFECT_RUNNER_SERVER_PORT=8090 \
    PREFECT_RUNNER_POLL_FREQUENCY=2 \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/everfit
# The runner says at this address, inside the container only, whether it still asks Prefect for work.
HEALTHCHECK --interval=30s --timeout=10s --start-period=90s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8090/health', timeout=9)"]
ENTRYPOINT ["everfit"]
CMD ["runner", "/projects/flight-delays.yaml"]
