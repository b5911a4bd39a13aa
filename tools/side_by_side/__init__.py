"""The parts of tools/side-by-side; tools/tidy also uses source_text."""
