"""A gate on a link: a TCP forwarder that can cut, hold, slow and restore what passes.

    gate = Gate(target_port); child's address = ("127.0.0.1", gate.port)
    gate.cut()       connections end, new ones are refused
    gate.hold()      connections stay and nothing passes: a line that fell silent
    gate.slow(bytes_per_s, delay_ms)
    gate.restore()
"""
import select
import socket
import threading
import time

CHUNK = 65536


class Gate:
    def __init__(self, target_port: int, target_host: str = "127.0.0.1"):
        self.target = (target_host, target_port)
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._pairs = set()
        self._rate = 0
        self._delay_s = 0.0
        self.bytes_passed = 0
        self.connections = 0
        self._closed = False
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]

    def _listen(self, port):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(256)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.target, timeout=10)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            with self._lock:
                if listener is not self._listener:
                    near.close()
                    far.close()
                    continue
                self._pairs.add((near, far))
                self.connections += 1
            for end in (near, far):
                try:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                except OSError:
                    pass  # cut in between: the pumps see it
            ended = []
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._run, args=(source, sink, (near, far), ended), daemon=True).start()

    def _run(self, source, sink, pair, ended):
        try:
            self._pump(source, sink)
        except (OSError, ValueError):
            self._end(pair)
        with self._lock:
            ended.append(source)
            last = len(ended) == 2
        if last:
            # Not before: a descriptor that is closed under a pump may be another's by the time the pump polls it.
            self._end(pair)
            for end in pair:
                end.close()

    def _pump(self, source, sink):
        readable = select.poll()  # select() refuses descriptors above 1023
        readable.register(source, select.POLLIN)
        while True:
            readable.poll()
            self._open.wait()
            data = source.recv(CHUNK)
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            pause = self._delay_s + (len(data) / self._rate if self._rate else 0.0)
            if pause:
                threading.Event().wait(pause)
            sink.sendall(data)
            self.bytes_passed += len(data)

    def _end(self, pair):
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _stop_listening(self):
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            # shutdown wakes the accepting thread; close alone would leave it waiting
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()

    def cut(self) -> float:
        """Returns when it was cut, by time.time()."""
        self._stop_listening()
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._end(pair)
        self._open.set()
        return time.time()

    def is_used(self) -> bool:
        with self._lock:
            return bool(self._pairs)

    def hold(self) -> None:
        self._open.clear()

    def slow(self, bytes_per_s: int = 0, delay_ms: float = 0.0) -> None:
        self._rate = bytes_per_s
        self._delay_s = delay_ms / 1000.0

    def restore(self) -> None:
        self.slow()
        self._open.set()
        if self._listener is None and not self._closed:
            self._listener = self._listen(self.port)

    def close(self) -> None:
        self._closed = True
        self.cut()
