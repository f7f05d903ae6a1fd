"""media-sync: empties the output folders of image generators into a library that can be trusted."""

__version__ = "0.1.0"
