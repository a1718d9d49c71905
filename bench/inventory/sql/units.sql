-- One row for each of :units units of one SKU; key is whose it is.

CREATE TABLE inventory_unit (
	sku varchar(50),
	warehouse_id int,
	id int,
	key uuid,
	PRIMARY KEY (sku, warehouse_id, id));
INSERT INTO inventory_unit (sku, warehouse_id, id)
	SELECT 'SKU-1', 1, n FROM generate_series(1, :units) n;
CREATE INDEX inventory_unit_free ON inventory_unit (sku, warehouse_id, id) WHERE key IS NULL;
VACUUM ANALYZE inventory_unit;
