"""A TCP proxy between clients and servers, under a test's control: what a load balancer, a floating address or
a managed service's switch does to connections."""
import asyncio
import socket
import threading

CHUNK = 65536


class _Session:
    """One connection through the proxy, to one target."""

    def __init__(self, reader, writer, target):
        self.reader, self.writer, self.target = reader, writer, target
        self.upstream = None
        self.done = False

    def cut(self):
        """Ends both sides with a reset."""
        self.done = True
        for writer in (self.writer, self.upstream):
            if writer is not None and writer.transport is not None:
                writer.transport.abort()


class Proxy:
    """target: where new connections go: (host, port), or a unix socket's path, or None to refuse them (they are
    accepted and reset); or a function of the connection's number (from 0) that returns one of these.

    Connections stay with their target when it is switched, until they are cut. While frozen, nothing passes in either
    direction, and nothing is lost. It runs in a thread of its own; all methods may be called from the test's."""

    def __init__(self, target, host="127.0.0.1"):
        self._target = target
        self._sessions = set()
        self._count = 0
        self._loop = asyncio.new_event_loop()
        self._flow = None
        self._listener = socket.create_server((host, 0), backlog=1024)
        self.address = self._listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._call(self._serve())

    @property
    def host(self):
        return self.address[0]

    @property
    def port(self):
        return self.address[1]

    @property
    def url(self):
        """As redis.url."""
        return f"redis://{self.host}:{self.port}"

    # What a test does to it.

    def switch(self, target, cut=False):
        """New connections go to the target. cut: those that are there are reset."""
        async def switch():
            self._target = target
            if cut:
                self._cut(None)
        self._call(switch())

    def cut(self, target=None):
        """Resets all connections, or those to one target."""
        async def cut():
            self._cut(target)
        self._call(cut())

    def freeze(self):
        async def freeze():
            self._flow.clear()
        self._call(freeze())

    def thaw(self):
        async def thaw():
            self._flow.set()
        self._call(thaw())

    def sessions(self, target=None):
        """How many connections there are, to that target."""
        async def count():
            return len([one for one in self._sessions if target in (None, one.target) and not one.done])
        return self._call(count())

    def accepted(self):
        """How many connections there have been."""
        return self._count

    def stop(self):
        async def stop():
            self._server.close()
            self._cut(None)
            self._flow.set()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._thread.is_alive():
            self._call(stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    # Its thread.

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _serve(self):
        self._flow = asyncio.Event()
        self._flow.set()
        self._server = await asyncio.start_server(self._accept, sock=self._listener, limit=CHUNK)

    def _cut(self, target):
        for session in [one for one in self._sessions if target in (None, one.target)]:
            session.cut()

    async def _accept(self, reader, writer):
        target = self._target(self._count) if callable(self._target) else self._target
        self._count += 1
        session = _Session(reader, writer, target)
        self._sessions.add(session)
        try:
            if target is None:
                return
            opening = (asyncio.open_unix_connection(target) if isinstance(target, str)
                       else asyncio.open_connection(*target))
            from_target, session.upstream = await opening
            if not session.done:
                await asyncio.gather(self._pass(reader, session.upstream), self._pass(from_target, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            session.cut()
            self._sessions.discard(session)

    async def _pass(self, reader, writer):
        """One direction, to its end."""
        while True:
            data = await reader.read(CHUNK)
            await self._flow.wait()
            if not data:
                writer.write_eof() if writer.can_write_eof() else None
                return
            writer.write(data)
            await writer.drain()
