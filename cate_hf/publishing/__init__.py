"""Cards, and folders that go to the Hub and come from it."""
