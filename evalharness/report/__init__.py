"""Reports: the JSON data of a run, and its rendering as console text, HTML and Markdown."""
