CREATE EXTENSION plinth_inventory;
SELECT plinth_inventory.enable('inventory', mode => 'escrow');
