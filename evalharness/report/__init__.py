"""What people read: the console, exports, and the JSON that programs read."""
