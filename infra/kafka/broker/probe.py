"""Does a broker answer? An open port is not enough: its controller may not have let it in yet."""

import socket
import struct


def brokers_known(host: str, port: int, timeout: float = 2.0) -> int:
    """How many brokers are registered, as this one says (its metadata, in clear text); 0 when it does not answer."""
    request = struct.pack(">hhih", 3, 1, 1, -1) + struct.pack(">i", 0)  # Metadata v1, no client id, no topics
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(12)
            while len(answer) < 12 and (more := connection.recv(12 - len(answer))):
                answer += more
    except OSError:
        return 0
    if len(answer) < 12:
        return 0
    _length, _correlation, brokers = struct.unpack(">iii", answer)
    return max(0, int(brokers))


def listens(bootstrap: str, timeout: float = 5.0) -> bool:
    """Whether one of the servers of `host:port,host:port` accepts a connection; says nothing of Kafka."""
    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=timeout).close()
        except (OSError, ValueError, OverflowError):
            continue
        return True
    return False


def free_port() -> int:
    """A port of the loopback interface that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
