"""Judging processes that end in the middle of a sample, as a runtime does that aborts."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

from sweep.outcome import SAME


def aborts_in_tflite(pipe: Connection) -> None:
    """Answers for the other ports."""
    while True:
        try:
            _, ports = pipe.recv()
        except EOFError:
            return
        pipe.send("capture")
        for port in ports:
            pipe.send(port)
            if port == "tflite":
                os.abort()
        pipe.send(dict.fromkeys(ports, SAME))


def exits_in_capture(pipe: Connection) -> None:
    pipe.recv()
    os._exit(3)


def lacks_a_runtime(pipe: Connection) -> None:
    """Says so once."""
    from triport.exporter.errors import EnvironmentError_

    pipe.recv()
    pipe.send(EnvironmentError_("TP310", "Node is not on PATH"))
    pipe.recv()
