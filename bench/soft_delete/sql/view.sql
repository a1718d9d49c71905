-- A view that reads as who looks.
CREATE VIEW alive WITH (security_invoker = true) AS SELECT * FROM person WHERE deleted_at IS NULL;
GRANT SELECT ON alive TO app;
