"""Parts of the page: plots, drawings, palette, safe templates."""
