# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""A flood of advertisements that are none, of all kinds (flood.c)."""
import random
import struct

from advert import Advert, checksum, parse
from lab import LAB, PASS, VIP_LAN, Capture, wait_for

FLOOD = str(LAB / "flood")
CARP_LEN = 36


def wrong_lengths(a):
    """Cut anywhere, or with more behind it than a network carries."""
    whole = a.frame()
    yield from (whole[:n] for n in range(14, len(whole), 3))
    yield from (Advert(1, PASS, [VIP_LAN], cut=n).frame()
                for n in (1, 5, 20, 35))
    yield from (Advert(1, "another", [VIP_LAN], more=bytes(n)).frame()
                for n in (1, 40, 500, 1400))


def ip4(frame, at, fmt, value):
    """The same frame with another value in its IPv4 header."""
    head = bytearray(frame[14:34])
    struct.pack_into(fmt, head, at, value)
    head[10:12] = b"\0\0"
    head[10:12] = struct.pack("!H", checksum(bytes(head)))
    return frame[:14] + bytes(head) + frame[34:]


def bad_adverts(mickey):
    """All kinds; mickey: one that Mickey has sent."""
    rnd = random.Random(1)
    good = Advert(1, PASS, [VIP_LAN])

    def src():
        return "172.16.0.%d" % rnd.randrange(20, 200)
    for n in range(600):                        # digests by guess
        yield Advert(1, "guess%d" % n, [VIP_LAN], src=src(),
                     advskew=rnd.randrange(256), advbase=rnd.randrange(1, 256),
                     counter=rnd.randbytes(8)).frame()
    for n in range(200):                        # in the name of Mickey
        yield Advert(1, "guess", [VIP_LAN], src="172.16.0.200",
                     mac="00:00:5e:00:01:01", advbase=255, advskew=255,
                     counter=rnd.randbytes(8)).frame()
    for vhid in range(2, 256):
        yield Advert(vhid, PASS, [VIP_LAN], src=src()).frame()
    for ttl in (0, 1, 64, 254):
        yield Advert(1, PASS, [VIP_LAN], ttl=ttl).frame()
    for version in (0, 1, 3, 15):
        yield Advert(1, PASS, [VIP_LAN], version=version).frame()
    yield Advert(1, PASS, [VIP_LAN], bad_sum=True).frame()
    yield from wrong_lengths(good)
    for off in (0x2000, 0x2001, 1, 100, 0x1fff):        # fragments
        yield ip4(Advert(1, "guess", [VIP_LAN]).frame(), 6, "!H", off)
    for length in (0, 19, 20, 36, 55, 60, 0xffff):
        yield ip4(good.frame(), 2, "!H", length)
    for version_and_length in (0x4f, 0x41, 0x55):
        yield ip4(good.frame(), 0, "!B", version_and_length)
    for _ in range(300):                        # a bit of his, changed
        f = bytearray(mickey)
        f[rnd.randrange(34, len(f))] ^= 1 << rnd.randrange(8)
        yield bytes(f)
    for _ in range(200):                        # and as it was: replayed
        yield mickey
    for n in (0, 1, 40):                        # and without its trailer
        bare = mickey[:34 + CARP_LEN] + bytes(n)
        yield ip4(bare, 2, "!H", len(bare) - 14)


def heard(lab, host):
    """An advertisement of that host, as it came into the switch."""
    c = Capture(lab, "lan", host, "inbound and ip proto 112")
    wait_for(lambda: any(parse(f) for _, f in c.frames()), 5, "an advert")
    c.stop()
    return next(f for _, f in c.frames() if parse(f))


def write_frames(lab):
    """For flood.c: against the LAN of the pair, of which Mickey is heard."""
    path = lab.dir / "frames"
    path.write_text("".join(f.hex() + "\n" for f in bad_adverts(
        heard(lab, "fw1"))))
    return str(path)
