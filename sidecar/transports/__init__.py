"""How sources are reached. Engines know `base` alone; concrete transports are plugins."""
