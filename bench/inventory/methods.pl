# The contestants: the SQL files that make their tables, the reservations that
# they write, and how one unit is reserved, as a script of pgbench.
#
# In the scripts SKU is the SKU as SQL.  One statement does it all wherever
# that is possible: it is the fastest, as it saves round trips.

use strict;
use warnings;

my $columns = 'key, line, sku, warehouse, quantity, generation, request';
my $where = 'sku = SKU AND warehouse_id = 1';
my $free = 'quantity - reserved >= 1';
my $add = 'reserved = reserved + 1, version = version + 1';

# write_reservation(UPDATE, ...): one statement that takes a unit and writes its
# reservation; there is no row if there is no unit.
sub write_reservation
{
	my ($taken, %more) = @_;
	my $key = $more{key} // 'gen_random_uuid()';
	my $request = $more{request} // 1;
	my $with = $more{with} // '';
	my $end = $more{end} // ';';

	return <<"END";
WITH ${with}taken AS (
	$taken)
INSERT INTO reservation ($columns)
	SELECT $key, 1, sku, warehouse_id, 1, 1, $request FROM taken
	RETURNING 1 AS won$end
END
}

my $update = write_reservation("UPDATE inventory SET $add WHERE $where AND $free RETURNING sku, warehouse_id");

my $for_update =
  "SELECT quantity - reserved AS free FROM inventory WHERE $where FOR UPDATE \\gset\n\\if :free >= 1\n"
  . write_reservation("UPDATE inventory SET $add WHERE $where RETURNING sku, warehouse_id")
  . "\\endif\n";

# A try is one run of the script, so a client that has lost tries again at
# once.  Its number is in the row to tell how long it took with all tries.
my $compare = "SELECT version AS seen FROM inventory WHERE $where \\gset\n" . write_reservation(
	"UPDATE inventory SET $add WHERE $where AND version = :seen AND $free RETURNING sku, warehouse_id",
	request => ':client_id'
);

# Units are marked, in the order of their numbers.
my $unit = "SELECT id FROM inventory_unit WHERE $where AND key IS NULL";
my $lock = 'ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED';
my $this = 't.sku = SKU AND t.warehouse_id = 1 AND t.id = unit.id';
my $units = write_reservation(
	"UPDATE inventory_unit t SET key = gen_random_uuid() FROM unit WHERE $this RETURNING t.*",
	with => "unit AS ($unit $lock), ",
	key => 'key'
);

# The fastest form that we know of: whoever takes a unit removes it, and looks
# for it from anywhere on.  (It has to look again from the beginning if there
# is none behind; in these runs there is.)
my $scattered = "\\set first random(1, UNITS / 2)\n"
	. write_reservation(
	"DELETE FROM inventory_unit t USING unit WHERE $this RETURNING t.*",
	with => "unit AS ($unit AND id >= :first $lock), ",
	);

# From a random slot on, through all 16 if need be.
my $slot = write_reservation(
	"UPDATE inventory_slot SET reserved = reserved + 1
		WHERE $where AND slot = :slot AND $free RETURNING sku, warehouse_id",
	end => ' \aset'
);
my $slots = "\\set won 0\n\\set slot random(0, 15)\n$slot"
	. "\\if :won = 0\n\\set slot (:slot + 1) % 16\n$slot" x 15
	. "\\endif\n" x 15;

my $insert = <<"END";
INSERT INTO reservation ($columns)
	VALUES (gen_random_uuid(), 1, SKU, 1, 1, 1, 1)
	RETURNING 1 AS won;
END

my %own = (
	files => [qw(stock plinth)],
	reservations => 'inventory_reservation',
	# Asking for more than there is brings a counter into memory, as tables and
	# indexes are, and writes nothing.
	warm => 'DO $$ DECLARE stock record; BEGIN
		FOR stock IN SELECT * FROM inventory LOOP
			PERFORM plinth_inventory.reserve(stock.sku, stock.warehouse_id, 2000000000);
			COMMIT;
		END LOOP; END $$',
	sell => "SELECT plinth_inventory.reserve(sku, warehouse_id, quantity) FROM inventory",
	problems => "SELECT * FROM plinth_inventory.check('inventory')",
	taken => [
		'SELECT sum(quantity) - sum(plinth_inventory.available(sku, warehouse_id)) FROM inventory',
		'SELECT sum(reserved) FROM inventory_available',
	],
);
my %others = (
	files => [qw(stock reservation)],
	reservations => 'reservation',
	sell => 'UPDATE inventory SET reserved = quantity',
	taken => ['SELECT sum(reserved) FROM inventory'],
);
my %units = (
	%others,
	files => [qw(units reservation)],
	sell => 'UPDATE inventory_unit SET key = gen_random_uuid()',
);

return {
	plinth => {
		%own,
		title => 'plinth, escrow',
		script => "SELECT outcome FROM plinth_inventory.reserve(SKU, 1, 1);\n",
	},
	'plinth-ttl' => {
		%own,
		title => 'plinth, escrow, expires in 15 minutes',
		script => "SELECT outcome FROM plinth_inventory.reserve(SKU, 1, 1, ttl => '15 minutes');\n",
	},
	update => { %others, title => 'conditional UPDATE + INSERT', script => $update },
	'for-update' => { %others, title => 'SELECT FOR UPDATE', script => $for_update, transaction => 1 },
	compare => {
		%others,
		title => 'version compare-and-set with retry',
		script => $compare,
		tries => 1,
	},
	units => {
		%units,
		title => 'SKIP LOCKED unit rows',
		script => $units,
		taken => ['SELECT count(*) FROM inventory_unit WHERE key IS NOT NULL'],
	},
	scattered => {
		%units,
		title => 'unit rows removed from a random one on',
		script => $scattered,
		taken => ['SELECT UNITS - count(*) FROM inventory_unit'],
	},
	slots => {
		%others,
		title => '16 slotted rows',
		files => [qw(slots reservation)],
		script => $slots,
		sell => 'UPDATE inventory_slot SET reserved = quantity',
		taken => ['SELECT sum(reserved) FROM inventory_slot'],
	},
	insert => {
		%others,
		title => 'bare INSERT',
		script => $insert,
		taken => [],
	},
};
