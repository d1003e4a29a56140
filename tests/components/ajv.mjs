// Judges JSON documents by a JSON Schema, as editors do: ajv, draft 7.
//   node ajv.mjs LOADER SCHEMA FILE…   one line a file: true or false, and the errors
import fs from "node:fs";

const [loader, schema, ...files] = process.argv.slice(2);
const { default: load } = await import(loader);
const { default: Ajv } = await load("ajv");
const read = (file) => JSON.parse(fs.readFileSync(file, "utf8"));
const valid = new Ajv({ allErrors: true, strict: true, strictTypes: false, strictRequired: false }).compile(read(schema));
for (const file of files) {
  console.log(JSON.stringify([valid(read(file)), valid.errors]));
}
