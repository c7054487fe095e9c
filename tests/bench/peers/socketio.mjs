// Socket.IO with its Redis adapter, as the measurements' peer: what a client sends as event "m"
// is sent to all.
//
//   node socketio.mjs REDIS_SOCKET [KEY CERTIFICATE]
//
// Prints its port once it serves.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [socket, key, certificate] = process.argv.slice(2);
const publisher = createClient({ socket: { path: socket } });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const server = key
  ? createSecureServer({ key: readFileSync(key), cert: readFileSync(certificate) })
  : createServer();
const io = new Server(server, {
  adapter: createAdapter(publisher, subscriber),
  serveClient: false,
  transports: ["websocket"],
});
io.on("connection", (client) => client.on("m", (text) => io.emit("m", text)));
server.listen(0, "127.0.0.1", 8192, () => console.log(`port ${server.address().port}`));
