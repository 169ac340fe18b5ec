-- Where lines do not tell their order, each sale line is one.
WITH chosen AS (
    SELECT * FROM kept WHERE NOT getvariable('has_orders') OR order_id IS NOT NULL
),
ordered AS (
    SELECT DISTINCT order_id, customer_id FROM chosen WHERE is_sale
),
summed AS (
    SELECT
        CASE
            WHEN getvariable('has_orders') THEN (SELECT count(*) FROM ordered)
            ELSE count(*) FILTER (is_sale)
        END AS orders,
        count(*) FILTER (is_sale) AS lines,
        coalesce(in_units(sum(sold_parts)), 0) AS units,
        coalesce(in_units(sum(returned_parts)), 0) AS returned_units,
        coalesce(sum(sold_cents), 0) AS sold_cents,
        coalesce(sum(returned_cents), 0) AS returned_cents
    FROM chosen
)
SELECT
    CASE WHEN getvariable('has_orders') THEN 'orders' ELSE 'lines' END AS counted,
    orders,
    lines,
    units,
    returned_units,
    currency(sold_cents) AS revenue,
    currency(returned_cents) AS returned_revenue,
    currency(sold_cents - returned_cents) AS net_revenue,
    ratio(lines, orders) AS lines_per_order,
    ratio(units, orders) AS units_per_order,
    ratio(currency(sold_cents - returned_cents), orders) AS net_revenue_per_order
FROM summed
