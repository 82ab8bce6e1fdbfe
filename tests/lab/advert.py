# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""CARP advertisements by hand, right and wrong, and a socket to send them.

Written from the packet format (OpenBSD sys/netinet/ip_carp.h) with nothing of
carpd in it, so that an error there is not repeated here.
"""
import ctypes
import hashlib
import hmac
import os
import socket
import struct
import threading
from dataclasses import dataclass, field
from ipaddress import ip_address

CLONE_NEWNET = 0x40000000
GROUP4, GROUP6 = "224.0.0.18", "ff02::12"


def packet_socket(lab, host, dev):
    """An AF_PACKET socket on a host's interface, for this process."""
    made = []

    def make():
        libc = ctypes.CDLL(None, use_errno=True)
        fd = os.open("/run/netns/" + lab.ns(host), os.O_RDONLY)
        try:
            if libc.setns(fd, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            s.bind((dev, 0))
            made.append(s)
        finally:
            os.close(fd)
    # a thread has a namespace of its own; the process stays in its one
    t = threading.Thread(target=make)
    t.start()
    t.join()
    return made[0]


def checksum(data):
    """The Internet checksum."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


@dataclass
class Advert:
    vhid: int
    password: str
    addresses: list
    src: str = "172.16.0.77"
    advbase: int = 1
    advskew: int = 0
    demote: int = 0
    counter: bytes = b"\x11" * 8
    version: int = 2
    ttl: int = 255
    mac: str = "02:ca:fe:01:00:4d"
    bad_sum: bool = False
    cut: int = 0                # bytes missing at the end
    more: bytes = field(default=b"")    # behind the 36 bytes

    def digest(self):
        packed = sorted({ip_address(a) for a in self.addresses},
                        key=lambda a: (a.version, a.packed))
        msg = bytes([2, 1, self.vhid]) + b"".join(
            a.packed for a in packed) + self.counter
        key = self.password.encode()[:19].ljust(20, b"\0")
        return hmac.new(key, msg, hashlib.sha1).digest()

    def carp(self):
        def header(cksum):
            return struct.pack("!BBBBBBH", self.version << 4 | 1, self.vhid,
                               self.advskew, 7, self.demote, self.advbase,
                               cksum) + self.counter + self.digest()
        cksum = checksum(header(0))
        if self.bad_sum:
            cksum ^= 0x5555
        data = header(cksum) + self.more
        return data[:len(data) - self.cut] if self.cut else data

    def ip4(self, dst=GROUP4):
        payload = self.carp()

        def header(cksum):
            return struct.pack("!BBHHHBBH4s4s", 0x45, 0x10,
                               20 + len(payload), 0, 0x4000, self.ttl, 112,
                               cksum, ip_address(self.src).packed,
                               ip_address(dst).packed)
        return header(checksum(header(0))) + payload

    def ip6(self, dst=GROUP6):
        payload = self.carp()
        return struct.pack("!IHBB16s16s", 6 << 28, len(payload), 112,
                           self.ttl, ip_address(self.src).packed,
                           ip_address(dst).packed) + payload

    def frame(self, dst=None, dst_mac=None):
        """To the group, or by unicast to dst with its MAC."""
        mac = bytes.fromhex(self.mac.replace(":", ""))
        if ip_address(self.src).version == 4:
            to, dst = "01005e000012", dst or GROUP4
            kind, packet = b"\x08\x00", self.ip4(dst)
        else:
            to, dst = "333300000012", dst or GROUP6
            kind, packet = b"\x86\xdd", self.ip6(dst)
        to = (dst_mac or to).replace(":", "")
        return bytes.fromhex(to) + mac + kind + packet


@dataclass
class Heard:
    """What a captured frame says, if it is an advertisement."""
    src: str
    mac: str
    vhid: int
    advbase: int
    advskew: int
    demote: int
    counter: bytes
    digest: bytes
    more: bytes
    cksum_ok: bool


def parse(frame):
    """Heard, or None for another frame."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and frame[23] == 112:
        hlen = (frame[14] & 15) * 4
        total = struct.unpack_from("!H", frame, 16)[0]
        src, carp = frame[26:30], frame[14 + hlen:14 + total]
    elif kind == b"\x86\xdd" and frame[20] == 112:
        total = struct.unpack_from("!H", frame, 18)[0]
        src, carp = frame[22:38], frame[54:54 + total]
    else:
        return None
    return Heard(str(ip_address(src)), frame[6:12].hex(":"), carp[1], carp[5],
                 carp[2], carp[4], carp[8:16], carp[16:36], carp[36:],
                 checksum(carp[:36]) == 0)
