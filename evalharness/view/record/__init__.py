"""What is shown of a record and of a prompt, as values for the templates."""
