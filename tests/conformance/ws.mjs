// The front-end as npm's ws client sees it: node ws.mjs URL, where URL is that of a web listener
// (ws://127.0.0.1:8080). Prints a line for each check; exits with 1 when one failed.
import WebSocket from "ws";

const base = process.argv[2];
const LIMIT = 20000; // ms, more than any wait needs

const checks = {
  async "a connection with its subprotocol"() {
    const socket = await open("/anything", ["other", "tracker"]);
    equal(socket.protocol, "tracker");
    equal(socket.extensions, "");
    await closed(socket, () => socket.close(1000, "bye"), 1000, "bye");
  },

  async "Open, Update and the pushes of another client"() {
    const one = await open(), two = await open();
    one.send(packet(0, field("one")));
    const id = (await bytes(one, 8)).subarray(1);
    two.send(packet(0, field("two")));
    await bytes(two, 8);
    one.send(packet(2, Buffer.from([1]), field(id), field("newer")));
    await until(two, (data) => data.includes("newer") && data.includes(id));
    one.terminate();
    two.terminate();
  },

  async "messages in fragments, with pings between them"() {
    const socket = await open();
    socket.send(Buffer.from([0x2a]), { fin: false, binary: true });
    socket.ping("between");
    socket.send(Buffer.alloc(0), { fin: false, binary: true });
    socket.send(Buffer.from([3]), { fin: true, binary: true });
    const [pong, answer] = await Promise.all([event(socket, "pong"), event(socket, "message")]);
    equal(pong[0].toString(), "between");
    equal(answer[1], true);
    equal(answer[0][0] > 0, true);
    await closed(socket, () => socket.close(), 1005, "");
  },

  async "each code and reason that a client may send"() {
    for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999]) {
      const socket = await open();
      await closed(socket, () => socket.close(code, "r\u00e9ason"), code, "r\u00e9ason");
    }
  },

  async "what is refused, with the code and a reason"() {
    const cases = [
      [1003, (socket) => socket.send("text")],
      [1008, (socket) => socket.send(Buffer.from([0x2a, 1, 9, 0]))],
      [1009, (socket) => socket.send(Buffer.alloc((1 << 20) + 1))],
      [1002, (socket) => socket.send(Buffer.from([0x2a, 3]), { mask: false })],
      [1002, (socket) => socket._socket.write(Buffer.from([0xc2, 0x80, 0, 0, 0, 0]))],
      [1007, (socket) => socket._socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff]))],
    ];
    for (const [code, act] of cases) {
      const socket = await open();
      const [got, reason] = await closed(socket, () => act(socket), code);
      equal(reason.length > 0, true, `a reason with ${got}`);
    }
  },

  async "a message of the largest size"() {
    const socket = await open();
    const get = Buffer.from([0x2a, 3]), gets = Buffer.alloc(1 << 20, get);
    socket.send(get);
    const [{ length }] = await event(socket, "message");
    let received = 0;
    socket.removeAllListeners("message");
    const all = new Promise((resolve) => socket.on("message", (data) => {
      received += data.length;
      if (received >= length * (gets.length / 2))
        resolve();
    }));
    socket.send(gets);
    await limited(all, "end of the answers");
    equal(received, length * (gets.length / 2));
    await closed(socket, () => socket.close(1000), 1000, "");
  },

  async "handshakes that are refused"() {
    equal(await refused("/nowhere", []), 404);
    equal(await refused("/tracker/nowhere", ["tracker"]), 404);
    equal(await refused("/tracker", [], { protocolVersion: 8 }), 426);
  },

  async "many connections at once"() {
    const sockets = await Promise.all(Array.from({ length: 200 }, () => open()));
    await Promise.all(sockets.map(async (socket, index) => {
      socket.ping(String(index));
      equal((await event(socket, "pong"))[0].toString(), String(index));
      await closed(socket, () => socket.close(1000), 1000, "");
    }));
  },
};

function equal(got, wanted, what = "got") {
  if (got !== wanted)
    throw new Error(`${what} ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
}

function limited(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} in time`)), LIMIT);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function event(socket, name) {
  return limited(new Promise((resolve) => socket.once(name, (...values) => resolve(values))), name);
}

async function open(path = "/tracker", protocols = ["tracker"], options = {}) {
  const socket = new WebSocket(base + path, protocols, options);
  socket.on("error", (error) => (socket.failure = error));
  socket.received = Buffer.alloc(0);
  socket.on("message", (data) => (socket.received = Buffer.concat([socket.received, data])));
  await event(socket, "open");
  return socket;
}

// The connection closes, cleanly, with this code and reason (null: any).
async function closed(socket, act, code, reason = null) {
  const end = event(socket, "close");
  act();
  const [got, text] = await end;
  equal(got, code, "closed with");
  if (reason !== null)
    equal(text.toString(), reason, "the reason was");
  equal(socket._closeFrameReceived, true, "a Close was received");
  return [got, text.toString()];
}

async function until(socket, predicate) {
  while (!predicate(socket.received))
    await event(socket, "message");
}

async function bytes(socket, count) {
  await until(socket, (data) => data.length >= count);
  const taken = socket.received.subarray(0, count);
  socket.received = socket.received.subarray(count);
  return taken;
}

async function refused(path, protocols, options = {}) {
  const socket = new WebSocket(base + path, protocols, options);
  socket.on("error", () => {});
  const [, response] = await event(socket, "unexpected-response");
  response.resume();
  return response.statusCode;
}

// The versioned dialect: a length and its bytes; a message of fields.
function field(text) {
  return Buffer.concat([Buffer.from([Buffer.byteLength(text)]), Buffer.from(text)]);
}

function packet(type, ...fields) {
  const content = Buffer.concat(fields);
  return Buffer.concat([Buffer.from([0x2a, 1, type, content.length]), content]);
}

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok ws: ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED ws: ${name}: ${error.stack}`);
  }
}
process.exit(failed ? 1 : 0);
