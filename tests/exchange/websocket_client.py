# Talks to an echo at the URL given, and fails if anything comes back otherwise.
import asyncio
import os
import sys
import websockets


async def main():
    async with websockets.connect(sys.argv[1], max_size=None, compression=None) as websocket:
        for size in [0, 1, 125, 126, 65535, 65536, 1 << 20, 8 << 20]:
            for message in [os.urandom(size), "x" * size]:
                await websocket.send(message)
                assert await websocket.recv() == message, size
        await (await websocket.ping(b"are you there"))
        await websocket.send([b"in", b" three", b" pieces"])
        assert await websocket.recv() == b"in three pieces"
        # Many on their way at once, both ways.
        for number in range(200):
            await websocket.send(str(number) * 1000)
        for number in range(200):
            assert await websocket.recv() == str(number) * 1000
    assert websocket.close_code == 1000, websocket.close_code


asyncio.run(asyncio.wait_for(main(), 50))
