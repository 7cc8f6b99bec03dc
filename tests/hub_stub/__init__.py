"""A Hub of models and data sets on the loopback interface: the documented HTTP routes over real sockets, in memory,
with faults on request, so that the clients of huggingface_hub, transformers and datasets are tested as they are.

    with HubStub() as hub:
        subprocess.run([...], env=hub.environment(home))

HF_ENDPOINT is read when huggingface_hub is imported, so clients run in processes of their own.
"""

from tests.hub_stub.faults import Fault
from tests.hub_stub.repositories import File, Repository
from tests.hub_stub.server import OWNER, READER_TOKEN, WRITER_TOKEN, HubStub

__all__ = ["OWNER", "READER_TOKEN", "WRITER_TOKEN", "Fault", "File", "HubStub", "Repository"]
