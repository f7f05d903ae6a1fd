"""What a file says of its making: from bytes to one model, in steps that each know one thing.

    reading      the one way in: a file -> Metadata, errors as values
    dialects/    which tool wrote the texts, and what its words mean -> Metadata, part by part
    comfy/       ComfyUI's graphs: two notations -> one graph -> the passes that made the picture
    infotext     the grammar of A1111's `parameters`, read and written
    containers/  the texts in a file, found by its content: chunks are read, pixels never decoded
    stealth      the texts hidden in pixels; apart, for it must decode them
    values       numbers, words and JSON out of text that nobody vouches for
    model        the values that all of this speaks in

Imports point down this list. All is bounded: by `containers.source` in bytes and parts, by `comfy.graph` in nodes.
"""
