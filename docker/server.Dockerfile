# The role that answers requests: no torch, no Lightning, no Prefect, no Evidently. From the repository's root:
#   docker build -f docker/server.Dockerfile -t everfit-server .
FROM python:3.11.14-slim-bookworm AS builder
ARG ROLES="server"
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
# As components/serving/command.py starts it; tests/docker holds the two equal. One process a container: more of them are
# more containers, or another BENTOML_CONFIG_OVERRIDES; serving.workers counts where everfit up starts it. Limits stand in
# the project file. With EVERFIT_API_KEYS_FILE it asks for keys; the host is told so that it warns where it does not.
ENV PATH=/opt/everfit/bin:$PATH \
    BENTOML_CONFIG_OVERRIDES='{"services": {"EverfitService": {"workers": 1}}}' \
    BENTOML_DO_NOT_TRACK=True \
    BENTOML_HOME=/var/lib/everfit/bentoml \
    DO_NOT_TRACK=1 \
    EVERFIT_HOME=/var/lib/everfit \
    EVERFIT_HOST=0.0.0.0 \
    EVERFIT_PROJECT_FILE=/projects/flight-delays.yaml \
    EVERFIT_TRACKING_URI=http://tracking:5000 \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_HTTP_REQUEST_MAX_RETRIES=1 \
    MLFLOW_HTTP_REQUEST_TIMEOUT=10 \
    OMP_WAIT_POLICY=PASSIVE \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/everfit
EXPOSE 3000
# Alive, not ready: before the first model is promoted it answers 503 to /readyz, and a restart would not help.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:3000/livez', timeout=4)"]
CMD ["bentoml", "serve", "components.serving.service:EverfitService", \
     "--working-dir", "/opt/everfit/lib/python3.11/site-packages", "--host", "0.0.0.0", "--port", "3000", \
     "--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "20"]
