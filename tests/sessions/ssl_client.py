# Asks for the same twice, the second time with the session of the first, and prints for each
# connection what came of it. Arguments: address, file of authorities, version, target, and the
# files of a certificate and its key where the client has any.
import json
import socket
import ssl
import sys

address, authorities, version, target, *pair = sys.argv[1:]
host, port = address.rsplit(":", 1)
context = ssl.create_default_context(cafile=authorities)
context.minimum_version = context.maximum_version = {
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}[version]
if pair:
    context.load_cert_chain(*pair)
request = (
    f"GET {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n"
    "X-Subject: CN=forged\r\nX-Fingerprint: forged\r\n\r\n"
)
session = None
for _ in range(2):
    try:
        plain = socket.create_connection((host, int(port)), timeout=60)
        with context.wrap_socket(plain, server_hostname="a.example", session=session) as client:
            client.sendall(request.encode())
            answer = b""
            while received := client.recv(65536):
                answer += received
            session = client.session
            outcome = {
                "version": client.version(),
                "resumed": client.session_reused,
                "answer": answer.decode("latin-1"),
            }
    except OSError as error:
        outcome = {"error": str(error)}
    print(json.dumps(outcome), flush=True)
