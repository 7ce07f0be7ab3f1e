"""The server's socket: encrypted with CURVE, open only to the client key of this start (RFC 27/ZAP)."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import zmq
from zmq.auth.thread import ThreadAuthenticator

from mimaface.protocol.codec import MAX_PART
from mimaface.protocol.connection import Connection
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.messages import CREDIT, VERSION

log = logging.getLogger(__name__)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Bytes of a part beyond which a connection is ended unanswered; parts between the codec's limit and this one are answered with an error.
# Higher: more memory for one client.
MAX_MESSAGE = 2 * MAX_PART
# Milliseconds. A client's sign of life waits behind the part that it is sending, and 256 MB took 2 s on two busy cores. LOST_AFTER higher:
# a client that hangs is noticed later; one that ends is noticed at once.
HEARTBEAT, LOST_AFTER = 250, 10_000


class AllowList:
    """Credentials for pyzmq's authenticator that accept these public keys (Z85) only."""

    def __init__(self, keys: set[bytes]) -> None:
        self.keys = keys

    def callback(self, domain: str, key: bytes) -> bool:
        known = key in self.keys
        if not known:
            log.warning("refused a connection with an unknown key")
        return known


def open_socket(
    context: zmq.Context[zmq.Socket[bytes]], file: Path, host: str, allow_remote: bool
) -> tuple[zmq.Socket[bytes], ThreadAuthenticator, Connection]:
    """Bind an encrypted ROUTER socket to a free port, and write the connection file.

    Raises :class:`InvalidInput` for an address that is not loopback without ``allow_remote``.
    """
    if host not in LOOPBACK and not allow_remote:
        raise InvalidInput(
            f"{host} can be reached from other machines", "use 127.0.0.1, or add --allow-remote if that is what you want"
        )
    server_public, server_secret = zmq.curve_keypair()
    client_public, client_secret = zmq.curve_keypair()
    guard = ThreadAuthenticator(context)
    guard.start()
    guard.configure_curve_callback(domain="*", credentials_provider=AllowList({client_public}))
    socket = context.socket(zmq.ROUTER)
    socket.curve_server = True
    socket.curve_publickey, socket.curve_secretkey = server_public, server_secret
    options = {
        zmq.ROUTER_MANDATORY: 1,
        zmq.ROUTER_HANDOVER: 0,
        zmq.LINGER: 0,
        zmq.SNDHWM: 4 * CREDIT,
        zmq.MAXMSGSIZE: MAX_MESSAGE,
        zmq.HEARTBEAT_IVL: HEARTBEAT,
        zmq.HEARTBEAT_TIMEOUT: LOST_AFTER,
        zmq.HANDSHAKE_IVL: 3000,
        zmq.IPV6: int(":" in host),
    }
    for option, value in options.items():
        socket.setsockopt(option, value)
    port = socket.bind_to_random_port(f"tcp://{f'[{host}]' if ':' in host else host}")
    connection = Connection(
        VERSION, host, port, server_public.decode(), client_public.decode(), client_secret.decode(), os.getpid()
    )
    connection.write(file)
    return socket, guard, connection
