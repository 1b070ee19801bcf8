# Reads requests as h11 does, answers each, and prints what each was. Prints where it listens.
import json
import socket
import threading

import h11


def text(value):
    return value.decode("latin-1")


def serve(client):
    connection = h11.Connection(h11.SERVER)
    request, body = None, b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            print(json.dumps({"error": str(error)}), flush=True)
            client.close()
            return
        if event is h11.NEED_DATA:
            try:
                received = client.recv(65536)
            except OSError:
                return
            connection.receive_data(received)
        elif isinstance(event, h11.Request):
            request, body = event, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            print(
                json.dumps({
                    "error": None,
                    "method": text(request.method),
                    "target": text(request.target),
                    "version": text(request.http_version),
                    "fields": [[text(name), text(value)] for name, value in request.headers],
                    "body": text(body),
                    "trailers": [[text(name), text(value)] for name, value in event.headers],
                }),
                flush=True,
            )
            answer = h11.Response(status_code=200, headers=[("Content-Length", "0")])
            client.sendall(connection.send(answer) + connection.send(h11.EndOfMessage()))
            if connection.our_state is h11.MUST_CLOSE:
                client.close()
                return
            connection.start_next_cycle()
        elif isinstance(event, h11.ConnectionClosed):
            client.close()
            return


listener = socket.create_server(("127.0.0.1", 0))
print("%s:%d" % listener.getsockname(), flush=True)
while True:
    accepted, _ = listener.accept()
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
