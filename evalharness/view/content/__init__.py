"""What takes seconds to compute: the sections of a report, and comparisons, in a process each.

A process, because figures of a large run take a core and gigabytes for a while, and the pages must
be answered meanwhile; what it took is free again when it ends.
"""
