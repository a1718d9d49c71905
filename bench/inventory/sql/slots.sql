-- The stock of one SKU in 16 rows.

CREATE TABLE inventory_slot (
	sku varchar(50),
	warehouse_id int,
	slot int,
	quantity int NOT NULL CHECK (quantity >= 0),
	reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
	PRIMARY KEY (sku, warehouse_id, slot));
INSERT INTO inventory_slot (sku, warehouse_id, slot, quantity)
	SELECT 'SKU-1', 1, n, :stock / 16 FROM generate_series(0, 15) n;
VACUUM ANALYZE inventory_slot;
