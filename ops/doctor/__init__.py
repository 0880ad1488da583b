"""`manage.py doctor`: looks at an installation from outside, and says what to do about what is wrong.

Each module looks at one thing and answers with findings; `examination` asks them in order and waits for none for long.
"""
