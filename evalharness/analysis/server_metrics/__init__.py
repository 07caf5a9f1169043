"""What servers say of themselves while a run goes on: requests that wait, caches, tokens, GPUs."""
