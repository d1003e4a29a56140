// Reads a JSON document in hexadecimal from each line and writes what it is, so that any program writes it alike.
import { readFileSync } from "node:fs";

const bits = (value) => {
    const buffer = Buffer.alloc(8);
    buffer.writeDoubleBE(value);
    return buffer.toString("hex");
};
const hex = (text) => Array.from({ length: text.length }, (_, at) => text.charCodeAt(at).toString(16).padStart(4, "0")).join("");
const dump = (value) => {
    if (value === null) return "n";
    if (value === true) return "t";
    if (value === false) return "f";
    if (typeof value === "number") return `#${bits(value)}`;
    if (typeof value === "string") return `"${hex(value)}`;
    if (Array.isArray(value)) return `[${value.map((item) => `${dump(item)},`).join("")}]`;
    const members = Object.keys(value).map((key) => [hex(key), value[key]]);
    members.sort((a, b) => (a[0] < b[0] ? -1 : 1));
    return `{${members.map(([key, item]) => `${key}:${dump(item)},`).join("")}}`;
};

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
for (const line of readFileSync(0, "utf8").split("\n").slice(0, -1)) {
    try {
        console.log(dump(JSON.parse(decoder.decode(Buffer.from(line, "hex")))));
    } catch {
        console.log("-");
    }
}
