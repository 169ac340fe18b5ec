SELECT
    order_id,
    customer_id,
    count(*) FILTER (is_sale) AS lines,
    in_units(sum(sold_parts)) AS units,
    sum(sold_cents) AS revenue_cents,
    count(*) FILTER (is_returned) AS returned_lines,
    in_units(sum(returned_parts)) AS returned_units,
    sum(returned_cents) AS returned_revenue_cents
FROM kept
WHERE order_id IS NOT NULL
GROUP BY order_id, customer_id
ORDER BY order_id, customer_id NULLS LAST
