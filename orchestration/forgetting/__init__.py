"""Erase a person from all that this HOME holds, and prove it.

person.py      whose rows are theirs, and by which texts they can be found
erasing.py     the warehouse without them, as a new file
traces.py      where a text still stands in the files under HOME
scrubbing.py   logs, Dagster's books and old publications without them
server.py      the same in PostgreSQL
spark.py       the same in Spark
steps.py       all of it in order, safe to break off and to repeat

landing/forgotten.py remembers who was forgotten, so that landing leaves their rows out.
"""
