-- What is wrong with an inventory, in two opinions: that of check(), and one that trusts nobody and adds up the companions
-- again.  Two tables in one schema must not have companions with one name.  For pgTAP files (\ir) and Perl tests.

-- The name of a companion.
CREATE FUNCTION beside(target regclass, what text) RETURNS regclass LANGUAGE sql STABLE AS $$
	SELECT format('%I.%I', nspname, relname || '_' || what)::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = target $$;

-- Each cell by what the ledger says: units on hand, units held by reservations, units reserved by other SQL.
CREATE FUNCTION ledger(target regclass) RETURNS TABLE (sku text, warehouse text, on_hand numeric, held numeric, taken numeric) LANGUAGE plpgsql STABLE AS $$
DECLARE
	wh text := CASE WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = beside(target, 'cell') AND attname = 'warehouse') THEN 'warehouse::text' ELSE 'NULL::text' END;
BEGIN
	RETURN QUERY EXECUTE format('SELECT sku, wh, sum(q)::numeric, sum(h)::numeric, sum(r)::numeric FROM (
			SELECT sku::text, %1$s AS wh, quantity AS q, 0 AS h, CASE WHEN key IS NULL THEN reserved ELSE 0 END AS r FROM %2$s
			UNION ALL SELECT sku::text, %1$s, 0, quantity - confirmed - released, 0 FROM %3$s) e GROUP BY 1, 2', wh, beside(target, 'movement'), beside(target, 'reservation'));
END $$;

