"""Great Expectations by push-down in the warehouse: the adapter and the suites."""

import sys
from typing import Any, cast

# GX imports pyspark where that is installed: for seconds, and in the process that steps are
# forked from, whose main module is no file, pyspark takes itself for a doctest and ends the
# process. We reach Spark without it: to GX it is not there.
cast("dict[str, Any]", sys.modules).setdefault("pyspark", None)
