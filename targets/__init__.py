"""The ports: for each, what it can spell, its layout, one emitter per op family, and a writer.

Nothing is imported here, so that `registry.get_target` loads the one port that is asked for and no other.
"""
