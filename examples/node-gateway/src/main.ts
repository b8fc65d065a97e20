// examples/node-gateway/src/main.ts: flags in, one line out when it accepts, a graceful end on SIGTERM and SIGINT.
import { parseArgs } from "node:util";
import type { AddressInfo } from "node:net";
import { AnswerCache } from "./answer_cache.js";
import { FaultBoard } from "./faults.js";
import { UsageError } from "./fields.js";
import { Gateway } from "./gateway.js";
import { defaultCatalog, Provider, readCatalog } from "./provider.js";

const help = `cam-node-gateway: cam-server's endpoints on Node.js, with faults to switch on.
  --port N              on 127.0.0.1; 0 takes a free one (18090)
  --providers FILE      JSON file of providers (cam-providers --write-catalog makes one)
  --fault NAME[=AMOUNT[:SHARE[:CAP]]]   switch a fault on; may be given again
  --cache-capacity N    answers kept (4096)
  --call-deadline-ms N  for one call to a provider (1000)
  --health-check-ms N   between health checks; 0 makes none (1000)
Faults (also POST /faults):
${FaultBoard.help()}`;

function whole(name: string, text: string, most: number): number {
  if (!/^\d+$/.test(text) || Number(text) > most) throw new UsageError(`--${name}: '${text}' is not a whole number from 0 to ${most}`);
  return Number(text);
}

function flags() {
  try {
    return parseArgs({
      options: {
        port: { type: "string", default: "18090" },
        providers: { type: "string" },
        fault: { type: "string", multiple: true, default: [] },
        "cache-capacity": { type: "string", default: "4096" },
        "call-deadline-ms": { type: "string", default: "1000" },
        "health-check-ms": { type: "string", default: "1000" },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function main(): void {
  const values = flags();
  if (values.help) {
    console.log(help);
    return;
  }
  const port = whole("port", values.port ?? "", 65535);
  const deadline = whole("call-deadline-ms", values["call-deadline-ms"] ?? "", 3_600_000);
  const capacity = whole("cache-capacity", values["cache-capacity"] ?? "", 100_000_000);
  const healthCheck = whole("health-check-ms", values["health-check-ms"] ?? "", 3_600_000);
  const catalog = values.providers === undefined ? defaultCatalog : readCatalog(values.providers);
  const gateway = new Gateway(catalog.map((config) => new Provider(config, deadline)), new AnswerCache(capacity, 60_000));
  for (const fault of values.fault ?? []) gateway.faults.setFromText(fault);
  if (healthCheck > 0) gateway.startHealthChecks(healthCheck);

  gateway.server.on("error", (error) => {
    console.error(`cam-node-gateway: cannot listen on 127.0.0.1:${port}: ${error.message}; choose another --port`);
    process.exit(2);
  });
  gateway.server.listen(port, "127.0.0.1", 4096, () => console.log(`listening on 127.0.0.1:${(gateway.server.address() as AddressInfo).port}`));
  const stop = () => {
    // Requests under way are answered; the leaked sockets would keep the process alive for ever, hence the exit.
    gateway.server.close(() => process.exit(0));
    gateway.server.closeIdleConnections();
    setInterval(() => gateway.server.closeIdleConnections(), 50).unref();
    setTimeout(() => process.exit(0), 5000).unref();
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

try {
  main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`cam-node-gateway: ${error.message}`);
  process.exit(2);
}
