"""Small frozen facts that pass between rooms: a path, a hash, a few numbers.

What one room makes and another uses is one of these, and a flow carries it. None holds a client, an open file or a
model in memory, so each can be pickled into a Prefect result, written as JSON and compared by value.
"""
