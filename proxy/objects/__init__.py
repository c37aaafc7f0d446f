"""What providers keep under an id: whose it is, and what an answer shows of it. It must never send, weigh or record anything."""
