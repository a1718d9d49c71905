-- The table that the shop has.  :skus SKUs, :stock units of each.

CREATE TABLE inventory (
	sku varchar(50),
	warehouse_id int,
	quantity int NOT NULL CHECK (quantity >= 0),
	reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
	version int NOT NULL DEFAULT 0,
	PRIMARY KEY (sku, warehouse_id));
INSERT INTO inventory (sku, warehouse_id, quantity)
	SELECT 'SKU-' || n, 1, :stock FROM generate_series(1, :skus) n;
VACUUM ANALYZE inventory;
