-- Tables that are not enabled.
CREATE TABLE customer (id int PRIMARY KEY, name text, city text);
CREATE TABLE purchase (id int PRIMARY KEY, customer_id int, at timestamptz, total numeric);
CREATE TABLE line (purchase_id int, number int, item text, PRIMARY KEY (purchase_id, number));
INSERT INTO customer SELECT i, 'customer ' || i, 'city ' || i % 100 FROM generate_series(1, 1000) i;
INSERT INTO purchase SELECT i, 1 + i % 1000, '2026-01-01', i FROM generate_series(1, 1000) i;
INSERT INTO line SELECT i, 1, 'item ' || i FROM generate_series(1, 1000) i;
CREATE INDEX ON purchase (customer_id);
VACUUM ANALYZE customer, purchase, line;
