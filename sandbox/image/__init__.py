"""Pinned images: what they hold (`spec`), where their bytes come from (`archives`, `wheels`), where they are kept."""
