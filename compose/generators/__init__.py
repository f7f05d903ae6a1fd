"""Stand-ins for ComfyUI and Forge: images from the distribution's packages, real media, real folder layouts."""
