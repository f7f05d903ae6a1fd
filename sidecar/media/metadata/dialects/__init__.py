"""Which tool wrote the texts of a file, and what its words mean. One module for each family of tools.

A dialect looks for the texts it knows, and puts what they say into the draft. Whoever comes first is believed, later
ones fill in: a save node of ComfyUI may write A1111's text beside the graph.
"""

from __future__ import annotations

from collections.abc import Callable

from sidecar.media.metadata.dialects import a1111, comfyui, invokeai, novelai, swarmui
from sidecar.media.metadata.dialects.texts import Texts
from sidecar.media.metadata.model import Contents, Draft, Metadata

Dialect = Callable[[Texts, Draft], None]

DIALECTS: tuple[tuple[str, Dialect], ...] = (
    ("SwarmUI", swarmui.read),
    ("InvokeAI", invokeai.read),
    ("NovelAI", novelai.read),
    ("A1111", a1111.read),
    ("ComfyUI", comfyui.read),
)


def interpret(contents: Contents) -> Metadata:
    """What the texts of a file say. A dialect that trips over one costs its own part, and is named in `problems`."""
    draft = Draft()
    texts = Texts(contents.texts)
    for name, read in DIALECTS:
        try:
            read(texts, draft)
        except Exception as error:  # the text is a stranger's, and what is read of the others must not be lost
            draft.problems.append(f"{name}: {type(error).__name__}: {error}"[:300])
    return draft.done(contents)
