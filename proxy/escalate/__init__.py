"""Has a larger model answer where a smaller one fell short, before a byte has left. It must never lose the answer that there is."""
