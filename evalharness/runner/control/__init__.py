"""Changes of a running run: pause, resume, other limits; and what it does at the moment."""
