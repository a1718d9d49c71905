"""What psycopg2 makes of DELETE on the tables of one schema, line by line.

soft_delete.py CONNINFO SCHEMA
"""

import sys

import psycopg2
import psycopg2.extensions
import psycopg2.extras

conn = psycopg2.connect(sys.argv[1], options="-c search_path=" + sys.argv[2])
conn.autocommit = True


def say(title, *values):
    print(title + ":", *values)


def show(title, cur):
    """Everything that a cursor knows about what it has done."""
    columns = [c.name for c in cur.description] if cur.description else None
    rows = cur.fetchall() if cur.description else None
    say(title, cur.rowcount, cur.statusmessage, columns, rows)


def left(title, table="users"):
    with conn.cursor() as cur:
        cur.execute("SELECT * FROM %s ORDER BY id" % table)
        show(title + ", left", cur)


with conn.cursor() as cur:
    cur.execute("DELETE FROM users WHERE id = %s", (1,))
    show("one row", cur)
    cur.execute("DELETE FROM users WHERE id = %s", (1,))
    show("no row", cur)
    cur.execute("DELETE FROM users WHERE id IN %s RETURNING *", ((2, 3),))
    show("RETURNING", cur)
    cur.execute("DELETE FROM users WHERE id = 4 RETURNING id, upper(name) AS loud")
    say("fetchone", cur.fetchone(), cur.fetchone(), cur.rowcount)
    cur.execute("DELETE FROM users WHERE id = ANY (%s)", ([4, 5, 6],))
    show("an array", cur)
    cur.executemany("DELETE FROM users WHERE id = %s", [(6,), (7,), (8,)])
    say("executemany", cur.rowcount, cur.statusmessage)
    psycopg2.extras.execute_batch(cur, "DELETE FROM users WHERE id = %s", [(8,), (9,)])
    say("execute_batch", cur.rowcount, cur.statusmessage)
    rows = psycopg2.extras.execute_values(
        cur, "DELETE FROM users u USING (VALUES %s) v (i) WHERE u.id = v.i RETURNING u.id, u.name", [(9,), (10,), (11,)], fetch=True)
    say("execute_values", rows, cur.statusmessage)
left("first")

with conn.cursor() as cur:
    cur.execute("PREPARE p (int) AS DELETE FROM users WHERE id = $1 RETURNING id, name")
    for i in (12, 12, 13, 99, 14, 15, 16, 15):
        cur.execute("EXECUTE p (%s)", (i,))
        show("prepared %d" % i, cur)
    cur.execute("WITH d AS (DELETE FROM users WHERE id IN (17, 18) RETURNING *) SELECT id, deleted_at FROM d ORDER BY 1")
    show("WITH", cur)
    cur.execute("DELETE FROM users USING orders WHERE orders.user_id = users.id RETURNING users.id, orders.id")
    show("USING", cur)
    cur.execute("MERGE INTO users USING (VALUES (19), (99)) v (i) ON id = i WHEN MATCHED THEN DELETE")
    show("MERGE", cur)
    with open("/dev/stdout", "w") as out:
        cur.copy_expert("COPY (DELETE FROM users WHERE id IN (20, 21) RETURNING id, name) TO STDOUT", out)
        out.flush()
    say("COPY", cur.rowcount, cur.statusmessage)
    cur.execute("SELECT delete_user(22), delete_user(22)")
    show("a function", cur)
    cur.callproc("delete_user", (23,))
    show("callproc", cur)
    cur.execute("DELETE FROM users WHERE id = 24; DELETE FROM users WHERE id = 24")
    show("two in one", cur)
    cur.execute("DELETE FROM user_list WHERE id = 24 OR id = 25 RETURNING *")
    show("a view", cur)
    cur.execute("DELETE FROM parts WHERE id > 1 RETURNING tableoid::regclass, *")
    show("partitions", cur)
    cur.execute("DELETE FROM parts")
    show("partitions", cur)
left("second")
left("second", "parts")

# A named cursor, and rows deleted where it stands.
conn.autocommit = False
with conn.cursor("reader") as reader, conn.cursor() as cur:
    reader.itersize = 1
    reader.execute("SELECT id FROM users WHERE id < 34")
    for n in range(4):
        row = reader.fetchone()
        cur.execute("DELETE FROM users WHERE CURRENT OF reader RETURNING id, name")
        show("WHERE CURRENT OF %s" % (row,), cur)
        cur.execute("DELETE FROM users WHERE CURRENT OF reader")
        show("WHERE CURRENT OF %s again" % (row,), cur)
conn.commit()
with conn.cursor() as cur:
    cur.execute("DELETE FROM users WHERE id = 34")
    show("before ROLLBACK", cur)
    conn.rollback()
    cur.execute("DELETE FROM users WHERE id = 34")
    show("after ROLLBACK", cur)
    conn.commit()
with conn.cursor() as cur:
    for sql in ("DELETE FROM users WHERE nothing = 1", "DELETE FROM forbidden", "DELETE FROM users RETURNING 1 / (id - id)"):
        try:
            cur.execute(sql)
        except psycopg2.Error as e:
            say("error", e.pgcode, type(e).__name__, e.diag.message_primary.replace(sys.argv[2], "SCHEMA"))
        conn.rollback()
    conn.set_session(readonly=True)
    try:
        cur.execute("DELETE FROM users")
    except psycopg2.Error as e:
        say("read-only", e.pgcode, e.diag.message_primary)
    conn.rollback()
    conn.set_session(readonly=False, isolation_level=psycopg2.extensions.ISOLATION_LEVEL_SERIALIZABLE)
    cur.execute("DELETE FROM users WHERE id = 35 RETURNING *")
    show("SERIALIZABLE", cur)
    conn.commit()
left("third")
say("notices", conn.notices)
conn.close()
