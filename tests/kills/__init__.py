"""The kill loop: real workers that are killed, stopped and drained at named points and at random instants.

flows.py and points.py are what the workers load: flows that keep a ledger, and a store whose calls count as points.
nursery.py forks the workers, staff.py asks it to, rig.py gives them work and dooms, checker.py judges what is left.
    python -m tests.kills.run 200 --store sqlite --flows 2000 --seed 1
    python -m tests.kills.recovery 100 --store redis
"""
