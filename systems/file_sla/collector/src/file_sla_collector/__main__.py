"""`python -m file_sla_collector`: the command, where the console script is not on the path."""

import sys

from file_sla_collector.cli import main

sys.exit(main())
