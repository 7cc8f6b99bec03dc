"""The Hub and the client of the tests of hub/."""

from tests.hub.conftest import client, hub, running_client, running_hub

__all__ = ["client", "hub", "running_client", "running_hub"]