-- NULL if everything agrees.  "strict": nobody has said that there is less than what was sold.
CREATE FUNCTION wrong(target regclass, strict bool DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s record;
	found text[] := '{}';
	more text[];
	has_wh bool;
	keys text;
BEGIN
	SELECT * INTO STRICT s FROM plinth_inventory.status WHERE status.target = wrong.target;
	has_wh := s.warehouse IS NOT NULL;
	keys := format('t.%I::text = l.sku', s.sku) || CASE WHEN has_wh THEN format(' AND t.%I::text = l.warehouse', s.warehouse) ELSE '' END;
	SELECT array_agg('check(): ' || c::text) INTO more FROM plinth_inventory.check(target) c WHERE strict OR c.problem <> 'oversold';
	found := found || coalesce(more, '{}');
	-- what is told of a hold is what the ledger has of it
	EXECUTE format('SELECT array_agg(format(''hold %%s: confirmed %%s, released %%s, ledger %%s and %%s'', r.key, r.confirmed, r.released, m.q, m.r)) FROM %s r
		LEFT JOIN (SELECT key, line, sum(quantity) AS q, sum(reserved) AS r FROM %s WHERE key IS NOT NULL GROUP BY 1, 2) m USING (key, line)
		WHERE r.confirmed < 0 OR r.released < 0 OR r.confirmed + r.released > r.quantity OR r.confirmed <> -coalesce(m.q, 0) OR r.confirmed + r.released <> -coalesce(m.r, 0)
			OR (r.finished_at IS NOT NULL) <> (r.confirmed + r.released = r.quantity)',
		beside(target, 'reservation'), beside(target, 'movement')) INTO more;
	found := found || coalesce(more, '{}');
	-- the counters, where nobody is at work
	EXECUTE format('SELECT array_agg(format(''counter of %%s %%s: %%s, should be %%s'', l.sku, l.warehouse, f.free, l.on_hand - l.held - l.taken + c.oversell_limit - c.safety_stock)) FROM ledger(%L) l
		JOIN %s c ON c.sku::text = l.sku %s JOIN plinth_inventory.cells f ON f.target = %1$L::regclass AND f.generation = c.generation
		WHERE f.state = ''ready'' AND f.pins = 0 AND f.free <> l.on_hand - l.held - l.taken + c.oversell_limit - c.safety_stock',
		target, beside(target, 'cell'), CASE WHEN has_wh THEN 'AND c.warehouse::text = l.warehouse' ELSE '' END) INTO more;
	found := found || coalesce(more, '{}');
	-- the view shows what the ledger says
	EXECUTE format('SELECT array_agg(format(''view of %%s %%s: %%s and %%s, ledger %%s and %%s'', l.sku, l.warehouse, t.quantity, t.reserved, l.on_hand, l.held + l.taken)) FROM ledger(%L) l JOIN %s t ON t.sku::text = l.sku %s WHERE (t.quantity, t.reserved) IS DISTINCT FROM (l.on_hand, l.held + l.taken)',
		target, beside(target, 'available'), CASE WHEN has_wh THEN 'AND t.warehouse::text = l.warehouse' ELSE '' END) INTO more;
	found := found || coalesce(more, '{}');
	-- a row in mode row has everything
	EXECUTE format('SELECT array_agg(format(''row of %%s %%s: %%s and %%s, ledger %%s and %%s'', l.sku, l.warehouse, t.%1$I, t.%2$I, l.on_hand, l.held + l.taken)) FROM ledger(%3$L) l JOIN %3$s t ON %4$s
		JOIN %5$s c ON c.sku::text = l.sku %6$s WHERE c.mode = ''row'' AND (t.%1$I, t.%2$I) IS DISTINCT FROM (l.on_hand, l.held + l.taken)',
		s.quantity, s.reserved, target, keys, beside(target, 'cell'), CASE WHEN has_wh THEN 'AND c.warehouse::text = l.warehouse' ELSE '' END) INTO more;
	found := found || coalesce(more, '{}');
	IF strict THEN
		EXECUTE format('SELECT array_agg(format(''OVERSOLD %%s %%s: %%s held and %%s taken of %%s'', l.sku, l.warehouse, l.held, l.taken, l.on_hand)) FROM ledger(%L) l
			JOIN %s c ON c.sku::text = l.sku %s WHERE l.held + l.taken > greatest(l.on_hand + c.oversell_limit, 0)',
			target, beside(target, 'cell'), CASE WHEN has_wh THEN 'AND c.warehouse::text = l.warehouse' ELSE '' END) INTO more;
		found := found || coalesce(more, '{}');
	END IF;
	RETURN nullif(array_to_string(found, E'\n'), '');
END $$;

-- The same of the stock rows, after fold() with nobody at work.
CREATE FUNCTION wrong_when_folded(target regclass, strict bool DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s record;
	more text;
	keys text;
BEGIN
	SELECT * INTO STRICT s FROM plinth_inventory.status WHERE status.target = wrong_when_folded.target;
	keys := format('t.%I::text = l.sku', s.sku) || CASE WHEN s.warehouse IS NOT NULL THEN format(' AND t.%I::text = l.warehouse', s.warehouse) ELSE '' END;
	PERFORM plinth_inventory.fold(target);
	EXECUTE format('SELECT string_agg(format(''folded row of %%s %%s: %%s and %%s, ledger %%s and %%s'', l.sku, l.warehouse, t.%1$I, t.%2$I, l.on_hand, l.held + l.taken), E''\n'')
		FROM ledger(%3$L) l JOIN %3$s t ON %4$s WHERE (t.%1$I, t.%2$I) IS DISTINCT FROM (l.on_hand, l.held + l.taken)', s.quantity, s.reserved, target, keys) INTO more;
	RETURN nullif(concat_ws(E'\n', more, wrong(target, strict)), '');
END $$;

-- Sells all that is free, in the view's opinion, and says where that was not exactly what could be sold; NULL if nowhere.
CREATE FUNCTION missold(target regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c record;
	n int;
	sold bigint;
	found text[] := '{}';
BEGIN
	FOR c IN EXECUTE format('SELECT to_jsonb(a) ->> ''sku'' AS sku, to_jsonb(a) ->> ''warehouse'' AS warehouse, greatest(available, 0) AS available FROM %s a', beside(target, 'available')) LOOP
		sold := 0;
		FOREACH n IN ARRAY '{1000,7,1}'::int[] LOOP
			WHILE (plinth_inventory.reserve(c.sku, c.warehouse, n, inventory => target)).outcome = 'reserved' LOOP
				sold := sold + n;
			END LOOP;
		END LOOP;
		IF sold <> c.available THEN
			found := found || format('%s %s: %s of %s sold', c.sku, c.warehouse, sold, c.available);
		END IF;
	END LOOP;
	RETURN nullif(array_to_string(found, E'\n'), '');
END $$;
