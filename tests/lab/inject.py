# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""System calls made in the name of a running process, by ptrace(2).

The process itself makes them, so what it may not do it is refused, as an
attacker would be who has taken it over; it needs no hook for that, and goes on
afterwards where it was.  x86-64 only.
"""
import ctypes
import os
import platform
import re
import signal
from pathlib import Path

SUPPORTED = platform.machine() == "x86_64"

# ptrace(2)
CONT, GETREGS, SETREGS, DETACH, SYSCALL = 7, 12, 13, 17, 24
SEIZE, INTERRUPT = 0x4206, 0x4207
TRACESYSGOOD, WALL = 1, 0x40000000

REGS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax "
        "rip cs eflags rsp ss fs_base gs_base ds es fs gs").split()
ARGS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
RESTART = {-512, -513, -514, -516}      # the kernel's ERESTART
REFUSED = "refused by the filter"


class Regs(ctypes.Structure):
    _fields_ = [(r, ctypes.c_ulonglong) for r in REGS]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                         ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request, pid, addr=0, data=0):
    if _libc.ptrace(request, pid, addr, data) == -1:
        n = ctypes.get_errno()
        raise OSError(n, "ptrace %d: %s" % (request, os.strerror(n)))


class Puppet:
    """`with Puppet(pid) as p: p.call(39)` is its getpid()."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        _ptrace(SEIZE, self.pid, 0, TRACESYSGOOD)
        _ptrace(INTERRUPT, self.pid)
        self._stop()
        self.before = self._regs()
        self.mem = open("/proc/%d/mem" % self.pid, "r+b", buffering=0)
        maps = Path("/proc/%d/maps" % self.pid).read_text()
        lo, hi = re.search(r"^(\w+)-(\w+) .*\[vdso\]", maps, re.M).groups()
        self.mem.seek(int(lo, 16))
        code = self.mem.read(int(hi, 16) - int(lo, 16))
        self.syscall = int(lo, 16) + code.index(b"\x0f\x05")
        return self

    def __exit__(self, *_):
        self.mem.close()
        self._restore()
        _ptrace(DETACH, self.pid)

    def _stop(self):
        """The signal of its next stop."""
        _, status = os.waitpid(self.pid, WALL)
        assert os.WIFSTOPPED(status), "it ended: %#x" % status
        return os.WSTOPSIG(status)

    def _regs(self):
        regs = Regs()
        _ptrace(GETREGS, self.pid, 0, ctypes.addressof(regs))
        return regs

    def _set(self, regs):
        _ptrace(SETREGS, self.pid, 0, ctypes.addressof(regs))

    def _restore(self):
        regs = Regs.from_buffer_copy(self.before)
        if ctypes.c_longlong(regs.rax).value in RESTART:
            regs.rax = -4 & (2**64 - 1)         # EINTR
        self._set(regs)

    def _pending(self, sig):
        text = Path("/proc/%d/status" % self.pid).read_text()
        return int(re.search(r"^SigPnd:\s*(\w+)", text, re.M)[1], 16) >> \
            (sig - 1) & 1

    def call(self, nr, *args):
        """What it returns (-errno), or REFUSED; bytes are put into memory of
        the process."""
        regs = Regs.from_buffer_copy(self.before)
        at = (regs.rsp - 4096) & ~15
        for reg, a in zip(ARGS, args + (0,) * 6):
            if isinstance(a, bytes):
                self.mem.seek(at)
                self.mem.write(a + b"\0")
                a, at = at, at + (len(a) + 16 & ~15)
            setattr(regs, reg, a & (2**64 - 1))
        regs.rax, regs.rip = nr, self.syscall
        regs.orig_rax = 2**64 - 1
        self._set(regs)
        for _ in ("in", "out"):
            _ptrace(SYSCALL, self.pid)
            sig = self._stop()
            assert sig == signal.SIGTRAP | 0x80, "signal %d" % sig
        value = ctypes.c_longlong(self._regs().rax).value
        if not self._pending(signal.SIGSYS):
            return value
        _ptrace(CONT, self.pid)
        sig = self._stop()
        assert sig == signal.SIGSYS, "signal %d" % sig
        return REFUSED
