"""Does the same request get the same answer alone and under load?"""
