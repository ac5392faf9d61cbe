"""Refuses this process socket options, as some sandboxes do: a seccomp filter by ctypes, Linux on x86-64; for tests."""

from __future__ import annotations

import ctypes
import struct

__all__ = ["refuse_receive_stamps"]

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF: word at an absolute offset, compare with a constant, verdict
_NUMBER, _ARGUMENT_2 = 0, 16 + 2 * 8  # offsets in struct seccomp_data: system call, low half of its third argument
_SETSOCKOPT = 54
_STAMPING = (37, 65)  # SO_TIMESTAMPING, old and new
_ALLOW, _ENOPROTOOPT = 0x7FFF0000, 0x00050000 | 92


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def refuse_receive_stamps() -> None:
    """From here on setsockopt(SO_TIMESTAMPING) fails in this process and its children. Raises OSError."""
    code = [
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_EQUAL, 0, 4, _SETSOCKOPT),
        (_LOAD, 0, 0, _ARGUMENT_2),
        (_JUMP_EQUAL, 1, 0, _STAMPING[0]),
        (_JUMP_EQUAL, 0, 1, _STAMPING[1]),
        (_RETURN, 0, 0, _ENOPROTOOPT),
        (_RETURN, 0, 0, _ALLOW),
    ]
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    program = _Program(len(code), ctypes.cast(instructions, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
