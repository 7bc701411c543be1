# The MLflow server: runs, model versions, aliases and their files. From the repository's root:
#   docker build -f docker/tracking.Dockerfile -t everfit-tracking .
FROM python:3.11.14-slim-bookworm AS builder
WORKDIR /src
RUN python -m venv /opt/mlflow
COPY requirements.lock ./
RUN /opt/mlflow/bin/pip install --no-cache-dir --constraint requirements.lock mlflow "psycopg[binary]"

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --create-home everfit \
    && install --directory --owner everfit /var/lib/mlflow
COPY --from=builder /opt/mlflow /opt/mlflow
# The job runner would start nine more processes, and has let strangers run code: it stays off. The address of the
# database, with its password, comes from the environment: MLFLOW_BACKEND_STORE_URI.
ENV PATH=/opt/mlflow/bin:$PATH \
    DO_NOT_TRACK=1 \
    MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_SERVER_ALLOWED_HOSTS=localhost:*,127.0.0.1:*,tracking:* \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/mlflow
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
CMD ["mlflow", "server", "--serve-artifacts", "--artifacts-destination", "/var/lib/mlflow/artifacts", \
     "--host", "0.0.0.0", "--port", "5000", "--workers", "1"]
