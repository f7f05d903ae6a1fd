"""The paths under /api/v1, and the few beside it: one module for each subject."""
