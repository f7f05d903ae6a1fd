"""media-sync: empties the output folders of image generators into a library that can be trusted."""

import os

# Looking for plugins of pydantic reads what every installed package says of itself; there are none for us.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
os.environ.setdefault("LOGURU_AUTOINIT", "0")  # a first handler of its own, which would be replaced at once

__version__ = "0.1.0"
