-- The closure as WITH RECURSIVE computes it from the adjacency list.
CREATE VIEW recursion AS
	WITH RECURSIVE down (ancestor, descendant, depth) AS (
		SELECT id, id, 0 FROM node
		UNION ALL
		SELECT d.ancestor, n.id, d.depth + 1 FROM down d JOIN node n ON n.parent = d.descendant)
	SELECT ancestor, descendant, depth FROM down;
