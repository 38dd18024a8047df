"""The program that judgements are forked from: it makes ready once what all of them need, and waits.

`python -P -m dhallmark.controls.zygote FD CONSUMER…` takes requests from the socket FD, one packet each, with the
socket for the answer beside it. It never runs a thread, since only the thread that forks goes on in the child. It ends
when whoever started it closes the socket.
"""

from __future__ import annotations

import gc
import os
import socket
import sys

import anyio

from dhallmark.controls.consumers import make_consumer
from dhallmark.controls.judgement import Request, keep

MAX_REQUEST_BYTES = 65536


def main(arguments: list[str]) -> None:
    """Fork a judgement for each request."""
    consumers = {choice: make_consumer(choice) for choice in arguments[1:]}
    for consumer in consumers.values():
        _ = consumer.version  # is asked once, and known to all that are forked
    anyio.run(anyio.sleep, 0)  # imports the event loop, which is more than a consumer itself needs
    gc.freeze()  # what is here now is no garbage of the children's: looking at it would copy it into each of them
    requests = socket.socket(fileno=int(arguments[0]))
    while True:
        packet, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 1)
        _bury()
        if not packet:
            return
        if os.fork() == 0:
            requests.close()
            try:
                with socket.socket(fileno=descriptors[0]) as caller:
                    request = Request.model_validate_json(packet)
                    keep(request, consumers[request.consumer], caller)
            finally:
                os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def _bury() -> None:
    """Wait for the judgements that have ended: also so that what they used is known to whoever waits for this one."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return


if __name__ == "__main__":
    main(sys.argv[1:])
