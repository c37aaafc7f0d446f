"""Reads an answer, whole or streamed, and says what it falls short of. It must never judge words: only what is stated, or can be parsed."""
