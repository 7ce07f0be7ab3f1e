"""``python -m mimaface.cli``: how the add-on starts the backend."""

import sys

from . import main

sys.exit(main())
