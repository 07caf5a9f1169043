"""The commands, one module each: options, handler, help and examples.

A module is light to import; what is heavy is imported inside its functions. Their list is in
:mod:`evalharness.cli.command_list`.
"""
