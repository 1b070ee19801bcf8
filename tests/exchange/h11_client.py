# Asks the proxy at the address given for a few paths, reads the responses as h11 does, and prints
# path, status and length of each. Anything that h11 does not like ends it with an error.
import socket
import sys

import h11

host, port = sys.argv[1].rsplit(":", 1)


class Client:
    def __init__(self):
        self.open()

    def open(self):
        self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(50)
        self.connection = h11.Connection(h11.CLIENT)

    def ask(self, path):
        connection = self.connection
        request = h11.Request(method="GET", target=path, headers=[("Host", "a.example")])
        self.socket.sendall(connection.send(request) + connection.send(h11.EndOfMessage()))
        status, length = None, 0
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(self.socket.recv(65536))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                length += len(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise SystemExit("closed without a response to " + path)
        print(path, status, length)
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            assert not connection.trailing_data[0], connection.trailing_data
            connection.start_next_cycle()
        else:
            assert self.socket.recv(1) == b"", "more than a response"
            self.socket.close()
            self.open()


client = Client()
for path in ["/length", "/chunked", "/until-close", "/old", "/no-reason", "/204", "/hints", "/bad",
             "/../"]:
    client.ask(path)
    client.ask(path)
