"""ComfyUI's graphs: `api` and `workflow` read its two notations, `follow` looks things up, `walk` tells the recipe."""
