"""The pages, a module each; :mod:`evalharness.view.app` has the list of them."""
