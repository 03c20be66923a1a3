"""Every name under localhost means this machine, as RFC 6761 asks for and not every system does."""

import socket


def resolve_localhost():
    system = socket.getaddrinfo

    def resolve(host, *args, **kwargs):
        name = host.decode() if isinstance(host, bytes) else host
        local = isinstance(name, str) and name.endswith(".localhost")
        return system("127.0.0.1" if local else host, *args, **kwargs)

    socket.getaddrinfo = resolve
