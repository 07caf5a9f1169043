"""``evalharness view``: the runs of a project as pages in a browser."""
