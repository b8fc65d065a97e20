// examples/node-gateway/build.mjs: src/ into dist/gateway.js, one file with its source map and readable function names.
import { build } from "esbuild";

await build({
  entryPoints: ["src/main.ts"],
  outfile: "dist/gateway.js",
  bundle: true,
  platform: "node",
  target: "node18",
  format: "esm",
  sourcemap: true,
  logLevel: "warning",
});
