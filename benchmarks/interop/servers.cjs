// Third-party idempotency middlewares of the npm registry, each around the same application (orders.py, in JavaScript).
//
//     node servers.cjs NAME PORT
"use strict";
require("reflect-metadata");

const SLOW = 800;
const executions = new Map();
const effects = [];
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const PLANS = {
  well: {},
  slow: { pause: SLOW },
  "slow after": { pauseAfter: SLOW },
  "error after": { status: 500 },
  "error before": { status: 500, effect: false },
  "crash after": { crash: true },
};

async function work(body) {
  const count = (executions.get(body.order) ?? 0) + 1;
  executions.set(body.order, count);
  const plan = body.plan === "refuse" ? { status: 402, effect: false } : count === 1 ? PLANS[body.plan] : {};
  await sleep(plan.pause ?? 0);
  let reference = "";
  if (plan.effect !== false) {
    reference = `ord_${effects.length + 1}`;
    effects.push({ order: body.order, reference });
  }
  await sleep(plan.pauseAfter ?? 0);
  if (plan.crash) throw new Error("the application crashed after the effect");
  const status = plan.status ?? 201;
  return [status, status === 201 ? { id: reference, order: body.order } : { error: `status ${status}` }];
}

function expressIdempotency(port) {
  const express = require("express");
  const { idempotency, getSharedIdempotencyService } = require("express-idempotency");
  const app = express();
  app.use(express.json());
  app.post("/orders", idempotency(), async (req, res) => {
    const service = getSharedIdempotencyService();
    if (service.isHit(req)) return;
    try {
      const [status, said] = await work(req.body);
      res.status(status).send(said);
    } catch (error) {
      service.reportError(req); // as its documentation asks for
      throw error;
    }
  });
  app.get("/effects", (_req, res) => res.json({ effects }));
  app.use((error, _req, res, _next) => {
    res.status(error.status ?? (res.statusCode >= 400 ? res.statusCode : 500)).json({ error: String(error.message) });
  });
  app.listen(port, "127.0.0.1");
}

async function nodeIdempotency(port) {
  const nest = require("@nestjs/common");
  const { NestFactory } = require("@nestjs/core");
  const { NodeIdempotencyModule, Idempotent } = require("@node-idempotency/nestjs");
  class Orders {
    async create(body) {
      const [status, said] = await work(body);
      if (status !== 201) throw new nest.HttpException(said, status);
      return said;
    }
    effects() {
      return { effects };
    }
  }
  const method = (name, ...decorators) =>
    decorators.forEach((decorate) =>
      decorate(Orders.prototype, name, Object.getOwnPropertyDescriptor(Orders.prototype, name)),
    );
  nest.Controller()(Orders);
  nest.Body()(Orders.prototype, "create", 0);
  method("create", nest.Post("orders"), nest.HttpCode(201), Idempotent());
  method("effects", nest.Get("effects"));
  class App {}
  nest.Module({
    imports: [NodeIdempotencyModule.forRootAsync({ storage: { adapter: "memory" } })],
    controllers: [Orders],
  })(App);
  const app = await NestFactory.create(App, { logger: false });
  await app.listen(port, "127.0.0.1");
}

const [name, port] = process.argv.slice(2);
({ "express-idempotency": expressIdempotency, "@node-idempotency/nestjs": nodeIdempotency })[name](Number(port));
