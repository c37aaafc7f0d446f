"""What a file says of itself in its first and last bytes: a picture's size, a recording's length. It must never decode one, nor raise."""
