"""`python -m rollfit`: the command `rollfit`, where the console script is not on the path."""

import sys

from ._command import main

sys.exit(main())
