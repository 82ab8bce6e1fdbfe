# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""A session with a host, as ssh to a firewall is one.

	session.py serve NAME PORT	on every address, v4 and v6; answers each
					line with NAME and the line
	session.py talk ADDRESS PORT	a line of input, a line of output: what
					was answered, or "reset" or "closed"; ends with
					the connection

talk prints "open" first, or why not.  A line ends with how many times TCP had to
send something again so far: 0 says that all went at once, on however slow a
machine.
"""
import socket
import socketserver
import struct
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


TOTAL_RETRANS = 100         # tcpi_total_retrans in struct tcp_info


def again(conn):
    info = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("=I", info, TOTAL_RETRANS)[0]


def talk(address, port):
    try:
        conn = socket.create_connection((address, port), 5)
    except OSError as e:
        print(type(e).__name__, flush=True)
        return
    conn.settimeout(5)
    print("open", again(conn), flush=True)
    replies = conn.makefile("r")
    for line in sys.stdin:
        try:
            conn.sendall(line.encode())
            said = replies.readline().rstrip("\n") or "closed"
        except ConnectionResetError:
            said = "reset"
        except OSError as e:
            said = type(e).__name__
        print(said, again(conn), flush=True)
        if said in ("closed", "reset"):
            break


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        talk(sys.argv[2], int(sys.argv[3]))
