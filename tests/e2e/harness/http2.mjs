// An HTTP/2 client of somebody else (Node's) for the tests: reads one job as JSON from standard input, prints what it saw.
//   {"url": origin, "ca": file, "host": name, "jobs": [{"kind": …}, …]}   all jobs run at once over one connection
//   get    path, headers?, times?       → [{status, headers, size, sha256, text?}]
//   post   path, headers?, size | text  → {status, headers, …}
//   socket path, headers?, say: […]     → {status, heard: […]}           a WebSocket by RFC 8441
//   events path, count                  → {status, heard: […]}           prints "event" lines as they come
//   reset  path                         → {}                             given up as soon as the answer begins
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:http2";

const task = JSON.parse(readFileSync(0, "utf8"));
const session = connect(task.url, { ca: readFileSync(task.ca), servername: "localhost", settings: { enablePush: false, initialWindowSize: 1 << 20 } });
let goneAway = null;
session.on("goaway", code => { goneAway = code; });
session.on("error", error => fail(`the connection: ${error.message}`));

function fail(why) {
  console.log(JSON.stringify({ error: why }));
  process.exit(1);
}

function named(job, method) {
  return { ":method": method, ":path": job.path, ":authority": task.host, ...(job.headers ?? {}) };
}

function answer(stream) {
  return new Promise((done, broken) => {
    let headers = {};
    const hash = createHash("sha256"), kept = [];
    let size = 0, interim = [];
    stream.on("headers", h => interim.push(h[":status"]));
    stream.on("response", h => { headers = h; });
    stream.on("data", part => { hash.update(part); size += part.length; if (size <= 65536) kept.push(part); });
    stream.on("end", () => done({ status: headers[":status"], headers, size, sha256: hash.digest("hex"), interim,
                                  text: size <= 65536 ? Buffer.concat(kept).toString() : undefined }));
    stream.on("error", broken);
  });
}

async function get(job) {
  const all = [];
  for (let i = 0; i < (job.times ?? 1); ++i) all.push(answer(session.request(named(job, job.method ?? "GET"))));
  return Promise.all(all);
}

async function post(job) {
  const stream = session.request(named(job, "POST"), { endStream: false });
  const seen = answer(stream);
  if (job.text !== undefined) { stream.end(job.text); return seen; }
  const block = Buffer.alloc(1 << 16, "hasp");
  let left = job.size;
  const feed = () => {
    while (left > 0) {
      const part = block.subarray(0, Math.min(left, block.length));
      left -= part.length;
      if (!stream.write(part)) { stream.once("drain", feed); return; }
    }
    stream.end();
  };
  feed();
  return seen;
}

function frame(text) { // masked, as a client must
  const payload = Buffer.from(text), mask = randomBytes(4);
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, Buffer.from(payload.map((b, i) => b ^ mask[i % 4]))]);
}

function socket(job) {
  return new Promise((done, broken) => {
    const begin = () => {
      const stream = session.request({ ":method": "CONNECT", ":protocol": "websocket", ":scheme": "https", ":path": job.path,
                                       ":authority": task.host, "sec-websocket-version": "13", origin: `https://${task.host}`,
                                       ...(job.headers ?? {}) });
      let status = 0, bytes = Buffer.alloc(0);
      const heard = [];
      stream.on("response", h => {
        status = h[":status"];
        if (status !== 200) { stream.close(); done({ status, heard }); return; }
        for (const word of job.say) stream.write(frame(word));
      });
      stream.on("data", part => {
        bytes = Buffer.concat([bytes, part]);
        while (bytes.length >= 2 && bytes.length >= 2 + (bytes[1] & 0x7f)) {
          heard.push(bytes.subarray(2, 2 + (bytes[1] & 0x7f)).toString());
          bytes = bytes.subarray(2 + (bytes[1] & 0x7f));
        }
        if (heard.length === job.say.length) { stream.end(); done({ status, heard }); }
      });
      stream.on("error", broken);
    };
    session.remoteSettings?.enableConnectProtocol ? begin() : session.once("remoteSettings", begin);
  });
}

function events(job) {
  return new Promise((done, broken) => {
    const stream = session.request(named(job, "GET"));
    const heard = [];
    stream.on("response", () => console.error("open"));
    stream.on("data", part => {
      heard.push(part.toString());
      console.error("event");
      if (heard.length === job.count) { stream.close(); done({ heard }); }
    });
    stream.on("error", broken);
  });
}

function reset(job) {
  return new Promise(done => {
    const stream = session.request(named(job, "GET"));
    stream.on("response", () => { stream.close(8); });
    stream.on("error", () => {});
    stream.on("close", () => done({}));
  });
}

const kinds = { get, post, socket, events, reset };
try {
  const results = [];
  if (task.serial) for (const job of task.jobs) results.push(await kinds[job.kind](job));
  else results.push(...await Promise.all(task.jobs.map(job => kinds[job.kind](job))));
  console.log(JSON.stringify({ results, goneAway, alpn: session.alpnProtocol }));
  session.destroy(); // and no exit(): what was printed into a pipe is to get out
} catch (error) {
  fail(error.message);
}
