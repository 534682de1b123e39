"""The seccomp filter: which system calls a program in the sandbox may not make."""

from __future__ import annotations

import errno
import platform
import struct
from functools import cache
from typing import Final

from emergecast.errors import LabError

# Numbers of system calls on x86-64 and arm64; None where there is no such call. From the kernel's
# asm/unistd_64.h and asm-generic/unistd.h.
_REFUSED: Final[dict[str, tuple[int | None, int | None]]] = {
    # Another process: limits hold for one.
    "fork": (57, None),
    "vfork": (58, None),
    # Namespaces and mounts.
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # Other processes.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    # Memory outside of the address space.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # Network.
    "socket": (41, 198),
    # Corners of the kernel that no solution needs, and that had holes before.
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "personality": (135, 92),
    "syslog": (103, 116),
    "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18),
    "modify_ldt": (154, None),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
}
_CLONE: Final = (56, 220)
_CLONE3: Final = 435
_KNOWN: Final = 462
"""The last system call that was looked at (Linux 6.8, mseal): later ones are not there."""
_ARCHITECTURES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""By machine: its column above, and its AUDIT_ARCH."""
_CLONE_THREAD: Final = 0x00010000

_LOAD, _EQUAL, _ABOVE, _BITS, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


@cache
def system_call_filter(machine: str | None = None) -> bytes:
    """A classic BPF program for `bwrap --seccomp`, 8 bytes an instruction.

    A refused call fails with EPERM, as where a right is missing; one that is not known here, and
    `clone3`, whose arguments a filter cannot see, with ENOSYS, so that the C library falls back.

    Raises:
        LabError: the machine's numbers of system calls are not known here.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        raise LabError(
            f'programs of models are run on x86_64 and aarch64 only; this machine is "{machine}".'
        )
    column, architecture = _ARCHITECTURES[machine]
    refuse, unknown = _ERROR | errno.EPERM, _ERROR | errno.ENOSYS
    made = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),  # another mode of the processor has other numbers
        (_LOAD, 0, 0, _NUMBER),
        (_ABOVE, 0, 1, _KNOWN),  # x32's numbers lie above, too
        (_RETURN, 0, 0, unknown),
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, unknown),
        (_EQUAL, 0, 4, _CLONE[column]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_BITS, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, refuse),
        (_RETURN, 0, 0, _ALLOW),  # a thread; it cannot have namespaces of its own
    ]
    for numbers in _REFUSED.values():
        if (number := numbers[column]) is not None:
            made += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, refuse)]
    made.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *each) for each in made)
