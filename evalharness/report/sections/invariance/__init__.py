"""The same requests alone and under load: do their texts, and their scores, stay the same?"""
