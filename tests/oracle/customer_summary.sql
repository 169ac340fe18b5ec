-- Products of counts and cents as HUGEINT, so that only the divisions round.
WITH totals AS (
    SELECT
        customer_id,
        CASE
            WHEN getvariable('has_orders') THEN count(DISTINCT order_id) FILTER (is_sale)
            ELSE count(*) FILTER (is_sale)
        END AS orders,
        sum(net_cents) AS net_cents,
        greatest(sum(net_cents), 0)::HUGEINT AS x
    FROM kept
    WHERE customer_id IS NOT NULL
    GROUP BY customer_id
    HAVING bool_or(is_sale)
),
ranked AS (
    SELECT
        *,
        count(*) OVER () AS n,
        row_number() OVER (ORDER BY x) AS i,
        row_number() OVER (ORDER BY net_cents DESC) AS place
    FROM totals
)
SELECT
    count(*) AS customers,
    CASE WHEN getvariable('has_orders') THEN 'orders' ELSE 'lines' END AS counted,
    ratio(count(*) FILTER (orders >= 2), count(*)) AS repeat_purchase_rate,
    ratio(currency(sum(net_cents)), count(*)) AS average_revenue_per_customer,
    ratio(sum((2 * i - n - 1) * x), count(*) * sum(x)) AS gini,
    ratio(sum(net_cents) FILTER (place <= ceil(n / 5)), sum(net_cents))
        AS top_20_percent_share
FROM ranked
