"""Cases: the administration interface is what its own description says, as tried by a program that makes requests of that."""

import peers
from cases import case
from gateway import Gateway, binary
from peers import HERE, SCHEMATHESIS

# What api/schemathesis.toml asks for by name.
CONFIG = f"""
providers: {{}}
mcp:
  servers:
    demo: {{ command: ["{binary()}", demo-server] }}
context:
  sources:
    notes: {{ server: demo, resource: "demo://notes" }}
"""


@case("api")
def schemathesis_finds_the_administration_interface_to_be_as_it_describes_itself(_):
    with Gateway(config=CONFIG) as gateway:
        gateway.until_ready("demo")
        command = [SCHEMATHESIS, "--no-color", "--config-file", HERE / "api/schemathesis.toml", "run"]
        key = (gateway.data / "owner.key").read_text().strip()
        peers.run([*command, f"{gateway.url}/api/v1/openapi.json"], gateway.home, PORTOLAN_KEY=key)
