"""`python -m ergon_cli` is `ergon`, for processes that start one of their own with the same interpreter."""

import sys

from ergon_cli.app import main

if __name__ == "__main__":
    sys.exit(main())
