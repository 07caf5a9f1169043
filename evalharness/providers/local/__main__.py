"""``python -m evalharness.providers.local``: the child process that holds the model."""

from evalharness.providers.local.server import main

if __name__ == "__main__":
    main()
