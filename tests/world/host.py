"""A host of its own: `unshare -rn python -m tests.world.host ADDRESS FD COMMAND…`.

It makes a network device whose packets go to whoever holds the other end of the socket FD, and becomes the command.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x1, 0x1000


def main(address: str, link_local: str, number: str, *command: str) -> None:
    """Never returns."""
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
    for words in (
        ("addr", "add", f"{address}/24", "dev", "wire"),
        ("-6", "addr", "add", f"{link_local}/64", "dev", "wire", "nodad"),
        ("link", "set", "wire", "up"),
        ("link", "set", "lo", "up"),
    ):
        subprocess.run(["ip", *words], check=True)
    with socket.socket(fileno=int(number)) as other:
        socket.send_fds(other, [b"."], [device])
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
