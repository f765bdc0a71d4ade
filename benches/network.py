"""Ways to a server that are longer or narrower than a socket on the same machine."""

import asyncio
import threading


class Link:
    """A way to the server's socket: every byte takes half a round trip in each direction, however many are on their way, and all
    connections together get no more bytes a second through, in each direction."""

    def __init__(self, socket, round_trip_s=0.0, bytes_per_s=None):
        self.socket, self.port = socket, None
        self.round_trip_s, self.bytes_per_s = round_trip_s, bytes_per_s
        self.free_at = {"there": 0.0, "back": 0.0}
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(ready)), daemon=True).start()
        ready.wait()

    @property
    def url(self):
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres?sslmode=disable"

    async def serve(self, ready):
        server = await asyncio.start_server(self.connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await server.serve_forever()

    async def connect(self, client_reader, client_writer):
        reader, writer = await asyncio.open_unix_connection(self.socket)
        await asyncio.gather(self.carry(client_reader, writer, "there"), self.carry(reader, client_writer, "back"))

    def through_at(self, now, size, direction):
        """When bytes that arrive now have gone through the narrowest place: after those that came before them."""
        if self.bytes_per_s is None:
            return now
        self.free_at[direction] = max(now, self.free_at[direction]) + size / self.bytes_per_s
        return self.free_at[direction]

    async def carry(self, reader, writer, direction):
        # A narrow way holds few bytes, so that whoever sends has to wait.
        clock, sent = asyncio.get_running_loop().time, asyncio.Queue(256 if self.bytes_per_s is None else 2)

        async def deliver():
            while (item := await sent.get()) is not None:
                at, data = item
                await asyncio.sleep(max(0, at - clock()))
                writer.write(data)
                await writer.drain()
            writer.close()

        delivery = asyncio.create_task(deliver())
        try:
            while data := await reader.read(1 << 18):
                await sent.put((self.through_at(clock(), len(data), direction) + self.round_trip_s / 2, data))
        except ConnectionError:
            pass
        await sent.put(None)
        await asyncio.gather(delivery, return_exceptions=True)
