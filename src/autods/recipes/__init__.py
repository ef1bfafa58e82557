"""The recipes: short scripts over the stages, read from top to bottom, source to output."""
