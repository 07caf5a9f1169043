"""What helps to write a project: its starter files, and configuration schemas for editors."""
