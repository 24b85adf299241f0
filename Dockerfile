# One image for every process of Plumbline; the command says which (default: a worker).
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock pyproject.toml LICENSE README*.md ./
RUN python -m venv /opt/plumbline && /opt/plumbline/bin/pip install --no-cache-dir -r requirements.lock
COPY stream_app stream_app
COPY agents agents
COPY schemas schemas
RUN /opt/plumbline/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
COPY --from=build /opt/plumbline /opt/plumbline
ENV PATH=/opt/plumbline/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PLUMBLINE_DATA_DIR=/var/lib/plumbline
RUN useradd --system --uid 999 --create-home --home-dir /var/lib/plumbline plumbline \
    && install -d -o plumbline /var/lib/plumbline/registry
USER plumbline
WORKDIR /var/lib/plumbline
VOLUME /var/lib/plumbline
# A worker's own views listen on 127.0.0.1 inside the container: nothing is open to the world by default.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:6066/livez', timeout=2)"]
ENTRYPOINT ["plumbline"]
CMD ["worker"]
