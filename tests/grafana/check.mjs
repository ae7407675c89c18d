// Compiles each dashboard against the types that Grafana publishes: a member that Grafana doesn't know, or a value of
// another kind, is an error.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dashboards = join(here, "../../deploy/grafana/dashboards");
const made = join(here, "made");

const kinds = { timeseries: "TimeSeries", stat: "Stat", bargauge: "BarGauge", heatmap: "Heatmap" };
const panelcfg = (kind) =>
  `@grafana/schema/dist/esm/raw/composable/${kind}/panelcfg/x/${kinds[kind]}PanelCfg_types.gen`;

const types = `
import type { Dashboard, DataQuery, Panel, RowPanel } from "@grafana/schema";
${Object.entries(kinds).map(([kind, name]) => `import type { Options as ${name} } from "${panelcfg(kind)}";`).join("\n")}
import type { FieldConfig as TimeSeriesFields } from "${panelcfg("timeseries")}";

// JSON has the values of enums, not their names.
type Plain<T> = T extends string ? \`\${T}\` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Deep<T> = T extends object ? { [K in keyof T]?: Deep<T[K]> } : T;
type Options = { timeseries: TimeSeries; stat: Stat; bargauge: BarGauge; heatmap: Heatmap };
type Fields<K> = K extends "timeseries" ? { custom?: Deep<Plain<TimeSeriesFields>> } : {};
type Query = Plain<DataQuery> & { expr: string; legendFormat: string; format?: "heatmap"; instant?: boolean };
type One<K extends keyof Options> = Omit<Plain<Panel>, "type" | "options" | "targets" | "fieldConfig"> & {
  type: K;
  options: Deep<Plain<Options[K]>>;
  targets: Query[];
  fieldConfig: { defaults: Omit<Plain<NonNullable<Panel["fieldConfig"]>["defaults"]>, "custom"> & Fields<K>; overrides: [] };
};
export type Any = { [K in keyof Options]: One<K> }[keyof Options] | Plain<RowPanel>;
export type Whole = Omit<Plain<Dashboard>, "panels"> & { panels: Any[] };
`;

rmSync(made, { recursive: true, force: true });
mkdirSync(made);
writeFileSync(join(made, "types.ts"), types);
let names = readdirSync(dashboards).filter((name) => name.endsWith(".json"));
for (const name of names) {
  const text = readFileSync(join(dashboards, name), "utf8");
  writeFileSync(join(made, name.replace(".json", ".ts")), `import type { Whole } from "./types";\nexport const dashboard: Whole = ${text};\n`);
}
// A check that finds nothing wrong anywhere checks nothing: this one must fail.
const spoiled = JSON.parse(readFileSync(join(dashboards, names[0]), "utf8"));
spoiled.panels[1].options = { ...spoiled.panels[1].options, noSuchOption: 1 };
writeFileSync(join(made, "spoiled.ts"), `import type { Whole } from "./types";\n// @ts-expect-error\nexport const dashboard: Whole = ${JSON.stringify(spoiled)};\n`);

const compiler = join(here, "node_modules/.bin/tsc");
const flags = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"];
const files = [...names.map((name) => name.replace(".json", ".ts")), "spoiled.ts"].map((name) => join(made, name));
const done = spawnSync(compiler, [...flags, ...files], { encoding: "utf8" });
process.stdout.write(done.stdout + done.stderr);
if (done.status === 0) {
  console.log(`${names.length} dashboards have Grafana's form`);
  rmSync(made, { recursive: true });
}
process.exit(done.status === 0 && names.length ? 0 : 1);
