"""What the emulator accepts: the OpenAPI document, further rules, and its errors."""
