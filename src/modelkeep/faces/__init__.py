"""Faces: wires that the same use cases are offered on. They parse, call one use case, render."""
