// graphile-worker: no-op jobs, drained by Node processes that run until the queue is empty.
// node drain.mjs SETTINGS [child]; called and answering like the Python drivers, see harness.py.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Logger, makeWorkerUtils, runOnce } from "graphile-worker";

const settings = JSON.parse(process.argv[2]);
const silent = new Logger(() => () => {});
const CHUNK = 5000;

async function load() {
  const utils = await makeWorkerUtils({ connectionString: settings.url, logger: silent });
  await utils.migrate();
  for (let start = 0; start < settings.jobs; start += CHUNK) {
    const length = Math.min(CHUNK, settings.jobs - start);
    await utils.addJobs(Array.from({ length }, (_, k) => ({ identifier: "noop", payload: { i: start + k } })));
  }
  await utils.release();
}

async function work() {
  const noted = { first: 0, last: 0, count: 0 };
  const worker = {
    connectionString: settings.url,
    concurrentJobs: settings.concurrency,
    maxPoolSize: settings.concurrency + 1,
    localQueue: { size: settings.localQueue },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  };
  const noop = async () => {
    noted.last = Date.now() / 1000;
    noted.first ||= noted.last;
    noted.count += 1;
  };
  await runOnce({ preset: { worker }, taskList: { noop }, logger: silent });
  process.send(noted);
  process.disconnect();
}

function child() {
  return new Promise((resolve, reject) => {
    const started = spawn(process.execPath, [fileURLToPath(import.meta.url), process.argv[2], "child"], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    let noted;
    started.on("message", (message) => (noted = message));
    started.on("exit", (code) => (noted ? resolve(noted) : reject(new Error(`a process ended with ${code}`))));
  });
}

if (process.argv[3] === "child") {
  await work();
} else if (settings.phase === "load") {
  await load();
} else {
  console.log(JSON.stringify(await Promise.all(Array.from({ length: settings.processes }, child))));
}
