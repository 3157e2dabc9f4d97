// Search the built site as a reader would, with the site's own search engine: node docs/search.mjs SITE [WORDS ...]
//
// Without words, every entry of searches.json is searched, and the first page found has to be one of those it names.

import fs from "node:fs";
import path from "node:path";
import vm from "node:vm";

const [site, ...words] = process.argv.slice(2);
const workers = path.join(site, "assets", "javascripts", "workers");
const engine = fs.readdirSync(workers).find((name) => /^search\..*\.js$/.test(name));
const index = JSON.parse(fs.readFileSync(path.join(site, "search.json"), "utf8"));

let reply;
const worker = { postMessage: (message) => reply(message) };
vm.runInContext(fs.readFileSync(path.join(workers, engine), "utf8"), vm.createContext({ self: worker, Intl }));
const send = (message) =>
  new Promise((resolve) => {
    reply = resolve;
    worker.onmessage({ data: message });
  });

async function search(text) {
  const filter = { input: "", type: "operator", data: { type: "and", operands: [] } };
  const { type, data } = await send({ type: 2, data: { input: text, filter } });
  if (type !== 3) throw new Error(`${text}: the search engine failed.`);
  return data.items.map((item) => index.items[item.id].location.replace(/#.*/, ""));
}

if ((await send({ type: 0, data: index })).type !== 1) throw new Error("The search index cannot be read.");
if (words.length) {
  for (const word of words) console.log(word, await search(word));
} else {
  const wanted = JSON.parse(fs.readFileSync(new URL("searches.json", import.meta.url), "utf8"));
  let failed = 0;
  for (const [word, pages] of Object.entries(wanted)) {
    const found = await search(word);
    if (pages.includes(found[0])) continue;
    failed += 1;
    console.log(`${word}: expected ${pages.join(" or ")}, found ${[...new Set(found)].join(", ") || "nothing"}`);
  }
  console.log(`${Object.keys(wanted).length - failed} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
}
