# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""A session with a host, as ssh to a firewall is one.

	session.py serve NAME PORT	on every address, v4 and v6; answers each
					line with NAME and the line
	session.py talk ADDRESS PORT	a line of input, a line of output: what
					was answered, or "reset" or "closed"; ends with
					the connection

talk prints "open" first, or why not.
"""
import socket
import socketserver
import sys


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def serve(name, port):
    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.wfile.write(name.encode() + b" " + line)

    with Server(("::", port), Handler) as server:
        print("ready", flush=True)
        server.serve_forever()


def talk(address, port):
    try:
        conn = socket.create_connection((address, port), 5)
    except OSError as e:
        print(type(e).__name__, flush=True)
        return
    conn.settimeout(5)
    print("open", flush=True)
    replies = conn.makefile("r")
    for line in sys.stdin:
        try:
            conn.sendall(line.encode())
            said = replies.readline().rstrip("\n") or "closed"
        except ConnectionResetError:
            said = "reset"
        except OSError as e:
            said = type(e).__name__
        print(said, flush=True)
        if said in ("closed", "reset"):
            break


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        talk(sys.argv[2], int(sys.argv[3]))
