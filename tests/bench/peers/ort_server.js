// POST /sample {"count", "seed", "steps"} as a Node user writes it: fastify and onnxruntime-node.
//
// usage: node ort_server.js FOLDER DIM step|loop THREADS PROCESSES
// step: the field is called once a step; loop: one call of the graph that holds the loop.
'use strict';

const cluster = require('node:cluster');
const { createRequire } = require('node:module');

const [folder, dimText, mode, threads, processes] = process.argv.slice(2);
const dim = Number(dimText);
const installed = createRequire(`${process.env.BENCH_NODE}/`);

// Uniform numbers in (0, 1] from a 32-bit seed (xorshift).
function uniform(seed) {
  let state = (seed ^ 0x9e3779b9) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 1) / 4294967296;
  };
}

function normal(count, seed) {
  const next = uniform(seed);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(next()));
    const angle = 2 * Math.PI * next();
    out[i] = radius * Math.cos(angle);
    if (i + 1 < count) out[i + 1] = radius * Math.sin(angle);
  }
  return out;
}

function euler(ort, session) {
  const tensor = (data, shape) => new ort.Tensor('float32', data, shape);
  if (mode === 'loop') {
    return async (x0, rows, steps) => {
      const answer = await session.run({
        x0: tensor(x0, [rows, dim]),
        ones: tensor(new Float32Array(rows).fill(1), [rows, 1]),
        h: tensor(Float32Array.of(1 / steps), [1]),
        steps: new ort.Tensor('int64', BigInt64Array.of(BigInt(steps)), []),
      });
      return answer.x1.data;
    };
  }
  return async (x0, rows, steps) => {
    let x = tensor(x0, [rows, dim]);
    const h = tensor(Float32Array.of(1 / steps), [1]);
    for (let i = 0; i < steps; i++) {
      const t = tensor(new Float32Array(rows).fill(i / steps), [rows, 1]);
      x = (await session.run({ x, t, h })).y;
    }
    return x.data;
  };
}

function rowsOf(data) {
  const rows = [];
  for (let i = 0; i < data.length; i += dim) rows.push(Array.from(data.subarray(i, i + dim)));
  return rows;
}

const number = { type: 'integer', minimum: 0 };
const schema = {
  body: { type: 'object', required: ['count', 'seed', 'steps'],
    properties: { count: number, seed: number, steps: number } },
  response: { 200: { type: 'object', properties: {
    samples: { type: 'array', items: { type: 'array', items: { type: 'number' } } } } } },
};

async function serve() {
  const ort = installed('onnxruntime-node');
  const session = await ort.InferenceSession.create(`${folder}/${mode}.onnx`, {
    intraOpNumThreads: Number(threads), interOpNumThreads: 1, executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  });
  const solve = euler(ort, session);
  const app = installed('fastify')();
  app.post('/sample', { schema }, async (request) => {
    const { count, seed, steps } = request.body;
    return { samples: rowsOf(await solve(normal(count * dim, seed), count, steps)) };
  });
  console.log(`listening on ${await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })}`);
}

if (cluster.isPrimary && Number(processes) > 1) {
  for (let i = 0; i < Number(processes); i++) cluster.fork();
  process.on('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers)) worker.kill('SIGTERM');
    process.exit(0);
  });
} else {
  serve();
}
