// examples/load/k6.js: ramp, steady, spike and recovery against cam-server.
//   k6 run --out json=k6.json examples/load/k6.js        -e BASE=http://127.0.0.1:18080 for another address
import http from "k6/http";
import { check } from "k6";

const base = __ENV.BASE || "http://127.0.0.1:18080";
const strategies = ["cost", "latency", "balanced"];
const promptSizes = [400, 800, 4000];

export const options = {
  scenarios: {
    arbitrate: {
      executor: "ramping-arrival-rate",
      exec: "arbitrate",
      startRate: 100,
      timeUnit: "1s",
      preAllocatedVUs: 200,
      maxVUs: 1000,
      stages: [
        { target: 1200, duration: "15s" },
        { target: 1200, duration: "30s" },
        { target: 2400, duration: "1s" },
        { target: 2400, duration: "4s" },
        { target: 600, duration: "1s" },
        { target: 600, duration: "9s" },
      ],
    },
    collaborate: {
      executor: "constant-arrival-rate",
      exec: "collaborate",
      rate: 10,
      timeUnit: "1s",
      duration: "60s",
      preAllocatedVUs: 10,
    },
  },
  thresholds: {
    http_req_failed: ["rate<0.01"],
    "http_req_duration{endpoint:arbitrate}": ["p(95)<50"],
  },
};

const json = { headers: { "Content-Type": "application/json" } };

export function arbitrate() {
  const strategy = strategies[Math.floor(Math.random() * strategies.length)];
  const prompt_size = promptSizes[Math.floor(Math.random() * promptSizes.length)];
  const tags = { endpoint: "arbitrate", strategy };
  const answer = http.post(`${base}/arbitrate`, JSON.stringify({ prompt_size, strategy }), { ...json, tags });
  check(answer, { "a provider answered": (r) => r.status === 200 && r.json("provider") !== undefined });
}

export function collaborate() {
  const body = JSON.stringify({ question: `which way at ${Date.now()}`, agents: 3 });
  const answer = http.post(`${base}/collaborate`, body, { ...json, tags: { endpoint: "collaborate" } });
  check(answer, { "there is a consensus": (r) => r.status === 200 && r.json("answer") !== undefined });
}
