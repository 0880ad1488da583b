"""Hand-written asyncio: ids claimed in batches with asyncpg, calls by aiohttp, a run row and an update per call.

    DATABASE_URL=... python -m bench.peers.asyncio_asyncpg --runs N [--in-flight 200] [--connections 20]

Delivers all pending executions and prints the seconds that it took.
"""

import argparse
import asyncio
import datetime
import json
import os
import time
import uuid

import aiohttp
import asyncpg

_BATCH = 200
_CLAIM = """
    UPDATE runs_execution SET status = 'running', attempts = 1, started_at = now(), lease_owner = 'peer',
           lease_expires_at = now() + interval '60 s'
     WHERE id IN (SELECT id FROM runs_execution WHERE finished_at IS NULL AND status = 'pending'
                   ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED)
 RETURNING id, workspace_id, job_id, environment_id, job_version_id, trigger
"""
_INSERT = """
    INSERT INTO runs_run (id, workspace_id, job_id, environment_id, job_version_id, execution_id, step, number, trigger,
        status, failure_reason, error, started_at, finished_at, duration_ms, request_method, request_url,
        request_headers, request_body, request_body_encoding, response_status, response_headers, response_body,
        response_body_encoding, body_truncated, body_bytes, http_version, worker)
    VALUES ($1, $2, $3, $4, $5, $6, '', 1, $7, 'succeeded', '', '', $8, $9, $10, $11, $12, $13, $14, 'utf-8', $15,
        $16, $17, 'utf-8', false, $18, '1.1', 'peer')
"""
_FINISH = """
    UPDATE runs_execution SET status = 'succeeded', finished_at = $2, lease_owner = NULL, lease_expires_at = NULL
     WHERE id = $1
"""


async def deliver(pool: asyncpg.Pool, session: aiohttp.ClientSession, row: asyncpg.Record, call: dict) -> None:
    started_at = datetime.datetime.now(datetime.UTC)
    begun = time.perf_counter()
    async with session.request(call["method"], call["url"], headers=call["headers"], data=call["body"]) as response:
        body = await response.text()
    finished_at = datetime.datetime.now(datetime.UTC)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            _INSERT, uuid.uuid4(), row["workspace_id"], row["job_id"], row["environment_id"], row["job_version_id"],
            row["id"], row["trigger"], started_at, finished_at, round((time.perf_counter() - begun) * 1000),
            call["method"], call["url"], json.dumps(call["headers"]), call["body"], response.status,
            json.dumps(dict(response.headers)), body, len(body),
        )  # fmt: skip
        await connection.execute(_FINISH, row["id"], finished_at)


async def consume(
    pool: asyncpg.Pool, session: aiohttp.ClientSession, claimed: asyncio.Queue, calls: dict[uuid.UUID, dict]
) -> None:
    while (row := await claimed.get()) is not None:
        await deliver(pool, session, row, calls[row["job_version_id"]])


async def work(runs: int, in_flight: int, connections: int) -> float:
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=connections, max_size=connections)
    calls = {
        row["id"]: json.loads(row["config"])["request"]
        for row in await pool.fetch("SELECT id, config FROM jobs_jobversion")
    }
    claimed: asyncio.Queue = asyncio.Queue(maxsize=2 * _BATCH)
    started = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:
        consumers = [asyncio.create_task(consume(pool, session, claimed, calls)) for _ in range(in_flight)]
        taken = 0
        while taken < runs:
            rows = await pool.fetch(_CLAIM, _BATCH)
            if not rows:
                break
            taken += len(rows)
            for row in rows:
                await claimed.put(row)
        for _ in consumers:
            await claimed.put(None)
        await asyncio.gather(*consumers)
    seconds = time.perf_counter() - started
    await pool.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--connections", type=int, default=20)
    options = parser.parse_args()
    print(f"{asyncio.run(work(options.runs, options.in_flight, options.connections)):.3f}")


if __name__ == "__main__":
    main()
