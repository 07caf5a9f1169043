"""What templates make of the values of a row; used in the sandbox process, so that it is light."""
