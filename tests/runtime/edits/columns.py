"""The rows of some of these edits: position, equal or not, recorded, current."""

from __future__ import annotations

COLUMNS = {
    "a step without a result added in the middle, ends": """
        1 = step charge("n":1) | step charge("n":1)
          ! - | step note("text":"soon")
        2 = step pack("n":2) | step pack("n":2)
        3 = step ship("n":3) | step ship("n":3)
        4 = signal go | signal go
          = the end (completed) | the end
        """,
    "a step added in the middle whose result nobody knows, ends": """
        1 = step charge("n":1) | step charge("n":1)
        2 ! step pack("n":2) | step audit("n":9)
        """,
    "a wait for a signal removed, waits": """
        1 = step charge("n":1) | step charge("n":1)
        2 ! signal approve | -
        3 ! step ship("n":5) | step ship("n":7)
          = signal go | signal go
        """,
    "an early return, ends": """
        1 = step charge("n":1) | step charge("n":1)
        2 ! step pack("n":2) | -
        3 ! step ship("n":3) | -
        4 ! signal go | -
          = the end (completed) | the end
        """,
    "two steps swapped, waits": """
        1 = step charge("n":1) | step charge("n":1)
        2 ! step pack("n":2) | step ship("n":3)
        3 ! step ship("n":3) | step pack("n":2)
          = signal go | signal go
        """,
    "an argument changed in a task that is a step, waits": """
        1 = step 1/charge("n":1) | step 1/charge("n":1)
        2 ! step 2/ship("n":6) | step 2/ship("n":7)
        3 = step 1/pack("n":1) | step 1/pack("n":1)
          = signal go | signal go
        """,
    "an argument changed before a race, waits": """
        1 ! step charge("n":1) | step charge("n":2)
        2 = step 2/pack("n":1) | step 2/pack("n":1)
        3 = step ship("n":1) | step ship("n":1)
          = signal go | signal go
        """,
    "another round of a loop at its start, ends": """
          ! - | step charge("n":0)
        1 ! step charge("n":1) | step charge#2("n":1)
        2 ! step charge#2("n":2) | step charge#3("n":2)
        3 ! step charge#3("n":3) | step charge#4("n":3)
        4 = step pack("n":1) | step pack("n":1)
        """,
    "another result, ends": """
        2 = step pack("n":2) | step pack("n":2)
        3 = step ship("n":3) | step ship("n":3)
        4 = signal go | signal go
          ! the end (completed: 5) | the end (completed: 6)
        """,
}
