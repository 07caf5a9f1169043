"""The model equality test: do the outputs of two sides come from one distribution?"""
