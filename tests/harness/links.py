"""A relay between a front-end and Redis that treats the front-end's two links differently."""
import collections
import selectors
import socket
import threading
import time


class _Pair:
    """A front-end's connection and its counterpart to Redis."""

    def __init__(self, near, far):
        self.near, self.far = near, far
        self.events = None  # not known yet
        self.first = b""
        self.waiting = collections.deque()  # (when, bytes for the front-end)


class Links:
    """Listens on 127.0.0.1; `url` is for the front-end. What Redis sends on the link for events
    arrives `delay` seconds later. cut() ends these connections, and swallows what comes on new ones
    until restore(). A thread of its own moves the bytes."""

    def __init__(self, redis_socket, delay=0.0):
        self.redis_socket = redis_socket
        self.delay = delay
        self.swallows = False
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        self.pairs = set()
        self.lock = threading.Lock()
        self.ended = False
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def cut(self):
        with self.lock:
            self.swallows = True
            for pair in [pair for pair in self.pairs if pair.events]:
                self._end(pair)

    def restore(self):
        """Those that were swallowed are ended, so that others are made."""
        with self.lock:
            self.swallows = False
            for pair in [pair for pair in self.pairs if pair.events]:
                self._end(pair)

    def close(self):
        self.ended = True
        self.thread.join()
        for pair in list(self.pairs):
            self._end(pair)
        self.listener.close()
        self.selector.close()

    def _end(self, pair):
        if pair not in self.pairs:
            return
        self.pairs.discard(pair)
        for one in (pair.near, pair.far):
            self.selector.unregister(one)
            one.close()

    def _accept(self):
        near, _ = self.listener.accept()
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(self.redis_socket)
        except OSError:
            near.close()
            far.close()
            return
        pair = _Pair(near, far)
        self.pairs.add(pair)
        self.selector.register(near, selectors.EVENT_READ, (pair, near))
        self.selector.register(far, selectors.EVENT_READ, (pair, far))

    def _take(self, pair, one):
        try:
            data = one.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._end(pair)
            return
        if one is pair.near:
            if pair.events is None:  # its first words say what it is for
                pair.first += data
                if b"tracker-events" in pair.first:
                    pair.events = True
                elif b"tracker-commands" in pair.first:
                    pair.events = False
            if not (pair.events and self.swallows):
                pair.far.sendall(data)
        elif not pair.events:
            pair.near.sendall(data)
        elif not self.swallows:
            pair.waiting.append((time.monotonic() + self.delay, data))

    def _deliver(self):
        """What is due; returns when the next is."""
        now, following = time.monotonic(), None
        for pair in list(self.pairs):
            try:
                while pair.waiting and pair.waiting[0][0] <= now:
                    pair.near.sendall(pair.waiting.popleft()[1])
            except OSError:
                self._end(pair)
                continue
            if pair.waiting:
                following = min(following or pair.waiting[0][0], pair.waiting[0][0])
        return following

    def _run(self):
        following = None
        while not self.ended:
            wait = 0.05 if following is None else min(0.05, max(0, following - time.monotonic()))
            ready = self.selector.select(wait)
            with self.lock:
                for key, _ in ready:
                    if key.data is None:
                        self._accept()
                    elif key.data[0] in self.pairs:
                        try:
                            self._take(*key.data)
                        except OSError:
                            self._end(key.data[0])
                following = self._deliver()
