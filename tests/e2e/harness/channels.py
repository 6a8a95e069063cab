"""The socket pairs between a tier's processes, and breaking one while both ends live: what an overflow or a bug would do.

    break_channel(pid, other_pid)       ends the stream channel between the two; which descriptor it was
"""
import ctypes
import os
import socket
import struct

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, UDIAG_SHOW_PEER, UNIX_DIAG_PEER = 4, 20, 4, 2
NLMSG_DONE, NLM_REQUEST_DUMP = 3, 0x301
PIDFD_OPEN, PIDFD_GETFD = 434, 438  # the same number on every architecture


def stream_peers() -> dict:
    """Of every connected unix stream socket: its inode and that of its other end."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as link:
        request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, UDIAG_SHOW_PEER, 0xFFFFFFFF, 0xFFFFFFFF)
        link.send(struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_REQUEST_DUMP, 1, 0) + request)
        peers = {}
        while True:
            data = link.recv(1 << 20)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind != SOCK_DIAG_BY_FAMILY:
                    assert kind == NLMSG_DONE, f"the kernel does not tell of unix sockets (netlink message {kind})"
                    return peers
                _, sort, _, _, inode = struct.unpack_from("=BBBBI", data, 16)
                at = 32
                while at < length and sort == socket.SOCK_STREAM:
                    size, name = struct.unpack_from("=HH", data, at)
                    if name == UNIX_DIAG_PEER:
                        peers[inode] = struct.unpack_from("=I", data, at + 4)[0]
                    at += max(4, (size + 3) & ~3)
                data = data[(length + 3) & ~3:]


def socket_inodes(pid: int) -> dict:
    """inode → descriptor"""
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if target.startswith("socket:["):
            found[int(target[8:-1])] = int(fd)
    return found


def take_fd(pid: int, fd: int) -> int:
    """A duplicate of another process's descriptor. PermissionError where tracing is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    for number, arguments in ((PIDFD_OPEN, (pid, 0)), (PIDFD_GETFD, None)):
        if arguments is None:
            arguments = (pidfd, fd, 0)
        got = libc.syscall(number, *arguments)
        if got < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        if number == PIDFD_OPEN:
            pidfd = got
    os.close(pidfd)
    return got


def break_channel(pid: int, other: int) -> int:
    peers, theirs = stream_peers(), socket_inodes(other)
    fd = next(fd for inode, fd in socket_inodes(pid).items() if peers.get(inode) in theirs)
    with socket.socket(fileno=take_fd(pid, fd)) as end:
        end.shutdown(socket.SHUT_RDWR)
    return fd
