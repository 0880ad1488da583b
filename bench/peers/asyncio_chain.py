"""Chains of calls, hand-written with asyncio: each call by aiohttp, and after it a run, a step's result and an update.

    DATABASE_URL=... python -m bench.peers.asyncio_chain --chains N --steps 3 [--in-flight 200] [--connections 20]

Delivers all pending executions, each as a chain. Prints the medians of the chains' seconds, and of those since the
start of all.
"""

import argparse
import asyncio
import datetime
import json
import os
import statistics
import time
import uuid

import aiohttp
import asyncpg

from bench.peers.asyncio_asyncpg import _BATCH, _CLAIM

_INSERT = """
    INSERT INTO runs_run (id, workspace_id, job_id, environment_id, job_version_id, execution_id, step, number, trigger,
        status, failure_reason, error, started_at, finished_at, duration_ms, request_method, request_url,
        request_headers, request_body, request_body_encoding, response_status, response_headers, response_body,
        response_body_encoding, body_truncated, body_bytes, http_version, worker)
    VALUES ($1, $2, $3, $4, $5, $6, $19, 1, $7, 'succeeded', '', '', $8, $9, $10, $11, $12, $13, $14, 'utf-8', $15,
        $16, $17, 'utf-8', false, $18, '1.1', 'peer')
"""
_RESULT = """
    INSERT INTO runs_stepstate (id, workspace_id, execution_id, step, number, type, status, attempts, started_at,
        finished_at, wait_kind, message, approvers, decisions, output, failure_reason, error, resolved_by, resolved_how)
    VALUES ($1, $2, $3, $4, 1, 'http', 'succeeded', 1, $5, $6, '', '', '[]', '[]', $7, '', '', '', '')
"""
_GO_ON = "UPDATE runs_execution SET step = $2, attempts = attempts + 1 WHERE id = $1"
_FINISH = """
    UPDATE runs_execution SET status = 'succeeded', finished_at = $2, lease_owner = NULL, lease_expires_at = NULL
     WHERE id = $1
"""


async def chain(pool: asyncpg.Pool, session: aiohttp.ClientSession, row: asyncpg.Record, steps: list[dict]) -> float:
    begun = time.perf_counter()
    for position, step in enumerate(steps):
        call = step["request"]
        started_at, called = datetime.datetime.now(datetime.UTC), time.perf_counter()
        async with session.request(call["method"], call["url"], headers=call["headers"], data=call["body"]) as response:
            body = await response.text()
        finished_at = datetime.datetime.now(datetime.UTC)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(
                _INSERT, uuid.uuid4(), row["workspace_id"], row["job_id"], row["environment_id"],
                row["job_version_id"], row["id"], row["trigger"], started_at, finished_at,
                round((time.perf_counter() - called) * 1000), call["method"], call["url"],
                json.dumps(call["headers"]), call["body"], response.status, json.dumps(dict(response.headers)), body,
                len(body), step["id"],
            )  # fmt: skip
            output = json.dumps({"status": response.status, "headers": {}, "body": body})
            await connection.execute(
                _RESULT, uuid.uuid4(), row["workspace_id"], row["id"], step["id"], started_at, finished_at, output
            )
            if position + 1 < len(steps):
                await connection.execute(_GO_ON, row["id"], steps[position + 1]["id"])
            else:
                await connection.execute(_FINISH, row["id"], finished_at)
    return time.perf_counter() - begun


async def consume(pool, session, claimed: asyncio.Queue, chains: dict[uuid.UUID, list[dict]], seconds: list) -> None:
    while (row := await claimed.get()) is not None:
        took = await chain(pool, session, row, chains[row["job_version_id"]])
        seconds.append((took, time.perf_counter()))


async def work(count: int, in_flight: int, connections: int) -> tuple[float, float]:
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=connections, max_size=connections)
    chains = {
        row["id"]: json.loads(row["config"])["workflow"]["steps"]
        for row in await pool.fetch("SELECT id, config FROM jobs_jobversion WHERE config ->> 'kind' = 'workflow'")
    }
    claimed: asyncio.Queue = asyncio.Queue(maxsize=2 * _BATCH)
    seconds: list[tuple[float, float]] = []
    started = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:
        consumers = [asyncio.create_task(consume(pool, session, claimed, chains, seconds)) for _ in range(in_flight)]
        taken = 0
        while taken < count:
            rows = await pool.fetch(_CLAIM, _BATCH)
            if not rows:
                break
            taken += len(rows)
            for row in rows:
                await claimed.put(row)
        for _ in consumers:
            await claimed.put(None)
        await asyncio.gather(*consumers)
    await pool.close()
    return statistics.median(took for took, _ in seconds), statistics.median(ended for _, ended in seconds) - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--chains", type=int, required=True)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--connections", type=int, default=20)
    options = parser.parse_args()
    alone, since_start = asyncio.run(work(options.chains, options.in_flight, options.connections))
    print(f"{alone:.4f} {since_start:.4f}")


if __name__ == "__main__":
    main()
