"""Waymarks: what should a network be told along the way, so that it learns what the final
answer alone cannot teach it?"""
