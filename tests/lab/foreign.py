# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Peers that are no carpd, as far as their advertisements go."""
import struct
import threading
from ipaddress import ip_address

from advert import Advert, checksum, packet_socket
from lab import PASS, VIP_LAN, vmac

COOKIE = bytes(range(1, 9))


class Foreign:
    """A peer of some system that advertises 50 times a second until stopped."""

    def __init__(self, lab, kind, **how):
        self.sock = packet_socket(lab, "client", "eth0")
        self.kind = kind
        self.how = {**dict(vhid=1, password=PASS, addresses=[VIP_LAN],
                           advbase=1, advskew=0, src="172.16.0.77",
                           mac=vmac(1)), **how}
        self.counter = 0x1234567800000000
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def set(self, **how):
        with self.lock:
            self.how.update(how)

    def say(self):
        with self.lock:
            how = dict(self.how)
        tos = how.pop("tos", 0xe0 if self.kind == "freebsd" else 0x10)
        if self.kind == "openbsd":
            how["counter"] = COOKIE
        else:
            self.counter += 1
            how["counter"] = self.counter.to_bytes(8, "big")
        frame = bytearray(Advert(**how).frame())
        if frame[12:14] == b"\x08\x00" and frame[15] != tos:
            frame[15] = tos
            frame[24:26] = b"\0\0"
            frame[24:26] = struct.pack("!H", checksum(bytes(frame[14:34])))
        self.sock.send(bytes(frame))

    def run(self):
        while not self.ended.wait(0.02):
            self.say()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.sock.close()


def vrrp(version, vrid, src="172.16.0.78", ttl=255):
    """An advertisement of RFC 3768 or RFC 5798 for 172.16.0.1, as a frame."""
    v6 = ":" in src
    dst = "ff02::12" if v6 else "224.0.0.18"
    addr = ip_address("fe80::1" if v6 else "172.16.0.1").packed
    if version == 2:
        body = bytes([0x21, vrid, 100, 1, 0, 1, 0, 0]) + addr + bytes(8)
        pseudo = b""
    else:
        body = bytes([0x31, vrid, 100, 1, 0, 100, 0, 0]) + addr
        pseudo = ip_address(src).packed + ip_address(dst).packed + \
            struct.pack("!II", len(body), 112)
    body = body[:6] + struct.pack("!H", checksum(pseudo + body)) + body[8:]
    mac = bytes.fromhex("00005e0001%02x" % vrid)
    if v6:
        return bytes.fromhex("333300000012") + mac + b"\x86\xdd" + \
            struct.pack("!IHBB16s16s", 6 << 28, len(body), 112, ttl,
                        ip_address(src).packed, ip_address(dst).packed) + body

    def header(cksum):
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0xc0, 20 + len(body), 1, 0,
                           ttl, 112, cksum, ip_address(src).packed,
                           ip_address(dst).packed)
    return bytes.fromhex("01005e000012") + mac + b"\x08\x00" + \
        header(checksum(header(0))) + body
