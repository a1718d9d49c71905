-- The reservations of the others: the row that plinth_inventory writes, with
-- the key and the index for expiry.  run.pl sees to it that it is the same.

CREATE TABLE reservation (
	key uuid NOT NULL,
	line int NOT NULL,
	sku varchar(50) NOT NULL,
	warehouse int NOT NULL,
	quantity int NOT NULL,
	confirmed int NOT NULL DEFAULT 0,
	released int NOT NULL DEFAULT 0,
	owner text,
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz,
	finished_at timestamptz,
	outcome text,
	generation bigint,
	xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
	request bigint NOT NULL,
	PRIMARY KEY (key, line));
CREATE INDEX reservation_due ON reservation (sku, warehouse, expires_at)
	WHERE finished_at IS NULL AND expires_at IS NOT NULL;
