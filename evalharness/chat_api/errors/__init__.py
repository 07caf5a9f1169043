"""What an error of a server says, and what follows from it."""
