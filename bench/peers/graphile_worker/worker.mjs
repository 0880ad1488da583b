// graphile-worker: one job per call, undici on kept connections, a run row and its execution in one statement.
//
//   DATABASE_URL=... node worker.mjs --runs N
//
// Queues what is pending, then delivers it and prints how long that took from the first call, in seconds. Tuned as its
// performance page says: a local queue that fetches jobs in batches, completions in batches, a pool as large as the
// jobs at once, and statements that are prepared once.

import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { Agent } from "undici";

const CONCURRENT_JOBS = 100;
const CONNECTIONS = 20;
const FETCHED_AT_ONCE = 500;
const COMPLETED_EVERY_MS = 50;
const TIMEOUT_MS = 30_000;

const LOAD = `
  SELECT count(graphile_worker.add_job('deliver', json_build_object(
           'execution', execution.id, 'workspace', execution.workspace_id, 'job', execution.job_id,
           'environment', execution.environment_id, 'version', execution.job_version_id,
           'trigger', execution.trigger, 'request', version.config -> 'request')))
    FROM runs_execution AS execution JOIN jobs_jobversion AS version ON version.id = execution.job_version_id
   WHERE execution.finished_at IS NULL AND execution.status = 'pending'`;

const RECORD = {
  name: "record",
  text: `
  WITH run AS (
    INSERT INTO runs_run (id, workspace_id, job_id, environment_id, job_version_id, execution_id, step, number, trigger,
        status, failure_reason, error, started_at, finished_at, duration_ms, request_method, request_url,
        request_headers, request_body, request_body_encoding, response_status, response_headers, response_body,
        response_body_encoding, body_truncated, body_bytes, http_version, worker)
    VALUES ($1, $2, $3, $4, $5, $6, '', 1, $7, $8, '', '', $9, $10, $11, $12, $13, $14, $15, 'utf-8', $16, $17, $18,
        'utf-8', false, $19, '1.1', 'peer')
  )
  UPDATE runs_execution SET status = $8, attempts = 1, started_at = $9, finished_at = $10 WHERE id = $6`,
};

const { values } = parseArgs({ options: { runs: { type: "string" } } });
const runs = Number(values.runs);
const connectionString = process.env.DATABASE_URL;
const logger = new Logger(() => () => {});
const pool = new pg.Pool({ connectionString, max: CONNECTIONS });
const agent = new Agent({ connections: CONCURRENT_JOBS, pipelining: 1 });

let firstBegan = null;
let ended = 0;
let allEnded;
const all = new Promise((resolve) => (allEnded = resolve));

async function deliver(job) {
  const { method, url, headers, body } = job.request;
  const { origin, pathname, search } = new URL(url);
  const startedAt = new Date();
  const begun = performance.now();
  firstBegan ??= begun;
  const response = await agent.request({
    origin, path: pathname + search, method, headers, body, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS,
  });
  const text = await response.body.text();
  const durationMs = Math.round(performance.now() - begun);
  await pool.query({
    ...RECORD,
    values: [
      randomUUID(), job.workspace, job.job, job.environment, job.version, job.execution, job.trigger,
      response.statusCode < 300 ? "succeeded" : "failed", startedAt, new Date(), durationMs, method, url,
      JSON.stringify(headers), body, response.statusCode, JSON.stringify(response.headers), text,
      Buffer.byteLength(text),
    ],
  });
  ended += 1;
  if (ended === runs) allEnded();
}

const utils = await makeWorkerUtils({ connectionString, logger });
await utils.migrate();
await utils.withPgClient(async (client) => {
  await client.query("TRUNCATE graphile_worker._private_jobs");
  await client.query(LOAD);
  await client.query("ANALYZE graphile_worker._private_jobs");
});
await utils.release();

const runner = await run({
  connectionString,
  logger,
  noHandleSignals: true,
  taskList: { deliver },
  parsedCronItems: [],
  preset: {
    worker: {
      concurrentJobs: CONCURRENT_JOBS,
      maxPoolSize: CONNECTIONS,
      localQueue: { size: FETCHED_AT_ONCE },
      completeJobBatchDelay: COMPLETED_EVERY_MS,
      failJobBatchDelay: COMPLETED_EVERY_MS,
    },
  },
});
await Promise.race([all, runner.promise]);
const seconds = (performance.now() - firstBegan) / 1000;
await runner.stop();
await agent.close();
await pool.end();
console.log(seconds.toFixed(3));
