"""Cost by setting, model, tag and prompt, bills, wasted spend, and the cost frontier."""
